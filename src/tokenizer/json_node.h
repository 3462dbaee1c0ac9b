// SPDX-License-Identifier: Apache-2.0
// JSON values that know where they stand, so that every complaint names file and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace cpx::tokenizer {

/// A value of a JSON document; keeps the document alive. Every access throws DataError with file,
/// key, what was found and what was expected.
class JsonNode {
 public:
  /// The root of the JSON file `path`; throws DataError where it cannot be read or parsed.
  static JsonNode read_file(const std::filesystem::path& path);

  /// The member `key`; absent or null: nothing.
  std::optional<JsonNode> find(const std::string& key) const;
  /// The member `key`, which must be there and not null.
  JsonNode at(const std::string& key) const;
  std::vector<JsonNode> elements() const;

  const std::string& text() const;
  bool boolean() const;
  /// An integer within [low, high].
  int64_t integer(int64_t low, int64_t high) const;

  std::string text_or(const std::string& key, const std::string& fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;

  const nlohmann::json& raw() const { return *value_; }
  const std::string& file() const { return *file_; }
  /// Keys from the root, as in "model.merges[3]"; empty at the root.
  const std::string& path() const { return path_; }

  /// Throws DataError "[tokenizer] FILE: 'PATH' is VALUE, expected `expected`."
  [[noreturn]] void fail(std::string_view expected) const;
  /// The same for a part of this value that `raw()` was searched for: `suffix` extends the path.
  [[noreturn]] void fail_at(const std::string& suffix, const nlohmann::json& value,
                            std::string_view expected) const;

 private:
  JsonNode(std::shared_ptr<const nlohmann::json> root, std::shared_ptr<const std::string> file)
      : root_(std::move(root)), value_(root_.get()), file_(std::move(file)) {}
  JsonNode child(const nlohmann::json& value, const std::string& suffix) const;
  void require_object(const std::string& key) const;

  std::shared_ptr<const nlohmann::json> root_;
  const nlohmann::json* value_;
  std::shared_ptr<const std::string> file_;
  std::string path_;
  int depth_ = 0;
};

/// `text` between quotes on one line: control characters escaped, cut after 60 bytes.
std::string in_quotes(std::string_view text);

}  // namespace cpx::tokenizer
