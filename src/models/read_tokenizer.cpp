// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/error.h"
#include "cpx/models/load.h"
#include "cpx/tokenizer/load.h"
#include "model_path.h"

namespace cpx::models {

namespace fs = std::filesystem;

namespace {

using Tokenizer = std::shared_ptr<const tokenizer::Tokenizer>;

// More ids than rows of the embedding would reach past its end.
Tokenizer checked(Tokenizer result, const formats::ModelConfig& config, const fs::path& path) {
  if (result->vocabulary_size() > config.vocab_size) {
    throw_<DataError>(
        "[read_tokenizer] {}: the tokenizer has {} tokens, expected at most {} ({}: vocab_size).",
        path.string(), result->vocabulary_size(), config.vocab_size, config.source);
  }
  return result;
}

Tokenizer read_from_folder(const fs::path& folder) {
  const auto config = formats::read_model_config(folder);
  return checked(tokenizer::load_tokenizer(
                     folder, {.bos_id = config.bos_token_id, .eos_id = config.eos_token_id}),
                 config, folder);
}

}  // namespace

Tokenizer read_tokenizer(const fs::path& path) {
  switch (model_path_kind("read_tokenizer", path)) {
    case ModelPathKind::kFolder:
      return read_from_folder(path);
    case ModelPathKind::kConfigFile:
      return read_from_folder(path.parent_path());
    case ModelPathKind::kGguf:
      break;
  }
  const auto file = formats::GgufFile::open(path);
  return checked(tokenizer::make_tokenizer(formats::read_gguf_vocabulary(*file)),
                 formats::read_model_config(*file), path);
}

}  // namespace cpx::models
