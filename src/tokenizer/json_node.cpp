// SPDX-License-Identifier: Apache-2.0
#include "json_node.h"

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"

namespace cpx::tokenizer {

namespace {

constexpr size_t kMaxShownBytes = 60;
constexpr int kMaxJsonDepth = 64;  // real files nest less than ten levels

// What a value is, for messages.
std::string describe(const nlohmann::json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  return value.dump();
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string result = "'";
  for (const char c : text.substr(0, kMaxShownBytes)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + (text.size() > kMaxShownBytes ? "...'" : "'");
}

JsonNode JsonNode::read_file(const std::filesystem::path& path) {
  const std::string content = read_text_file(path);
  const auto file = std::make_shared<const std::string>(path.string());
  try {
    return {std::make_shared<const nlohmann::json>(nlohmann::json::parse(content)), file};
  } catch (const nlohmann::json::exception& error) {
    std::string reason = error.what();
    reason = reason.substr(0, reason.find_first_of("\r\n"));
    throw_<DataError>("[tokenizer] {} is not valid JSON: {}.", *file, reason);
  }
}

JsonNode JsonNode::child(const nlohmann::json& value, const std::string& suffix) const {
  JsonNode node = *this;
  node.value_ = &value;
  node.path_ = path_ + suffix;
  if (++node.depth_ > kMaxJsonDepth) {
    throw_<DataError>("[tokenizer] {}: values are nested more than {} levels deep.", *file_,
                      kMaxJsonDepth);
  }
  return node;
}

void JsonNode::require_object(const std::string& key) const {
  if (!value_->is_object()) fail(fmt::format("an object with '{}'", key));
}

std::optional<JsonNode> JsonNode::find(const std::string& key) const {
  require_object(key);
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return child(*found, path_.empty() ? key : "." + key);
}

JsonNode JsonNode::at(const std::string& key) const {
  auto node = find(key);
  if (node) return *node;
  const std::string full = path_.empty() ? key : path_ + "." + key;
  throw_<DataError>("[tokenizer] {}: '{}' is missing.", *file_, full);
}

std::vector<JsonNode> JsonNode::elements() const {
  if (!value_->is_array()) fail("a list");
  std::vector<JsonNode> result;
  result.reserve(value_->size());
  for (const auto& element : *value_) {
    result.push_back(child(element, fmt::format("[{}]", result.size())));
  }
  return result;
}

const std::string& JsonNode::text() const {
  if (!value_->is_string()) fail("text");
  return value_->get_ref<const std::string&>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) fail("true or false");
  return value_->get<bool>();
}

int64_t JsonNode::integer(int64_t low, int64_t high) const {
  const bool fits = value_->is_number_integer() &&
                    !(value_->is_number_unsigned() &&
                      value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) &&
                    value_->get<int64_t>() >= low && value_->get<int64_t>() <= high;
  if (!fits) fail(fmt::format("an integer from {} to {}", low, high));
  return value_->get<int64_t>();
}

std::string JsonNode::text_or(const std::string& key, const std::string& fallback) const {
  const auto node = find(key);
  return node ? node->text() : fallback;
}

bool JsonNode::boolean_or(const std::string& key, bool fallback) const {
  const auto node = find(key);
  return node ? node->boolean() : fallback;
}

void JsonNode::fail(std::string_view expected) const { fail_at("", *value_, expected); }

void JsonNode::fail_at(const std::string& suffix, const nlohmann::json& value,
                       std::string_view expected) const {
  const std::string path = path_ + suffix;
  const std::string what = path.empty() ? "the file's content" : "'" + path + "'";
  throw_<DataError>("[tokenizer] {}: {} is {}, expected {}.", *file_, what, describe(value),
                    expected);
}

}  // namespace cpx::tokenizer
