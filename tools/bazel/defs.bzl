"""The macros that wayport's BUILD files use.

    wayport_library            a C++ library; headers are included as "wayport/<package>/<file>.h", here and from outside
    wayport_binary             a program
    wayport_test               a GoogleTest program
    wayport_benchmark          a Google Benchmark program, and a test that runs each benchmark once
    wayport_proto_library      a .proto and its C++ code: #include "wayport/<package>/<file>.pb.h"
    wayport_flatbuffers_library  a .fbs and its C++ code: #include "wayport/<package>/<file>_generated.h"
    fuzz_target                a fuzz function: replay of its corpus as a test, and the libFuzzer program
"""

load(":core.bzl", "core_boundary")
load(":layers.bzl", "check_layers")
load(":reach.bzl", "check_reach")

_STANDARD = ["-std=c++23"]

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wimplicit-fallthrough",
    "-Wunused",
    # g++ 12 reports it falsely for Asio's coroutines.
    "-Wno-mismatched-new-delete",
    "-Werror",
]

def _sys(name):
    return "@wayport_sys//:" + name

def _is_imported():
    # Label() without a repository means the one of this file.
    return native.repository_name() != "@"

def _copts(copts):
    # A warning that a newer compiler invents must not break those who import us.
    return _STANDARD + ([] if _is_imported() else _WARNINGS) + copts

def _refuse_headers(name, srcs):
    for src in srcs:
        if src.endswith((".h", ".hpp")):
            fail("%s: %s is a header; list it in `hdrs` of a wayport_library (private by default), else it has no wayport/ path" % (name, src))

def wayport_library(
        name,
        srcs = [],
        hdrs = [],
        deps = [],
        visibility = None,
        testonly = False,
        core = False,
        tags = [],
        copts = [],
        features = [],
        **kwargs):
    """A C++ library, always an archive (a default cc_library is also linked into a .so by `bazel build //...`).

    Args:
      core: bytes and `now` in, outputs out: no sockets, clock, threads. Nothing it reaches may be Asio.
      visibility: private unless given.
    """
    check_layers(name, deps, testonly)
    _refuse_headers(name, srcs)
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        copts = _copts(copts),
        features = ["layering_check"] + features,
        include_prefix = _include_prefix(),
        linkstatic = True,
        tags = tags + (["core"] if core else []),
        testonly = testonly,
        visibility = visibility or ["//visibility:private"],
        deps = deps,
        **kwargs
    )
    if core:
        core_boundary(
            name = name + ".core",
            library = ":" + name,
            testonly = testonly,
            visibility = ["//visibility:private"],
        )
    check_reach(name, testonly)

def _include_prefix():
    return "wayport/" + native.package_name() if native.package_name() else "wayport"

def wayport_binary(name, srcs, deps = [], visibility = None, copts = [], features = [], testonly = False, **kwargs):
    check_layers(name, deps, testonly)
    _refuse_headers(name, srcs)
    native.cc_binary(
        name = name,
        srcs = srcs,
        copts = _copts(copts),
        features = ["layering_check"] + features,
        testonly = testonly,
        visibility = visibility or ["//visibility:private"],
        deps = deps,
        **kwargs
    )

def wayport_test(name, srcs, deps = [], size = "small", main = True, copts = [], features = [], **kwargs):
    """A GoogleTest program (matchers of gmock included).

    Args:
      main: False if one of the sources has its own main().
      **kwargs: data, tags (give "threads" if it starts any, tools/test --tsan runs those), args, shard_count, ...
    """
    check_layers(name, deps, True)
    _refuse_headers(name, srcs)
    native.cc_test(
        name = name,
        size = size,
        srcs = srcs,
        copts = _copts(copts),
        features = ["layering_check"] + features,
        deps = deps + [_sys("gmock")] + ([_sys("gtest_main")] if main else []),
        **kwargs
    )

def wayport_benchmark(name, srcs, deps = [], size = "small", copts = [], features = [], tags = [], data = [], **kwargs):
    """`name` is the program; `name`_smoke runs each benchmark for a moment, so that benchmarks cannot rot."""
    check_layers(name, deps, True)
    _refuse_headers(name, srcs)
    native.cc_library(
        name = name + "_lib",
        testonly = True,
        srcs = srcs,
        copts = _copts(copts),
        features = ["layering_check"] + features,
        linkstatic = True,
        visibility = ["//visibility:private"],
        deps = deps + [_sys("benchmark")],
        alwayslink = True,
    )
    main = [":%s_lib" % name, Label("//tools/bazel/bench:main")]
    native.cc_binary(name = name, testonly = True, data = data, deps = main, **kwargs)
    native.cc_test(
        name = name + "_smoke",
        size = size,
        args = ["--benchmark_min_time=0.00001"],
        data = data,
        tags = tags,
        deps = main,
    )

