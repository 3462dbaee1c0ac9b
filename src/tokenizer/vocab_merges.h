// SPDX-License-Identifier: Apache-2.0
// The older form of a byte pair encoding: vocab.json (spelling to id) and merges.txt (one a line).
#pragma once

#include <filesystem>
#include <memory>

#include "bpe.h"

namespace cpx::tokenizer {

/// The model of both files. Throws DataError that names file and line, or key, and value.
std::unique_ptr<const Bpe> read_vocab_and_merges(const std::filesystem::path& vocab,
                                                 const std::filesystem::path& merges);

}  // namespace cpx::tokenizer
