#!/usr/bin/env bash
# Builds the wheel from this tree and installs it into .venv, unless what is installed was built from the
# same sources. Reuses the environment's torch and ExecuTorch; build/python keeps the object files.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/compiler_cache.sh

python=.venv/bin/python
stamp=build/python/.installed
mkdir -p build/python
exec 9>build/python/.lock
flock 9

sources=$({
  find src include schema python cmake tools -type f ! -path '*/__pycache__/*' -print0
  printf '%s\0' CMakeLists.txt pyproject.toml README.md LICENSE
} | sort -z | xargs -0 sha256sum | sha256sum)

if [[ -f $stamp && $(<"$stamp") == "$sources" ]] &&
   (cd / && "$OLDPWD/$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("openenn._core") is None)' 2>/dev/null); then
  echo "[build] openenn is up to date"
  exit 0
fi
echo "[build] building openenn (the first build compiles everything: a few minutes on two cores)"
# pip -v passes Ninja's "[12/345] …" through: shown as one line that counts up.
progress() {
  awk -v tty="$([[ -t 1 ]] && echo 1)" '
    match($0, /\[[0-9]+\/[0-9]+\]/) {
      split(substr($0, RSTART + 1, RLENGTH - 2), n, "/")
      if (tty) printf "\r[build] %d of %d", n[1], n[2]
      else if (n[1] % 20 == 0 || n[1] == n[2]) printf "[build] %d of %d\n", n[1], n[2]
      fflush()
    }
    END { if (tty) print "" }'
}
log=build/python/build.log
if ! PATH="$PWD/.venv/bin:$PATH" CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} \
  "$python" -m pip install -v --disable-pip-version-check --no-input --no-build-isolation --no-deps \
  --force-reinstall --config-settings=build-dir=build/python . 2>&1 | tee "$log" | progress; then
  tail -n 60 "$log" >&2
  echo "[build] failed; the whole log is $log" >&2
  exit 1
fi
printf '%s\n' "$sources" >"$stamp"
echo "[build] installed openenn into .venv"
