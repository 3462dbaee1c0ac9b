// SPDX-License-Identifier: Apache-2.0
// JSON objects from files, with lookups whose errors name the file and the key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace cpx::formats {

using Json = nlohmann::json;

/// The JSON object in `text`. `place` opens every message: "[where] file". Throws DataError for
/// what is not JSON, not an object, holds a key twice or is nested deeper than 32 levels.
Json parse_json_object(const std::string& place, std::string_view text);

/// The JSON object in a file; `where` names the reader in messages.
Json read_json_object(std::string_view where, const std::filesystem::path& path);

/// Typed lookups in a JSON object, which must outlive this view; null counts as absent. A value of
/// another type is a DataError.
class JsonFields {
 public:
  /// `prefix` goes before every key in messages: "rope_scaling.".
  JsonFields(std::string place, const Json& object, std::string prefix = "");

  /// The value of `key`, or nullptr when it is absent or null.
  const Json* find(const std::string& key) const;
  std::optional<int64_t> find_int(const std::string& key) const;
  /// Finite; an integer reads as double too.
  std::optional<double> find_double(const std::string& key) const;
  std::optional<bool> find_bool(const std::string& key) const;
  std::optional<std::string> find_text(const std::string& key) const;
  std::optional<JsonFields> find_object(const std::string& key) const;

  int64_t require_int(const std::string& key) const;
  double require_double(const std::string& key) const;

  const Json& object() const { return object_; }
  /// Throws DataError: "[where] file: 'key' is VALUE, expected EXPECTED."
  [[noreturn]] void fail(const std::string& key, std::string_view expected) const;
  [[noreturn]] void fail_missing(const std::string& key) const;

 private:
  std::string place_;
  const Json& object_;
  std::string prefix_;
};

}  // namespace cpx::formats
