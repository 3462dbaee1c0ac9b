# SPDX-License-Identifier: Apache-2.0
# Libraries from the distribution's packages: well kept, and built once for everybody.
if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.11 REQUIRED)  # JSON: the field's usual parser
endif()
if(NOT TARGET fmt::fmt)
  find_package(fmt REQUIRED)  # formatting: GCC 12 has no <format>
endif()
if(NOT TARGET spdlog::spdlog)
  find_package(spdlog REQUIRED)  # log sinks
endif()
if(NOT TARGET yaml-cpp)
  find_package(yaml-cpp REQUIRED)  # YAML with line numbers
endif()
if(NOT TARGET CLI11::CLI11)
  find_package(CLI11 REQUIRED)  # command lines
endif()
if(NOT TARGET cpx_pcre2)
  find_library(PCRE2_LIBRARY pcre2-8 REQUIRED)
  find_path(PCRE2_INCLUDE_DIR pcre2.h REQUIRED)
  add_library(cpx_pcre2 INTERFACE IMPORTED GLOBAL)  # regular expressions with Unicode classes
  target_link_libraries(cpx_pcre2 INTERFACE ${PCRE2_LIBRARY})
  target_include_directories(cpx_pcre2 INTERFACE ${PCRE2_INCLUDE_DIR})
endif()
if(NOT TARGET cpx_jemalloc AND NOT CPX_SANITIZE)
  # malloc of the tools: keeps the pages of freed tensors, where glibc gives them back and gets them
  # anew in every step. Whole, so that it stands in for LibTorch's malloc too.
  find_library(JEMALLOC_LIBRARY jemalloc_pic REQUIRED)
  add_library(cpx_jemalloc INTERFACE IMPORTED GLOBAL)
  target_link_libraries(cpx_jemalloc INTERFACE "$<LINK_LIBRARY:WHOLE_ARCHIVE,${JEMALLOC_LIBRARY}>" m)
endif()
