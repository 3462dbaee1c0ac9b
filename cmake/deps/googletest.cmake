# SPDX-License-Identifier: Apache-2.0
if(NOT TARGET GTest::gtest)
  find_package(GTest REQUIRED)
endif()
include(GoogleTest)
