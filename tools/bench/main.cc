#include "wayport/tools/bench/bench.h"

int main(int argc, char** argv) { return wayport::tools::bench_main(argc, argv); }
