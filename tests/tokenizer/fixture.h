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

/// The text of the error that `action` throws; fails the test where it throws none.
template <class E, class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "(no error)";
}

/// A folder that is empty at first and removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file into the folder and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

}  // namespace cpx::tokenizer
