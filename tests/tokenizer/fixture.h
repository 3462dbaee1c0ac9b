// SPDX-License-Identifier: Apache-2.0
// The hard texts and what the peers make of them: tests/fixtures/tokenizers.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cpx/tokenizer/gguf_vocabulary.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

std::filesystem::path fixture_folder(const std::string& name);

/// What a peer makes of one text.
struct ExpectedText {
  std::string text;
  std::vector<TokenId> ids;
  /// Begin and end alternating; nothing where the peer's are known to be wrong.
  std::optional<std::vector<size_t>> offsets;
  std::string decoded;
  std::string skipped;
};

/// The texts with the expectations of tests/fixtures/tokenizers/`file`.
std::vector<ExpectedText> read_expected(const std::string& file);

/// Expects ids, offsets and decoded texts to be those of `file`; shows the first few that differ.
void expect_equal_to_peer(const Tokenizer& tokenizer, const std::string& file);

/// vocabulary.json of a fixture folder.
GgufVocabulary read_gguf_vocabulary(const std::string& name);

/// The vocabulary of a real GGUF file.
GgufVocabulary read_gguf_file(const std::filesystem::path& path);

}  // namespace cpx::tokenizer
