#!/usr/bin/env bash
# scripts/test_newest_torch.sh [<arguments of pytest>]: installs the wheel that is built for .venv into build/venv-newest,
# beside the newest torch, and runs the Python tests there. Left out are the networks, the benchmarks and what a torch
# cannot change: the C++ examples, the command and the counts of upstream's tests.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/compiler_cache.sh

environment=build/venv-newest
rm -rf build/wheel-newest
PATH="$PWD/.venv/bin:$PATH" .venv/bin/python -m pip wheel -q --disable-pip-version-check --no-input --no-build-isolation \
  --no-deps --config-settings=build-dir=build/python -w build/wheel-newest .
"$environment/bin/python" -m pip install -q --disable-pip-version-check --no-input --no-deps --force-reinstall \
  build/wheel-newest/openenn-*.whl
"$environment/bin/python" -m pip check
"$environment/bin/python" -c 'import importlib.metadata as m; print(*(f"{p} {m.version(p)}" for p in ("torch", "executorch", "torchao", "openenn")), sep=", ")'

if (($# == 0)); then
  set -- tests/python
  for name in all_models models benchmarks fashion_mnist upstream_counts enn_command cpp_example cpp_quantize; do
    set -- "$@" --ignore="tests/python/test_$name.py"
  done
fi
workers=$(($(nproc) < 4 ? $(nproc) : 4))
export PATH="$PWD/$environment/bin:$PATH" VIRTUAL_ENV="$PWD/$environment" OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
exec python -m pytest -q -n "$workers" --dist worksteal "$@"
