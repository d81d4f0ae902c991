#!/usr/bin/env bash
# Builds and runs every kernel benchmark (src/kernels/*/bench.cpp); arguments go to each, e.g.
# --benchmark_filter=REGEX.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset benchmark >/dev/null
cmake --build --preset benchmark
find build/benchmark -type f -name '*_bench' -perm -u+x | sort | while read -r program; do
  case "$(basename "$program")" in
    enn_conv*) for shapes in benchmarks/shapes/*.txt; do "$program" "$shapes" "$@"; done ;;
    *) "$program" "$@" ;;
  esac
done
