# Sourced by what builds: the wheel and the preset "release" compile the same sources with the same flags, so the
# second takes the objects of the first where ccache is installed.
if [[ -z ${CMAKE_CXX_COMPILER_LAUNCHER:-} ]] && command -v ccache >/dev/null; then
  export CXX=${CXX:-g++}  # one name for both: it is part of what is looked up
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_DIR=${CCACHE_DIR:-$PWD/build/ccache} CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
fi
