#!/usr/bin/env bash
# Builds and tests the C++ door (preset "release") where there is no Python: PATH is a folder with links to the tools
# that a C++ build needs and no others, and nothing else of the environment is passed on. Also the C++ part of `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/compiler_cache.sh

# cmake and ninja of Python packages are scripts that start Python: their binaries are taken.
real_tool() {
  local name=$1 candidate
  for candidate in .venv/lib/python3*/site-packages/cmake/data/bin/"$name" .venv/bin/"$name" /usr/bin/"$name"; do
    if [[ -x $candidate && $(head -c 4 "$candidate") == $'\x7fELF' ]]; then
      realpath "$candidate"
      return
    fi
  done
  echo "build_without_python: no $name that runs without Python" >&2
  return 1
}

tools=build/without_python/bin
rm -rf build/without_python
mkdir -p "$tools"
for name in cmake ctest ninja; do ln -s "$(real_tool "$name")" "$tools/$name"; done
compiler=$(command -v "${CXX:-c++}")
for name in "$compiler" as ld ar ranlib nm strip objcopy objdump readelf sh cat rm mv cp ln mkdir uname; do
  path=$(command -v "$name") || { echo "build_without_python: no $name" >&2; exit 1; }
  ln -s "$path" "$tools/$(basename "$name")"
done
launcher=$(command -v ccache) && ln -s "$launcher" "$tools/ccache"

# Settings of the build that may pass; none of them leads to Python.
passed=("CXX=$compiler")
while IFS= read -r name; do passed+=("$name=${!name}"); done < <(compgen -e | grep -E '^(CCACHE_|CMAKE_|CTEST_|ENN_|LANG$|LC_|HOME$|TMPDIR$)')
bare() { env -i PATH="$PWD/$tools" "${passed[@]}" "$@"; }

for name in python python3 pip; do
  if bare sh -c "command -v $name" >/dev/null; then
    echo "build_without_python: $name is on PATH" >&2
    exit 1
  fi
done

bare cmake --preset release >build/configure-release.log || { cat build/configure-release.log; exit 1; }
if grep -iE '^[^/#]*python[^=]*=.*(/|found)' build/release/CMakeCache.txt; then
  echo "build_without_python: the configuration found a Python" >&2
  exit 1
fi
bare cmake --build --preset release
bare ctest --preset release
