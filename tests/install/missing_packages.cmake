# cmake -DSOURCE=… -DWORK=… -DGENERATOR=… -DMAKE=… -DCOMPILER=… -P: without a package that the build needs, configuring ends
# with a message that names it and the Debian package that holds it.
file(REMOVE_RECURSE ${WORK})
set(build -DENN_BUILD_PYTHON=OFF -DENN_BUILD_EXECUTORCH=OFF)

# expect_missing(<setting that hides it> <name in the message> <Debian package…>)
function(expect_missing setting name)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK} -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE} -DCMAKE_CXX_COMPILER=${COMPILER}
            ${build} -D${setting}
    RESULT_VARIABLE code ERROR_VARIABLE message OUTPUT_QUIET)
  string(REGEX REPLACE "[ \n]+" " " message "${message}")
  list(JOIN ARGN " " debian)
  string(FIND "${message}" "CMake does not find what openenn needs: ${name}. " sentence)
  string(FIND "${message}" " apt-get install ${debian} or name the folders" command)
  if(code EQUAL 0 OR sentence LESS 0 OR command LESS 0)
    message(FATAL_ERROR "with ${setting}: exit code ${code} and '${message}'")
  endif()
  # The next call must not find the setting of this one in the cache.
  string(REGEX REPLACE "=.*" "" variable ${setting})
  execute_process(COMMAND ${CMAKE_COMMAND} -U${variable} ${WORK} OUTPUT_QUIET ERROR_QUIET)
endfunction()

expect_missing(ENN_FLATC=OFF "flatc (in the bin folder beside the FlatBuffers headers)" flatbuffers-compiler)
expect_missing(ENN_FLATBUFFERS_INCLUDE=OFF "the FlatBuffers headers" libflatbuffers-dev)
foreach(package simdjson:libsimdjson-dev nlohmann_json:nlohmann-json3-dev CLI11:libcli11-dev JPEG:libjpeg62-turbo-dev
                PNG:libpng-dev "GTest:libgtest-dev;libgmock-dev")
  string(REPLACE ":" ";" package "${package}")
  list(POP_FRONT package name)
  expect_missing(CMAKE_DISABLE_FIND_PACKAGE_${name}=ON ${name} ${package})
endforeach()
# CMake looks for zlib when it looks for libpng.
expect_missing(CMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON "PNG, ZLIB" libpng-dev zlib1g-dev)
