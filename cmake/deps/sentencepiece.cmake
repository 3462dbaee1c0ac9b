# SPDX-License-Identifier: Apache-2.0
# sentencepiece 0.2.1, static, built by scripts/bootstrap.sh. Why: it is the reference for .model files.
set(root "${PROJECT_SOURCE_DIR}/third_party/sentencepiece")
if(NOT EXISTS "${root}/lib/libsentencepiece.a")
  message(FATAL_ERROR "[cmake] no sentencepiece in '${root}'. Run scripts/bootstrap.sh.")
endif()
add_library(cpx_sentencepiece STATIC IMPORTED GLOBAL)
set_target_properties(cpx_sentencepiece PROPERTIES
    IMPORTED_LOCATION "${root}/lib/libsentencepiece.a"
    INTERFACE_INCLUDE_DIRECTORIES "${root}/include"
    INTERFACE_LINK_OPTIONS "-Wl,--exclude-libs,libsentencepiece.a")
