#!/usr/bin/env bash
# All tests: C++ (release, built without Python), C++ under AddressSanitizer and UndefinedBehaviorSanitizer, Python. Runs every
# part even when one failed; the summary at the end and the exit code say which did.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/compiler_cache.sh

declare -a lines
failed=0
run() {
  local name=$1 start=$SECONDS
  shift
  printf '\n\033[1m== %s\033[0m\n' "$name"
  if "$@"; then
    lines+=("$(printf '  passed  %-34s %4d s' "$name" $((SECONDS - start)))")
  else
    lines+=("$(printf '  FAILED  %-34s %4d s' "$name" $((SECONDS - start)))")
    failed=1
  fi
}

cpp() {
  cmake --preset "$1" >"build/configure-$1.log" || { cat "build/configure-$1.log"; return 1; }
  cmake --build --preset "$1" && ctest --preset "$1"
}

run "C++ without Python" scripts/build_without_python.sh
run "C++ with sanitizers" cpp asan
# Each worker holds a few GB of models; more of them than four gain little.
workers=$(($(nproc) < 4 ? $(nproc) : 4))
run "Python" env OMP_NUM_THREADS=1 python -m pytest -q -n "$workers" --dist worksteal tests/python

printf '\n\033[1m== summary\033[0m\n'
printf '%s\n' "${lines[@]}"
if ((failed)); then
  printf 'Some tests failed.\n'
else
  printf 'All tests passed.\n'
fi
exit $failed
