#!/usr/bin/env bash
# Every check that needs no test run. Runs all of them even when one failed; the exit code says whether all
# passed.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

run() {
  local name=$1
  shift
  "$@" || { echo "[lint] $name failed" >&2; failed+=("$name"); }
}

format_cpp() {
  git ls-files -z '*.cpp' '*.hpp' | xargs -0 --no-run-if-empty clang-format-19 --dry-run -Werror &&
    echo "clang-format: all files are formatted"
}

# Files are named, because ruff would format the code in Markdown too. What quotes the documented page stays as it is.
format_python() {
  git ls-files -z '*.py' ':!examples/mobilenet_v2.py' ':!tests/data' | xargs -0 ruff format --check --quiet
}

tidy() {
  cmake --preset clang >build/configure-clang.log 2>&1 || { cat build/configure-clang.log; return 1; }
  cmake --build --preset clang --target enn_schema_generate enn_pte_schema_generate enn_symbolic_schema_generate >/dev/null &&
    python scripts/run_clang_tidy.py build/clang --jobs "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
}

# Public members of include/enn have comments, and the comments name what there is.
reference() {
  doxygen docs/Doxyfile >build/doxygen.log 2>&1 && echo "doxygen: the public headers are documented" ||
    { cat build/doxygen.log; return 1; }
}

run "files" python scripts/check_files.py
run "layers" python scripts/check_layers.py
run "kernel names" python scripts/check_kernel_names.py
run "clang-format" format_cpp
run "doxygen" reference
run "ruff check" ruff check --quiet
run "ruff format" format_python
# Without the installed packages, so that the result does not depend on what was built: torch has types, ExecuTorch few.
run "mypy" mypy --no-site-packages
run "mypy of scripts" mypy --no-site-packages --exclude-gitignore scripts examples benchmarks
[[ ! -f scripts/generate_tables.py ]] || run "generated tables" python scripts/generate_tables.py --check
run "clang-tidy" tidy

if ((${#failed[@]})); then
  printf '[lint] failed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
  exit 1
fi
echo "[lint] everything is in order"
