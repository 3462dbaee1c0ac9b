// SPDX-License-Identifier: Apache-2.0
// What the tests of formats share: a folder of their own, fixtures by name, messages of errors.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "cpx/core/error.h"

namespace cpx::formats {

/// Gives each test an empty folder, which is removed at its end.
class ScratchFolder : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Writes `content` to folder_/name and returns that path.
  std::filesystem::path write(const std::string& name, std::string_view content) const;

  std::filesystem::path folder_;
};

/// tests/fixtures/NAME.
std::filesystem::path fixture(const std::string& name);

/// The message of the DataError that `action` throws.
std::string message_of(const std::function<void()>& action);

/// The bytes of a file.
std::string bytes_of(const std::filesystem::path& path);

/// `value` as it lies in memory.
template <class T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

}  // namespace cpx::formats
