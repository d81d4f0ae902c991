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

# Most of the time to compile a source goes into its headers. With CMAKE_UNITY_BUILD (wheels, the presets
# "release" and "asan") so many sources of a folder are compiled as one; names in their anonymous namespaces
# must differ.
if(NOT DEFINED CMAKE_UNITY_BUILD_BATCH_SIZE)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 16)
endif()
# Only loops over tensors gain from -O3: enn_optimize_loops(<target>) asks for it.
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
function(enn_optimize_loops target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O3>)
endfunction()

# -ffp-contract=off: a fused multiply-add happens only where the source says so, else results would differ
# between compilers and ISAs.
#
# Who uses an installed openenn gets the public headers and the language from it, no more.
add_library(enn_flags INTERFACE)
target_compile_features(enn_flags INTERFACE cxx_std_20)
target_include_directories(enn_flags INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                                               $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
set(enn_options -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Werror -ffp-contract=off)
if(ENN_SANITIZE)
  list(APPEND enn_options -fsanitize=${ENN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(enn_flags INTERFACE $<BUILD_INTERFACE:-fsanitize=${ENN_SANITIZE}>)
endif()
target_compile_options(enn_flags INTERFACE "$<BUILD_INTERFACE:${enn_options}>")

# enn_library(<name> SOURCES … DEPENDS …). Libraries of src/ are parts of openenn::openenn, but
# for the command's readers of data.
function(enn_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  # A library of headers that only our sources include is none of an installed openenn's needs.
  list(TRANSFORM ARG_DEPENDS REPLACE "^(nlohmann_json::.*)$" "$<BUILD_INTERFACE:\\1>")
  target_link_libraries(${name} PUBLIC enn_flags ${ARG_DEPENDS})
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE folder)
  if(folder MATCHES "^src/" AND NOT folder STREQUAL "src/data")
    set_property(GLOBAL APPEND PROPERTY ENN_PARTS ${name})
  endif()
endfunction()

# The tests of what reads files that anybody may have written; `make test` runs these with sanitizers.
add_custom_target(enn_tests_of_readers)

# enn_test(<name> [READS_FILES] SOURCES … DEPENDS …): a GoogleTest program, registered with ctest under its own name.
function(enn_test name)
  if(NOT ENN_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "READS_FILES" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)  # each test file names its helpers as it likes
  # A quarter less time to build: these two look at every access to a member. What is tested has them.
  if(ENN_SANITIZE MATCHES undefined)
    target_compile_options(${name} PRIVATE -fno-sanitize=null,alignment)
  endif()
  target_link_libraries(${name} PRIVATE enn_flags ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  if(ARG_READS_FILES)
    add_dependencies(enn_tests_of_readers ${name})
    set_tests_properties(${name} PROPERTIES LABELS readers)
  endif()
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
