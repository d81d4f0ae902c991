# enn_find_executorch(): find_package(executorch), in the environment's pip package when no prefix leads to
# one already. A macro, because the package gives its targets to the directory that looks for it.
#
# The package's targets put its own folder into the RUNPATH of whatever links them, as a linker option that
# `cmake --install` does not remove. It is taken off: in the build tree CMake adds the folder itself, and an installed
# delegate has only its INSTALL_RPATH.
macro(enn_find_executorch)
  if(CMAKE_VERSION VERSION_LESS 3.28)
    message(FATAL_ERROR "The ExecuTorch delegate needs CMake 3.28 or newer (this is ${CMAKE_VERSION}), "
                        "or configure with -DENN_BUILD_EXECUTORCH=OFF.")
  endif()
  find_package(executorch CONFIG QUIET)
  if(NOT executorch_FOUND)
    find_package(Python 3.11 REQUIRED COMPONENTS Interpreter)
    execute_process(
      COMMAND ${Python_EXECUTABLE} -c
              "import importlib.util as u; s = u.find_spec('executorch'); print(list(s.submodule_search_locations)[0] if s else '')"
      OUTPUT_VARIABLE enn_executorch_root
      OUTPUT_STRIP_TRAILING_WHITESPACE
      COMMAND_ERROR_IS_FATAL ANY
    )
    if(NOT enn_executorch_root)
      message(FATAL_ERROR "No executorch package in ${Python_EXECUTABLE}'s environment: install executorch==1.5.1, "
                          "set CMAKE_PREFIX_PATH to one, or configure with -DENN_BUILD_EXECUTORCH=OFF.")
    endif()
    find_package(executorch CONFIG REQUIRED PATHS ${enn_executorch_root} NO_DEFAULT_PATH)
  endif()
  foreach(target executorch::runtime executorch::threadpool)
    if(TARGET ${target})
      get_target_property(enn_link_options ${target} INTERFACE_LINK_OPTIONS)
      list(FILTER enn_link_options EXCLUDE REGEX "^LINKER:-rpath,")
      set_target_properties(${target} PROPERTIES INTERFACE_LINK_OPTIONS "${enn_link_options}")
    endif()
  endforeach()
endmacro()
