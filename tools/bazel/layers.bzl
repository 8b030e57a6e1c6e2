"""Which package may depend on which. Arrows point left only:

    base <- framing <- transport <- rpc <- gateway <- fuzz, integration, examples, tools
"""

# Top-level package: the prefixes that its targets may depend on, besides itself, //spec and //tools/bazel.
_ALLOWED = {
    "base": [],
    "framing": ["base"],
    "transport": ["base", "framing"],
    "rpc": ["base", "framing", "transport"],
    # Gateways know nothing of rpc but how servers are found.
    "gateway": ["base", "framing", "transport", "rpc/discovery"],
}

# These depend on anything. Nothing above depends on them.
_LEAVES = ["examples", "fuzz", "integration", "tools"]

# Packages below the key that do not know each other (their tests may). What two of them share moves up.
_SIBLINGS = {
    "transport": ["kcp", "link", "route", "snet", "tcp", "tls", "unix", "ws"],
    "gateway": ["link", "route"],
}

def check_layers(name, deps, testonly):
    """Fails the build if a dependency points to the right."""
    if type(deps) != "list":
        fail("%s: deps must be a plain list, so that the layers can be checked" % name)
    if native.repository_name() != _our_repository():
        return
    for dep in deps:
        to = _package_of(str(dep))
        if to != None:
            problem = _problem(native.package_name(), to, testonly)
            if problem:
                fail("//%s:%s must not depend on %s: %s (tools/bazel/layers.bzl)" % (native.package_name(), name, dep, problem))

def _our_repository():
    # A consumer may use the macros for packages of its own, which have no layers here.
    name = Label("//tools/bazel:BUILD").workspace_name
    return "@" + name

def _package_of(label):
    """The package of a label in our repository; None for one in the same package or in another repository."""
    for prefix in ["//", "@//", "@wayport//"]:
        if label.startswith(prefix):
            return label[len(prefix):].partition(":")[0]
    return None

def _within(package, prefix):
    return package == prefix or package.startswith(prefix + "/")

def _problem(package, to, testonly):
    top = package.split("/")[0]
    if top in _LEAVES:
        return None
    if top not in _ALLOWED:
        return "//%s has no place in the layers yet" % top
    if _within(to, "spec") or _within(to, "tools/bazel"):
        return None
    if to.split("/")[0] != top:
        if not [p for p in _ALLOWED[top] if _within(to, p)]:
            return "%s may use only %s" % (top, ", ".join(_ALLOWED[top]) or "itself")
        return None
    siblings = _SIBLINGS.get(top, [])
    ours = package.split("/")[1:2]
    theirs = to.split("/")[1:2]
    if not testonly and ours and theirs and ours != theirs and ours[0] in siblings and theirs[0] in siblings:
        return "%s/%s and %s/%s do not know each other" % (top, ours[0], top, theirs[0])
    return None

# For the tests of this file.
layer_problem = _problem
