// SPDX-License-Identifier: Apache-2.0
#include "folder_config.h"

#include <algorithm>
#include <charconv>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "cpx/core/text.h"
#include "cpx/core/text_file.h"
#include "pipeline_tokenizer.h"
#include "tokenizer_json.h"

namespace cpx::tokenizer {

namespace {

// In transformers' order (SPECIAL_TOKENS_ATTRIBUTES), which numbers those that are new.
constexpr const char* kNamedKeys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                      "pad_token", "cls_token", "mask_token"};
constexpr const char* kListKeys[] = {"additional_special_tokens", "extra_special_tokens"};

// A special token given as text or as an object with flags.
NamedToken parse_named_token(const JsonValue& node) {
  NamedToken named;
  named.place = fmt::format("{}: '{}'", node.place(), node.path());
  if (node.is_object()) {
    named.token = parse_added_token(node, 0);
  } else {
    if (!node.is_text() || node.is("")) node.fail("a text, or an object with 'content'");
    named.token.content = node.text();
  }
  named.token.is_special = true;
  return named;
}

// Some files have an empty pad_token, or a number, for none; a text is not begun or ended by it.
bool is_passed_over(std::string_view key, const JsonValue& node) {
  const bool has_a_use =
      key == "bos_token" || key == "eos_token" || key == "cls_token" || key == "sep_token";
  return node.is("") || (!has_a_use && !node.is_text() && !node.is_object());
}

void add_named_token(NamedToken named, FolderConfig& config) {
  const auto is_same = [&](const NamedToken& known) {
    return known.token.content == named.token.content;
  };
  if (std::none_of(config.named_tokens.begin(), config.named_tokens.end(), is_same)) {
    config.named_tokens.push_back(std::move(named));
  }
}

// Named tokens of tokenizer_config.json or special_tokens_map.json; the first file that names a
// token decides.
void read_named_tokens(const JsonValue& root, FolderConfig& config) {
  for (const char* key : kNamedKeys) {
    const auto node = root.find(key);
    if (!node || is_passed_over(key, *node)) continue;
    const NamedToken named = parse_named_token(*node);
    const auto keep_first = [&](std::string_view name, std::optional<NamedToken>& kept) {
      if (name == key && !kept) kept = named;
    };
    keep_first("bos_token", config.bos);
    keep_first("eos_token", config.eos);
    keep_first("unk_token", config.unk);
    keep_first("sep_token", config.sep);
    keep_first("pad_token", config.pad);
    keep_first("cls_token", config.cls);
    keep_first("mask_token", config.mask);
    add_named_token(named, config);
  }
  for (const char* key : kListKeys) {
    const auto node = root.find(key);
    if (!node || !node->is_list()) continue;  // extra_special_tokens may be an object
    for (const auto& element : node->elements()) {
      add_named_token(parse_named_token(element), config);
    }
  }
}

TokenId parse_id_key(const JsonValue& node, std::string_view key) {
  int64_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id < 0 ||
      id >= kMaxVocabularySize) {
    throw_<DataError>("{}: '{}' has the key {}, expected an id from 0 to {}.", node.place(),
                      node.path(), quote(key), kMaxVocabularySize - 1);
  }
  return static_cast<TokenId>(id);
}

void read_added_tokens_decoder(const JsonValue& node, FolderConfig& config) {
  if (!node.is_object()) node.fail("an object of id and token");
  for (const auto& [key, value] : node.members()) {
    const TokenId id = parse_id_key(node, key);
    config.added_tokens.push_back(parse_added_token(value, id));
  }
}

// The template named "default" of a list of named ones; a text is the template itself.
std::string parse_chat_template(const JsonValue& node) {
  if (!node.is_list()) return node.text();
  for (const auto& element : node.elements()) {
    if (element.at("name").is("default")) return element.at("template").text();
  }
  return "";
}

void read_tokenizer_config(const JsonValue& root, FolderConfig& config) {
  read_named_tokens(root, config);
  const auto read_flag = [&](const char* key, std::optional<bool>& flag) {
    if (const auto node = root.find(key)) flag = node->boolean();
  };
  read_flag("add_bos_token", config.add_bos);
  read_flag("add_eos_token", config.add_eos);
  read_flag("add_prefix_space", config.add_prefix_space);
  // Only BERT's tokenizers are asked for these.
  const auto read_bert_flag = [&](const char* key, std::optional<bool>& flag) {
    if (const auto node = root.find(key); node && node->is_boolean()) flag = node->boolean();
  };
  read_bert_flag("do_lower_case", config.do_lower_case);
  read_bert_flag("strip_accents", config.strip_accents);
  read_bert_flag("tokenize_chinese_chars", config.tokenize_chinese_chars);
  if (const auto node = root.find("tokenizer_class"); node && node->is_text()) {
    config.tokenizer_class = node->text();
  }
  config.is_legacy = root.boolean_or("legacy", false);
  if (const auto node = root.find("added_tokens_decoder")) read_added_tokens_decoder(*node, config);
  if (const auto node = root.find("chat_template")) {
    config.chat_template = parse_chat_template(*node);
  }
}

// Templates in files of their own stand in for those of tokenizer_config.json, as in transformers:
// where there are only named ones, a model has none for a chat without tools.
void read_template_files(const std::filesystem::path& folder, FolderConfig& config) {
  const auto named = folder / "additional_chat_templates";
  std::error_code error;
  const bool has_named = std::any_of(
      std::filesystem::directory_iterator(named, error), std::filesystem::directory_iterator(),
      [](const auto& entry) { return entry.path().extension() == ".jinja"; });
  for (const auto& file : {named / "default.jinja", folder / "chat_template.jinja"}) {
    if (!is_file(file)) continue;
    config.chat_template = read_text(file);
    return;
  }
  if (has_named) config.chat_template.clear();
}

// added_tokens.json: spelling to id.
void read_added_tokens_file(const JsonValue& root, FolderConfig& config) {
  if (!root.is_object()) root.fail("an object of token and id");
  for (const JsonMember& member : root.members()) {
    const std::string content(member.key);
    const auto is_same = [&](const AddedToken& known) { return known.content == content; };
    const bool is_known =
        std::any_of(config.added_tokens.begin(), config.added_tokens.end(), is_same);
    if (is_known || content.empty()) continue;
    const auto id = member.value.integer(0, kMaxVocabularySize - 1);
    config.added_tokens.push_back(
        {.content = content, .id = static_cast<TokenId>(id), .normalized = true});
  }
}

}  // namespace

bool is_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

FolderConfig read_folder_config(const std::filesystem::path& folder) {
  FolderConfig config;
  const auto read = [&](const char* name, auto&& use) {
    const auto path = folder / name;
    if (is_file(path)) use(JsonValue::read_file("tokenizer", path), config);
  };
  read("tokenizer_config.json", read_tokenizer_config);
  read("special_tokens_map.json", read_named_tokens);
  read("added_tokens.json", read_added_tokens_file);
  read_template_files(folder, config);
  return config;
}

}  // namespace cpx::tokenizer
