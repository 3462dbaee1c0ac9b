// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <fmt/format.h>

#include "cpx/models/load.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/tokenizer/load.h"
#include "model_path.h"

namespace cpx::models {

namespace fs = std::filesystem;

namespace {

using Tokenizer = std::shared_ptr<const tokenizer::Tokenizer>;

// An id without a row in the embedding would reach past its end.
Tokenizer limited(Tokenizer result, const formats::ModelConfig& config) {
  return tokenizer::limited_to(std::move(result), config.vocab_size,
                               fmt::format("{}: vocab_size", config.source));
}

Tokenizer read_from_folder(const fs::path& folder) {
  const auto config = formats::read_model_config(folder);
  return limited(tokenizer::load_tokenizer(
                     folder, {.bos_id = config.bos_token_id, .eos_id = config.eos_token_id}),
                 config);
}

}  // namespace

Tokenizer read_tokenizer(const fs::path& path) {
  const ModelPlace place = model_place("read_tokenizer", path);
  if (place.kind != ModelPathKind::kGguf) return read_from_folder(place.path);
  const auto file = formats::GgufFile::open(place.path);
  return limited(tokenizer::make_tokenizer(formats::read_gguf_vocabulary(*file)),
                 formats::read_model_config(*file));
}

}  // namespace cpx::models
