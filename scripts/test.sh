#!/usr/bin/env bash
# scripts/test.sh quick|all|fuzz: runs every part even when one failed; the summary at the end and the exit code say
# which did.
#   quick  all C++ tests, sanitizers on what reads files (2,000 mutations of each kind), and of the Python tests those
#          that `pytest --quick` takes
#   all    all C++ tests twice, with sanitizers the second time and with all mutations, and all Python tests
#   fuzz   mutations alone, with sanitizers and a new seed
# Packages that only the Python part needs are installed while the C++ parts are built.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/compiler_cache.sh
what=${1:?usage: scripts/test.sh quick|all|fuzz}
mkdir -p build

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

# sanitized [targets and options of cmake --build] -- [options of ctest]
sanitized() {
  local build=()
  while [[ $1 != -- ]]; do build+=("$1"); shift; done
  shift
  cmake --preset asan >build/configure-asan.log || { cat build/configure-asan.log; return 1; }
  cmake --build --preset asan "${build[@]}" && ctest --preset asan "$@"
}

wheel() { wait "$setup" && scripts/build_wheel.sh; }

# Each worker holds a few GB of models; more of them than four gain little. Neighbours stay together, as they share fixtures.
python_tests() {
  local workers=$(($(nproc) < 4 ? $(nproc) : 4))
  OMP_NUM_THREADS=1 python -m pytest -q -n "$workers" --dist worksteal "$@" tests/python
}

case $what in
  quick | all)
    scripts/setup.sh test &
    setup=$!
    run "C++ without Python" scripts/build_without_python.sh
    if [[ $what == quick ]]; then
      export ENN_FUZZ_MUTATIONS=${ENN_FUZZ_MUTATIONS:-2000}
      run "what reads files, with sanitizers" sanitized --target enn_tests_of_readers -- -L readers
    else
      run "C++ with sanitizers" sanitized --
    fi
    run "the wheel" wheel
    if [[ $what == quick ]]; then run "Python" python_tests --quick; else run "Python" python_tests; fi
    ;;
  fuzz)
    export ENN_FUZZ_SEED=${ENN_FUZZ_SEED:-$(date +%s)}
    run "mutations, with sanitizers" sanitized --target enn_tests_of_readers -- -L mutations -V
    ;;
  *) echo "test: unknown '$what'; use quick, all or fuzz" >&2; exit 2 ;;
esac

printf '\n\033[1m== summary\033[0m\n'
printf '%s\n' "${lines[@]}"
if ((failed)); then
  printf 'Some tests failed.\n'
else
  printf 'All tests passed.\n'
fi
exit $failed
