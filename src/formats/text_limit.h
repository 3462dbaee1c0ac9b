// SPDX-License-Identifier: Apache-2.0
// How many tokens of a text a classifier or a sentence encoder reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace cpx::formats {

/// `most`, or `model_max_length` of `folder`/tokenizer_config.json if that is smaller. Throws
/// DataError, opened by [where], if the tokenizer cuts texts in another way than at their end.
int64_t read_text_limit(std::string_view where, const std::filesystem::path& folder, int64_t most);

}  // namespace cpx::formats