def wayport_proto_library(name, srcs, deps = [], visibility = None, testonly = False):
    """Protocol buffers; `name` is the C++ library. deps are other wayport_proto_library targets.

    Imports in a .proto are written "wayport/<package>/<file>.proto", or "google/protobuf/<file>.proto".
    """
    check_layers(name, deps, testonly)
    native.proto_library(
        name = name + "_proto",
        srcs = srcs,
        import_prefix = _include_prefix(),
        strip_import_prefix = "/" + native.package_name(),
        testonly = testonly,
        visibility = visibility or ["//visibility:private"],
        deps = [_with_suffix(d, "_proto") for d in deps] + _WELL_KNOWN_PROTOS,
    )
    native.cc_proto_library(
        name = name,
        testonly = testonly,
        visibility = visibility or ["//visibility:private"],
        deps = [":%s_proto" % name],
    )
    check_reach(name, testonly)

_WELL_KNOWN_PROTOS = ["@com_google_protobuf//:%s_proto" % p for p in ["any", "duration", "empty", "struct", "timestamp", "wrappers"]]

def _with_suffix(label, suffix):
    if ":" not in label:
        label += ":" + label.split("/")[-1]
    return label + suffix

def wayport_flatbuffers_library(name, srcs, visibility = None, testonly = False):
    """FlatBuffers; `name` is the C++ library. Each .fbs stands alone (no `include`)."""
    outs = []
    for src in srcs:
        if not src.endswith(".fbs"):
            fail("%s: %s does not end in .fbs" % (name, src))
        out = src[:-len(".fbs")] + "_generated.h"
        outs.append(out)
        native.genrule(
            name = "%s_%s" % (name, out.replace("/", "_").replace(".", "_")),
            srcs = [src],
            outs = [out],
            cmd = "$(execpath @wayport_sys//:flatc) --cpp --cpp-std c++17 --scoped-enums -o $(@D) $(SRCS)",
            testonly = testonly,
            tools = [_sys("flatc")],
            visibility = ["//visibility:private"],
        )
    native.cc_library(
        name = name,
        hdrs = outs,
        include_prefix = _include_prefix(),
        strip_include_prefix = ".",
        testonly = testonly,
        visibility = visibility or ["//visibility:private"],
        deps = [_sys("flatbuffers")],
    )
    check_reach(name, testonly)

def fuzz_target(name, srcs, deps = [], corpus = None, dict = None, size = "small", tags = [], copts = [], features = []):
    """A fuzz function, LLVMFuzzerTestOneInput.

    `name`_regression replays the corpus as an ordinary test; `name` is the libFuzzer program
    (only with --config=fuzz; CONTRIBUTING.md shows how to run it).

    Args:
      corpus: glob of the corpus; by default <name without _fuzz>_corpus/**.
      dict: libFuzzer dictionary, optional.
    """
    check_layers(name, deps, True)
    _refuse_headers(name, srcs)
    if corpus == None:
        stem = name[:-len("_fuzz")] if name.endswith("_fuzz") else name
        corpus = native.glob([stem + "_corpus/**"])
    if not corpus:
        fail("%s: a fuzz target needs a corpus; what it reaches is its test" % name)
    native.filegroup(
        name = name + "_corpus",
        srcs = corpus + ([dict] if dict else []),
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name + "_lib",
        testonly = True,
        srcs = srcs,
        copts = _copts(copts),
        features = ["layering_check"] + features,
        linkstatic = True,
        visibility = ["//visibility:private"],
        deps = deps,
        alwayslink = True,
    )
    native.cc_test(
        name = name + "_regression",
        size = size,
        args = ["$(rootpaths :%s_corpus)" % name],
        data = [":%s_corpus" % name],
        tags = tags + ["fuzz"],
        deps = [":%s_lib" % name, Label("//tools/bazel/fuzz:replay_main")],
    )
    native.cc_binary(
        name = name,
        testonly = True,
        linkopts = select({
            str(Label("//tools/bazel:fuzz_engine")): ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        # It has a main only with the engine.
        tags = ["manual"],
        deps = [":%s_lib" % name],
    )
