# SPDX-License-Identifier: Apache-2.0
# cmake --install: tools, static libraries, headers, and what find_package(cpx) reads. LibTorch stays
# where it is: the tools' run path and cpxConfig.cmake point there.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY CPX_LIBRARY_TARGETS)
get_property(tools GLOBAL PROPERTY CPX_TOOL_TARGETS)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/cpx")

install(TARGETS ${libraries} cpx_compiler cpx_torch EXPORT cpxTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/cpx" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.h")
get_target_property(sentencepiece cpx_sentencepiece IMPORTED_LOCATION)
install(FILES "${sentencepiece}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

if(tools)
  set_target_properties(${tools} PROPERTIES
      INSTALL_RPATH "${CPX_TORCH_ROOT_RESOLVED}/lib;${CPX_CUDA_LIB_DIRS};$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS ${tools} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

install(EXPORT cpxTargets NAMESPACE cpx:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/cpxConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/cpxConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/cpxConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/cpxConfig.cmake" "${PROJECT_BINARY_DIR}/cpxConfigVersion.cmake"
    DESTINATION "${package_dir}")
