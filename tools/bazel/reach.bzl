"""Which installed libraries the libraries of a layer may reach, however far down: checked when they are analysed.

core.bzl asks this of single targets, those that say `core = True`. Here the macros of defs.bzl ask it of every library of a
package in the table, so that a new one cannot be forgotten. //integration/layers has the planted ones that are refused.
"""

# Package: what no library in it or below may reach ...
_NEVER = {
    "framing": ["asio", "beast", "cares", "prometheus_cpp", "gperftools"],
}

# ... and what only these may. libcrypto is in framing for two things: the MD5 by which a server of the link protocol
# proves its key, and signatures of JSON Web Tokens.
_ONLY = {
    "framing": {
        "openssl": [
            "framing/jwt:jwt_signature",
            "framing/jwt:jwt_verify",
            "framing/link:auth",
        ],
        "cpp_jwt": [
            "framing/jwt:jwt_signature",
            "framing/jwt:jwt_verify",
        ],
    },
}

# What a target links by itself is that library all the same, whichever way it is written. @wayport_sys//:openssl is the only
# target with such an option, and cpp_jwt the only one below @wayport_sys that depends on it; no other installed library there
# needs libcrypto itself. A source that includes <openssl/...> and depends on neither does not link.
_IN_LINKOPTS = {
    "crypto": "openssl",
    "ssl": "openssl",
}

_Reach = provider(fields = {"paths": "installed library -> labels from the target to it"})

def _reach_aspect(target, ctx):
    label = target.label
    paths = {}
    if label.workspace_name == "wayport_sys":
        paths[label.name] = [str(label)]
    for option in getattr(ctx.rule.attr, "linkopts", []):
        for part, library in _IN_LINKOPTS.items():
            if part in option and label.workspace_name != "wayport_sys":
                paths[library] = [str(label), "linkopts " + option]
    for dep in getattr(ctx.rule.attr, "deps", []):
        if _Reach in dep:
            for library, path in dep[_Reach].paths.items():
                if library not in paths:
                    paths[library] = [str(label)] + path
    return [_Reach(paths = paths)]

_reach = aspect(implementation = _reach_aspect, attr_aspects = ["deps"])

def _reach_boundary(ctx):
    paths = ctx.attr.library[_Reach].paths
    for library in ctx.attr.never:
        if library in paths:
            fail("no library of //%s may reach %s\n    %s" % (ctx.attr.layer, library, "\n    ".join(paths[library])))
    for library in ctx.attr.exempt:
        if library not in paths:
            fail("it may reach %s, and does not: take it out of the list (tools/bazel/reach.bzl)" % library)
    return []

reach_boundary = rule(
    implementation = _reach_boundary,
    attrs = {
        "library": attr.label(aspects = [_reach]),
        "layer": attr.string(),
        "never": attr.string_list(),
        "exempt": attr.string_list(),
    },
)

def check_reach(name, testonly = False, package = None, tags = []):
    """A target NAME.reach that fails if :NAME reaches what a library of `package` (by default, this one) may not."""
    package = package or native.package_name()
    for layer in _NEVER:
        if package != layer and not package.startswith(layer + "/"):
            continue
        label = "%s:%s" % (package, name)
        exempt = [library for library, who in _ONLY[layer].items() if label in who]
        reach_boundary(
            name = name + ".reach",
            library = ":" + name,
            layer = layer,
            never = _NEVER[layer] + [library for library in _ONLY[layer] if library not in exempt],
            exempt = exempt,
            testonly = testonly,
            tags = tags,
            visibility = ["//visibility:private"],
        )

# --- that it can fail ---

def _refusal_test(ctx):
    planted = ctx.attr.planted[0]  # a list, because of the transition
    if AnalysisFailureInfo not in planted:
        return [AnalysisTestResultInfo(success = False, message = "%s was not refused" % planted.label)]
    said = [str(cause.message) for cause in planted[AnalysisFailureInfo].causes.to_list()]
    because = [message for message in said if ctx.attr.because in message]
    return [AnalysisTestResultInfo(
        success = bool(because),
        message = "expected \"%s\" in: %s" % (ctx.attr.because, "; ".join(said)),
    )]

reach_refusal_test = rule(
    doc = "Passes if the analysis of `planted` fails with a message that has `because` in it.",
    implementation = _refusal_test,
    analysis_test = True,
    attrs = {
        "planted": attr.label(
            cfg = analysis_test_transition(settings = {"//command_line_option:allow_analysis_failures": "True"}),
            mandatory = True,
        ),
        "because": attr.string(mandatory = True),
    },
)
