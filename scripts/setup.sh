#!/usr/bin/env bash
# scripts/setup.sh <group>: makes this machine ready for `make demo`, `make test`, `make bench`, `make bench-trained`,
# `make lint`, `make test-upstream` or, with the group "newest", `make test-newest-torch`. The group "compile" is what the
# C++ part of `make test` needs: it begins while "test" downloads the rest.
# Debian packages are installed when run as root; otherwise the command that installs them is printed and
# the script stops. Python packages go into .venv, with pinned versions, and only when the pins changed.
set -euo pipefail
cd "$(dirname "$0")/.."

group=${1:?usage: scripts/setup.sh demo|compile|test|bench|trained|lint|upstream|newest}
venv=.venv
requirements=scripts/requirements

build_packages=(g++ flatbuffers-compiler libflatbuffers-dev libsimdjson-dev nlohmann-json3-dev libcli11-dev
                libjpeg62-turbo-dev libpng-dev zlib1g-dev)
case $group in
  demo) packages=("${build_packages[@]}" dataset-fashion-mnist) ;;
  upstream | newest) packages=("${build_packages[@]}") ;;
  compile | test) packages=("${build_packages[@]}" ccache libgtest-dev libgmock-dev libsimde-dev dataset-fashion-mnist) ;;
  bench) packages=("${build_packages[@]}" libbenchmark-dev) ;;
  trained) packages=("${build_packages[@]}" mate-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
                     asterisk-core-sounds-en-wav asterisk-moh-opsound-wav
                     fonts-dejavu-core fonts-liberation fonts-freefont-ttf) ;;
  lint) packages=("${build_packages[@]}" ccache libgtest-dev libgmock-dev libsimde-dev libbenchmark-dev doxygen
                  libclang-common-19-dev clang-19 clang-format-19 clang-tidy-19) ;;
  *) echo "setup: unknown group '$group'; use demo, compile, test, bench, trained, lint, upstream or newest" >&2; exit 2 ;;
esac

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 1; }

# A Python 3.11: what PYTHON names, else python3.11, else python3.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3; do
    if command -v "$candidate" >/dev/null &&
       "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

python=$(find_python)
if [[ ! -x $venv/bin/python ]]; then
  [[ -n $python ]] || fail "needs Python 3.11 (Debian 12: apt-get install python3 python3-venv python3-dev), or name one: make PYTHON=/path/to/python3.11"
  "$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
  "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    packages+=(python3-dev)
fi

install_system_packages() {
  command -v dpkg-query >/dev/null ||
    fail "knows Debian's packages only; install the equivalents of: ${packages[*]}, then run again with ENN_SYSTEM_READY=1"
  local missing=() package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    fail "some system packages are missing. Install them and run this again:
    sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
[[ ${ENN_SYSTEM_READY:-0} == 1 ]] || install_system_packages

# install_requirements <name> [<environment> [<options of pip>]]: scripts/requirements/<name>.txt, unless that was done
# with the same pins.
install_requirements() {
  local name=$1 environment=${2:-$venv} pins
  local stamp=$environment/.installed-$name
  pins=$(cat "$requirements/$name.txt" "$requirements/constraints.txt" | sha256sum)
  [[ -f $stamp && $(<"$stamp") == "$pins" ]] && return 0
  say "installing Python packages: $name (the first time downloads them, which takes a few minutes)"
  "$environment/bin/python" -m pip install --disable-pip-version-check --no-input -q --progress-bar on "${@:3}" -r "$requirements/$name.txt"
  printf '%s\n' "$pins" >"$stamp"
}

mkdir -p build
exec 9>build/.setup.lock
flock 9
if [[ ! -x $venv/bin/python ]]; then
  say "creating $venv with $("$python" --version)"
  "$python" -m venv "$venv"
fi
install_requirements compile
[[ $group != compile ]] || exit 0
install_requirements torch
install_requirements demo
case $group in
  test | lint) install_requirements develop ;;
  trained) install_requirements trained "$venv" --no-deps ;;
  upstream) install_requirements upstream ;;
  newest)
    [[ -x build/venv-newest/bin/python ]] || "$venv/bin/python" -m venv build/venv-newest
    install_requirements newest build/venv-newest
    ;;
esac
