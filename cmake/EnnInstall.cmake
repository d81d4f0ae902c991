# enn_install(): the install tree of the C++ door: the public headers, one target openenn::openenn that stands for
# all parts of src/, a CMake package that finds what they need, and the command `enn`.
function(enn_install)
  include(GNUInstallDirs)
  include(CMakePackageConfigHelpers)
  get_property(parts GLOBAL PROPERTY ENN_PARTS)
  add_library(openenn INTERFACE)
  add_library(openenn::openenn ALIAS openenn)
  target_link_libraries(openenn INTERFACE ${parts})
  install(TARGETS openenn enn_flags enn_schema enn_pte_schema enn_symbolic_schema ${parts}
          EXPORT openenn
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/openenn
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  if(TARGET enn)
    install(TARGETS enn RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/enn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/openenn)
  install(EXPORT openenn NAMESPACE openenn:: FILE openenn-targets.cmake DESTINATION ${package})
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/openenn-config.cmake.in
                                ${CMAKE_CURRENT_BINARY_DIR}/openenn-config.cmake INSTALL_DESTINATION ${package})
  write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/openenn-config-version.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/openenn-config.cmake
                ${CMAKE_CURRENT_BINARY_DIR}/openenn-config-version.cmake
          DESTINATION ${package})
endfunction()
