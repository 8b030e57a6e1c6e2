"""Bazel's own rule repositories, from Debian packages or written here where Debian's do not work with Bazel 4.2.3."""

def _debian_repo(ctx):
    root = ctx.path(ctx.attr.path)
    if not root.exists:
        fail("%s is missing; install it with: apt-get install %s" % (ctx.attr.path, ctx.attr.package))
    for entry in root.readdir():
        if entry.basename != "WORKSPACE":
            ctx.symlink(entry, entry.basename)
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)

# An installed directory as a repository.
debian_repo = repository_rule(
    implementation = _debian_repo,
    attrs = {
        "path": attr.string(mandatory = True),
        "package": attr.string(mandatory = True),
    },
)

_RULES_CC = """
cc_library = native.cc_library
cc_binary = native.cc_binary
cc_test = native.cc_test
cc_import = native.cc_import
cc_proto_library = native.cc_proto_library
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
fdo_profile = native.fdo_profile
fdo_prefetch_hints = native.fdo_prefetch_hints

def compiler_flag(**kwargs):
    pass

def cc_flags_supplier(**kwargs):
    pass
"""

def _rules_cc_shim(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    ctx.file("cc/BUILD", "")
    ctx.file("cc/defs.bzl", _RULES_CC)

# Debian's rules_cc 0.0.4 loads a symbol that Bazel 4.2.3 does not have.
rules_cc_shim = repository_rule(implementation = _rules_cc_shim)

_COVERAGE = """
package(default_visibility = ["//visibility:public"])

sh_binary(name = "coverage_report_generator", srcs = ["unsupported.sh"])

sh_binary(name = "lcov_merger", srcs = ["unsupported.sh"])
"""

def _coverage_stub(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    ctx.file("BUILD", _COVERAGE)
    ctx.file("unsupported.sh", "#!/bin/sh\necho 'bazel coverage needs a download; use --config=cov (CONTRIBUTING.md)' >&2\nexit 1\n")

# Every `bazel test` resolves this repository, although only `bazel coverage` runs it.
coverage_stub = repository_rule(implementation = _coverage_stub)

_WELL_KNOWN = ["any", "api", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type", "wrappers"]
_WELL_KNOWN_DEPS = {
    "api": ["source_context", "type"],
    "type": ["any", "source_context"],
}

def _is_bazel_4():
    version = native.bazel_version
    return not version or version.startswith("4.")

def _protobuf_shim(ctx):
    build = """
package(default_visibility = ["//visibility:public"])

alias(name = "protoc", actual = "@wayport_sys//:protoc")

alias(name = "protobuf", actual = "@wayport_sys//:protobuf")

proto_lang_toolchain(
    name = "cc_toolchain",
    {exclude} = [{protos}],
    command_line = "--cpp_out=$(OUT)",
    runtime = ":protobuf",
)
""".format(
        # The attribute was renamed in Bazel 5.
        exclude = "blacklisted_protos" if _is_bazel_4() else "denylisted_protos",
        protos = ", ".join(["\":%s_proto\"" % p for p in _WELL_KNOWN]),
    )
    for proto in _WELL_KNOWN:
        ctx.symlink("/usr/include/google/protobuf/%s.proto" % proto, "google/protobuf/%s.proto" % proto)
        build += """
proto_library(
    name = "{name}_proto",
    srcs = ["google/protobuf/{name}.proto"],
    deps = [{deps}],
)
""".format(
            name = proto,
            deps = ", ".join(["\":%s_proto\"" % d for d in _WELL_KNOWN_DEPS.get(proto, [])]),
        )
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    ctx.file("BUILD", build)

# The names that proto_library and cc_proto_library look for, on the installed protobuf.
protobuf_shim = repository_rule(implementation = _protobuf_shim)
