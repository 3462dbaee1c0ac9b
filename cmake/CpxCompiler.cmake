# SPDX-License-Identifier: Apache-2.0
# Compiler settings shared by all cpx targets: an interface target instead of global flags.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Dev: optimised, but with assertions; what the tests run. FORCE: project() has made an empty entry.
set(CMAKE_CXX_FLAGS_DEV "-O2" CACHE STRING "" FORCE)
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG" CACHE STRING "" FORCE)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(cpx_compiler INTERFACE)
set_target_properties(cpx_compiler PROPERTIES EXPORT_NAME compiler)
target_compile_features(cpx_compiler INTERFACE cxx_std_20)
set(CMAKE_CXX_EXTENSIONS OFF)

# x86-64-v3 is the floor; wider units are chosen at run time (see docs/design.md).
# -ffp-contract=off keeps results equal between optimisation levels.
set(cpx_private_flags -march=x86-64-v3 -ffp-contract=off -fopenmp -fpch-preprocess -Wall -Wextra
                      -Wpedantic -Wshadow -Wnon-virtual-dtor -Wno-unknown-pragmas)
if(CMAKE_UNITY_BUILD)
  # Several sources as one (the presets): a source's own types are then no longer in the main file.
  list(APPEND cpx_private_flags -Wno-subobject-linkage)
endif()
if(CPX_WARNINGS_AS_ERRORS)
  list(APPEND cpx_private_flags -Werror)
endif()
if(CPX_SANITIZE)
  list(APPEND cpx_private_flags -O1 -fsanitize=${CPX_SANITIZE} -fno-omit-frame-pointer -g1
                                -fno-sanitize-recover=undefined)
  target_link_options(cpx_compiler INTERFACE $<BUILD_INTERFACE:-fsanitize=${CPX_SANITIZE}>)
endif()
target_compile_options(cpx_compiler INTERFACE "$<BUILD_INTERFACE:${cpx_private_flags}>")
# Also for programs that link the installed libraries.
target_link_options(cpx_compiler INTERFACE -fopenmp)

find_program(CPX_CCACHE ccache)
if(CPX_CCACHE)
  # The sloppiness lets ccache work with the precompiled LibTorch header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CPX_CCACHE})
endif()
# The system's linker: LibTorch is shared, so a program links in a second. mold 1.10 is faster where it
# ends: it laid a program out so that it did not start, and looked for another's layout for ever.
