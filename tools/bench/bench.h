// The benchmarks of whole programs, as a subcommand, `wayport bench rpc|packet|idle|link|route|ws|kcp|blocking|overload|
// restart`, and as a program of their own.
#pragma once

namespace wayport::tools {

// argv[0] is what the program calls itself, argv[1] names the benchmark. Returns the exit code.
//
// Starts this program again as its second process, with all arguments that came before argv[1] and then "serve-bench
// ...", which must lead here again.
int bench_main(int argc, char** argv);

}  // namespace wayport::tools
