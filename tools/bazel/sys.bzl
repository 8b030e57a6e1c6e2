"""@wayport_sys: one target per installed library.

The targets carry link options and no headers: /usr/include is on the compiler's built-in path already, and Boost's
15 000 files do not belong in every sandbox. The package version is in `defines`, because Bazel does not track
system headers: an upgrade then rebuilds what depends on it. The rule runs again when the Bazel server starts, or by
`bazel sync --configure`.

A missing package breaks only the targets that use it, with the apt-get command in the message.
"""

def _lib(header, package, linkopts = [], defines = [], deps = [], source = None):
    """header: tells whether the package is installed. source: one .cc to compile, for header libraries."""
    return struct(header = header, package = package, linkopts = linkopts, defines = defines, deps = deps, source = source)

_LIBRARIES = {
    # Headers of Boost. Everyone gets the two defines, so that a target that includes Asio and forgets to
    # depend on :asio fails to link, instead of mixing two compilations of it.
    "boost": _lib("boost/version.hpp", "libboost1.81-dev", defines = ["BOOST_ASIO_SEPARATE_COMPILATION", "BOOST_BEAST_SEPARATE_COMPILATION"]),
    "asio": _lib("boost/asio.hpp", "libboost1.81-dev", linkopts = ["-pthread"], deps = ["boost"], source = "#include <boost/asio/impl/src.hpp>"),
    "beast": _lib("boost/beast.hpp", "libboost1.81-dev", deps = ["asio"], source = "#include <boost/beast/src.hpp>"),
    "boost_json": _lib("boost/json.hpp", "libboost1.81-dev", deps = ["boost"], source = "#include <boost/json/src.hpp>"),
    "openssl": _lib("openssl/ssl.h", "libssl-dev", linkopts = ["-lssl", "-lcrypto"]),
    "zlib": _lib("zlib.h", "zlib1g-dev", linkopts = ["-lz"]),
    "protobuf": _lib("google/protobuf/message.h", "libprotobuf-dev", linkopts = ["-lprotobuf", "-pthread"]),
    "flatbuffers": _lib("flatbuffers/flatbuffers.h", "libflatbuffers-dev"),
    "gtest": _lib("gtest/gtest.h", "libgtest-dev", linkopts = ["-lgtest", "-pthread"]),
    "gmock": _lib("gmock/gmock.h", "libgmock-dev", linkopts = ["-lgmock"], deps = ["gtest"]),
    "gtest_main": _lib("gtest/gtest.h", "libgtest-dev", linkopts = ["-lgtest_main"], deps = ["gtest"]),
    "benchmark": _lib("benchmark/benchmark.h", "libbenchmark-dev", linkopts = ["-lbenchmark", "-pthread"]),
    "spdlog": _lib("spdlog/spdlog.h", "libspdlog-dev", linkopts = ["-lspdlog", "-lfmt"], defines = ["SPDLOG_COMPILED_LIB", "SPDLOG_SHARED_LIB", "SPDLOG_FMT_EXTERNAL"]),
    "cli11": _lib("CLI/CLI.hpp", "libcli11-dev"),
    "cares": _lib("ares.h", "libc-ares-dev", linkopts = ["-lcares"]),
    "isal": _lib("isa-l.h", "libisal-dev", linkopts = ["-lisal"]),
    "tomlplusplus": _lib("toml++/toml.h", "libtomlplusplus-dev"),
    "yaml_cpp": _lib("yaml-cpp/yaml.h", "libyaml-cpp-dev", linkopts = ["-lyaml-cpp"]),
    "prometheus_cpp": _lib("prometheus/registry.h", "prometheus-cpp-dev", linkopts = ["-lprometheus-cpp-core"]),
    "cpp_jwt": _lib("jwt/jwt.hpp", "libcpp-jwt-dev", deps = ["openssl", "nlohmann_json"]),
    "nlohmann_json": _lib("nlohmann/json.hpp", "nlohmann-json3-dev"),
    # tcmalloc replaces malloc, so only programs that ask it for something get it.
    "gperftools": _lib("gperftools/profiler.h", "libgoogle-perftools-dev", linkopts = ["-lprofiler", "-Wl,--push-state,--as-needed", "-ltcmalloc", "-Wl,--pop-state"]),
}

# Programs that a build runs.
_TOOLS = {
    "protoc": "protobuf-compiler",
    "flatc": "flatbuffers-compiler",
}

_INCLUDE_DIRS = ["/usr/include", "/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu"]

def _installed_versions(ctx):
    packages = {lib.package: None for lib in _LIBRARIES.values()}
    packages.update({package: None for package in _TOOLS.values()})
    versions = {}
    if ctx.which("dpkg-query"):
        # Exits 1 if one of them is missing, and still prints the others.
        result = ctx.execute(["dpkg-query", "-W", "-f=${Package} ${Version}\n"] + packages.keys())
        for line in result.stdout.splitlines():
            name, _, version = line.partition(" ")
            versions[name] = version
    return versions

def _advice(package):
    return "install it with: apt-get install %s   (then: bazel sync --configure)" % package

def _missing(name, package):
    return """
genrule(
    name = "missing_{name}",
    outs = ["missing_{name}.h"],
    cmd = "echo >&2; echo '{package} is not installed; {advice}' >&2; exit 1",
    tags = ["manual"],
)

cc_library(
    name = "{name}",
    hdrs = ["missing_{name}.h"],
    tags = ["manual"],
)
""".format(name = name, package = package, advice = _advice(package))

def _system_libraries(ctx):
    versions = _installed_versions(ctx)
    build = "package(default_visibility = [\"//visibility:public\"])\n"
    for name, lib in _LIBRARIES.items():
        if not [d for d in _INCLUDE_DIRS if ctx.path(d + "/" + lib.header).exists]:
            build += _missing(name, lib.package)
            continue
        srcs = []
        if lib.source:
            srcs = [name + "_src.cc"]
            ctx.file(srcs[0], lib.source + "\n", executable = False)
        build += """
cc_library(
    name = {name},
    srcs = {srcs},
    copts = ["-std=c++23", "-w"],
    defines = {defines},
    linkopts = {linkopts},
    linkstatic = True,
    deps = {deps},
)
""".format(
            name = repr(name),
            srcs = repr(srcs),
            defines = repr(lib.defines + ["WAYPORT_SYS_%s=%s" % (name.upper(), versions.get(lib.package, "unknown"))]),
            linkopts = repr(lib.linkopts),
            deps = repr([":" + d for d in lib.deps]),
        )
    for name, package in _TOOLS.items():
        if ctx.path("/usr/bin/" + name).exists:
            run = "exec /usr/bin/%s \"$@\"" % name
        else:
            run = "echo '%s is not installed; %s' >&2\nexit 1" % (package, _advice(package))
        ctx.file(name + ".sh", "#!/bin/sh\n# %s %s\n%s\n" % (package, versions.get(package, "unknown"), run))
        build += "\nsh_binary(name = \"%s\", srcs = [\"%s.sh\"])\n" % (name, name)
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    ctx.file("BUILD", build)

system_libraries = repository_rule(
    implementation = _system_libraries,
    configure = True,
    local = True,
)
