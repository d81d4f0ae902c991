#!/usr/bin/env bash
# Builds the wheel from this tree and installs it into .venv, unless what is installed was built from the
# same sources. Reuses the environment's torch and ExecuTorch; build/python keeps the object files.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
stamp=build/python/.installed
mkdir -p build/python
exec 9>build/python/.lock
flock 9

sources=$({
  find src include schema python cmake -type f ! -path '*/__pycache__/*' -print0
  printf '%s\0' CMakeLists.txt pyproject.toml README.md LICENSE
} | sort -z | xargs -0 sha256sum | sha256sum)

if [[ -f $stamp && $(<"$stamp") == "$sources" ]] &&
   (cd / && "$OLDPWD/$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("openenn._core") is None)' 2>/dev/null); then
  echo "[build] openenn is up to date"
  exit 0
fi
echo "[build] building openenn (the first build compiles everything: a few minutes on two cores)"
PATH="$PWD/.venv/bin:$PATH" CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} \
  "$python" -m pip install --disable-pip-version-check --no-input --no-build-isolation --no-deps \
  --force-reinstall -q --config-settings=build-dir=build/python .
printf '%s\n' "$sources" >"$stamp"
echo "[build] installed openenn into .venv"
