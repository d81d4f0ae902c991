# How a part of the tree becomes a target: one static library per folder, the same flags everywhere, tests beside the code.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# -ffp-contract=off: a fused multiply-add happens only where the source says so, else results would differ
# between compilers and ISAs.
add_library(enn_flags INTERFACE)
target_include_directories(enn_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_options(enn_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Werror
                                           -ffp-contract=off)
if(ENN_SANITIZE)
  target_compile_options(enn_flags INTERFACE -fsanitize=${ENN_SANITIZE} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
  target_link_options(enn_flags INTERFACE -fsanitize=${ENN_SANITIZE})
endif()

# enn_library(<name> SOURCES … DEPENDS …)
function(enn_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC enn_flags ${ARG_DEPENDS})
endfunction()

# enn_test(<name> SOURCES … DEPENDS …): a GoogleTest program, registered with ctest under its own name.
function(enn_test name)
  if(NOT ENN_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE enn_flags ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# enn_benchmark(<name> SOURCES … DEPENDS …): a Google Benchmark program.
function(enn_benchmark name)
  if(NOT ENN_BUILD_BENCHMARKS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE enn_flags ${ARG_DEPENDS} benchmark::benchmark benchmark::benchmark_main)
endfunction()

# enn_isa_source(<source> <flags…>): compiles one kernel file with the flags of its ISA, without LTO.
function(enn_isa_source source)
  set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${ARGN};-fno-lto")
endfunction()
