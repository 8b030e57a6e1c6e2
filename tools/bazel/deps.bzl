"""Everything that wayport needs in a WORKSPACE. Nothing is downloaded: all of it comes from Debian packages.

A workspace that imports wayport writes:

    local_repository(name = "wayport", path = "...")
    load("@wayport//tools/bazel:deps.bzl", "wayport_deps")
    wayport_deps()

A repository that the importing workspace declared before this call is left alone. Our libraries live in
@wayport_sys (not @sys), so that they do not collide with a name that an importer is likely to use.
"""

load(":debian.bzl", "coverage_stub", "debian_repo", "protobuf_shim", "rules_cc_shim")
load(":sys.bzl", "system_libraries")

def wayport_deps():
    _unless_declared(system_libraries, name = "wayport_sys")
    _unless_declared(protobuf_shim, name = "com_google_protobuf")

    # Debian's Bazel 4.2.3 has an empty version string. Newer Bazels bring rules that fit them.
    version = native.bazel_version
    if version and not version.startswith("4."):
        return

    _unless_declared(rules_cc_shim, name = "rules_cc")
    _unless_declared(coverage_stub, name = "remote_coverage_tools")
    for name, path, package in [
        ("rules_java", "/usr/share/bazel/rules/java", "bazel-rules-java"),
        ("rules_proto", "/usr/share/bazel/rules/proto", "bazel-rules-proto"),
        ("platforms", "/usr/share/bazel/platforms", "bazel-platforms"),
        ("bazel_skylib", "/usr/share/bazel/tools/skylib", "bazel-skylib"),
    ]:
        _unless_declared(debian_repo, name = name, path = path, package = package)

def _unless_declared(rule, name, **kwargs):
    if name not in native.existing_rules():
        rule(name = name, **kwargs)
