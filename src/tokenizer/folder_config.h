// SPDX-License-Identifier: Apache-2.0
// What the small files beside a tokenizer say: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json, chat_template.jinja, additional_chat_templates. None of them has to be there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"

namespace cpx::tokenizer {

/// A special token that a file names, for example as its `bos_token`.
struct NamedToken {
  /// The file and key it stands at, for messages.
  std::string place;
  /// Its flags; the id is not known yet.
  AddedToken token;
};

struct FolderConfig {
  std::optional<NamedToken> bos;
  std::optional<NamedToken> eos;
  std::optional<NamedToken> unk;
  std::optional<NamedToken> sep;
  std::optional<NamedToken> pad;
  std::optional<NamedToken> cls;
  std::optional<NamedToken> mask;
  /// All named special tokens, BOS and EOS among them.
  std::vector<NamedToken> named_tokens;
  /// Tokens with an id of their own (`added_tokens_decoder`, added_tokens.json).
  std::vector<AddedToken> added_tokens;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<bool> add_prefix_space;
  /// Of BERT's tokenizers.
  std::optional<bool> do_lower_case;
  std::optional<bool> strip_accents;
  std::optional<bool> tokenize_chinese_chars;
  /// `tokenizer_class`; empty where it is not given.
  std::string tokenizer_class;
  /// Llama's older behaviour around special tokens.
  bool is_legacy = false;
  /// For a chat without tools.
  std::string chat_template;
};

/// True where `path` is a file (or a link to one).
bool is_file(const std::filesystem::path& path);

/// Throws DataError that names file and key on anything that is not understood.
FolderConfig read_folder_config(const std::filesystem::path& folder);

}  // namespace cpx::tokenizer
