# SPDX-License-Identifier: Apache-2.0
# LibTorch as an imported target of our own: its find_package demands nvcc even for CPU users.
# Only torch_cpu and c10 are linked; CUDA is loaded at run time (cpx/tensor/device.h).
if(CPX_TORCH_ROOT)
  set(CPX_TORCH_ROOT_RESOLVED "${CPX_TORCH_ROOT}")
else()
  set(CPX_TORCH_ROOT_RESOLVED "${PROJECT_SOURCE_DIR}/third_party/torch")
endif()
if(NOT EXISTS "${CPX_TORCH_ROOT_RESOLVED}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "[cmake] no LibTorch in '${CPX_TORCH_ROOT_RESOLVED}': expected lib/libtorch_cpu.so. "
                      "Run scripts/bootstrap.sh, or set CPX_TORCH_ROOT to an installed torch 2.11.")
endif()

set(CPX_CUDA_LIB_DIRS)
foreach(dir "${PROJECT_SOURCE_DIR}/third_party/cuda/lib" /usr/local/cuda/lib64)
  if(EXISTS "${dir}")
    list(APPEND CPX_CUDA_LIB_DIRS "${dir}")
  endif()
endforeach()

add_library(cpx_torch_cpu SHARED IMPORTED GLOBAL)
set_target_properties(cpx_torch_cpu PROPERTIES
    IMPORTED_LOCATION "${CPX_TORCH_ROOT_RESOLVED}/lib/libtorch_cpu.so" IMPORTED_SONAME libtorch_cpu.so)
add_library(cpx_c10 SHARED IMPORTED GLOBAL)
set_target_properties(cpx_c10 PROPERTIES
    IMPORTED_LOCATION "${CPX_TORCH_ROOT_RESOLVED}/lib/libc10.so" IMPORTED_SONAME libc10.so)

# The wheel carries headers of another version of fmt, without its library. Ours must be found first;
# being in a standard folder it can only be so through a link.
find_path(CPX_FMT_INCLUDE_DIR fmt/format.h REQUIRED)
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/fmt_first")
file(CREATE_LINK "${CPX_FMT_INCLUDE_DIR}/fmt" "${CMAKE_BINARY_DIR}/fmt_first/fmt" SYMBOLIC)

add_library(cpx_torch INTERFACE)
set_target_properties(cpx_torch PROPERTIES EXPORT_NAME torch)
target_include_directories(cpx_torch SYSTEM INTERFACE
    $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/fmt_first>
    $<BUILD_INTERFACE:${CPX_TORCH_ROOT_RESOLVED}/include>
    $<BUILD_INTERFACE:${CPX_TORCH_ROOT_RESOLVED}/include/torch/csrc/api/include>)
target_link_libraries(cpx_torch INTERFACE $<BUILD_INTERFACE:cpx_torch_cpu> $<BUILD_INTERFACE:cpx_c10>
    $<INSTALL_INTERFACE:cpx::torch_cpu> $<INSTALL_INTERFACE:cpx::c10>)
foreach(dir IN LISTS CPX_CUDA_LIB_DIRS)
  target_link_options(cpx_torch INTERFACE $<BUILD_INTERFACE:-Wl,-rpath-link,${dir}>)
  list(APPEND CMAKE_BUILD_RPATH "${dir}")
endforeach()
list(PREPEND CMAKE_BUILD_RPATH "${CPX_TORCH_ROOT_RESOLVED}/lib")
list(APPEND CMAKE_BUILD_RPATH "${CMAKE_BINARY_DIR}/lib")  # the plug-in with the CUDA kernels
# DT_RPATH, not DT_RUNPATH: it also serves the dependencies of libtorch_cpu.so.
target_link_options(cpx_torch INTERFACE $<BUILD_INTERFACE:-Wl,--disable-new-dtags>)
