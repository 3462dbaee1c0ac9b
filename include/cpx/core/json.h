// SPDX-License-Identifier: Apache-2.0
// JSON documents whose values know their location, so that every message names the file, the key,
// the value found and the value expected. Objects keep the order of their keys, numbers keep their
// digits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cpx {

struct JsonMember;

/// Where a text begins in its file.
struct TextOrigin {
  int64_t line = 1;
  size_t offset = 0;  // bytes
};

/// A value of a JSON document; it keeps the document alive and is cheap to copy.
///
/// Values are checked when they are read: a duplicate key is an error only when it is looked up, or
/// when members() is called; null counts as absent. A wrong value throws DataError, "[place]
/// 'key.path[3]' is VALUE, expected EXPECTED."
class JsonValue {
 public:
  /// The deepest nesting that is read, as in serde_json, the reader of the Rust libraries.
  static constexpr int kMaxDepth = 128;

  /// Parses `text` (UTF-8). `place` begins every message: "[where] a/config.json", or, with nothing
  /// behind the brackets, "[a.jsonl: record 2, line 2]". Throws DataError for text that is not
  /// UTF-8, not JSON, or nested too deeply.
  static JsonValue parse(std::string place, std::string_view text, TextOrigin origin = {});
  /// Parses a file, which may begin with a byte order mark; `where` names the reader in messages.
  static JsonValue read_file(std::string_view where, const std::filesystem::path& file);
  /// As read_file(), for a file that must contain an object.
  static JsonValue read_object(std::string_view where, const std::filesystem::path& file);

  bool is_null() const;
  bool is_boolean() const;
  bool is_number() const;
  bool is_integer() const;
  bool is_text() const;
  bool is_list() const;
  bool is_object() const;
  /// True if the value is a string equal to `text`.
  bool is(std::string_view text) const;

  /// Number of members of an object or elements of a list; 0 for other values.
  size_t size() const;

  /// The member `key`, or nullopt if it is absent or null.
  std::optional<JsonValue> find(std::string_view key) const;
  /// The member `key`; throws if it is absent or null.
  JsonValue at(std::string_view key) const;
  /// True if the key is present, even with the value null.
  bool contains(std::string_view key) const;
  /// In the order of the file; throws on a duplicate key.
  std::vector<JsonMember> members() const;
  std::vector<JsonValue> elements() const;

  std::string text() const;
  /// As text(), without a copy; valid as long as the document lives.
  std::string_view text_view() const;
  bool boolean() const;
  /// An integer within [low, high].
  int64_t integer(int64_t low = std::numeric_limits<int64_t>::min(),
                  int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// As integer(), or nullopt if the value is not such an integer.
  std::optional<int64_t> as_integer(int64_t low = std::numeric_limits<int64_t>::min(),
                                    int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// A finite number; integers are converted to double.
  double number() const;
  /// The number as written in the file.
  std::string_view digits() const;

  /// Typed lookups; nullopt if the key is absent or null.
  std::optional<std::string> find_text(std::string_view key) const;
  std::optional<bool> find_boolean(std::string_view key) const;
  std::optional<int64_t> find_integer(std::string_view key) const;
  std::optional<double> find_number(std::string_view key) const;
  std::optional<JsonValue> find_object(std::string_view key) const;
  std::string text_or(std::string_view key, std::string_view fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;

  /// The value as one line of JSON; numbers keep the digits of the file, strings are UTF-8.
  std::string json() const;
  /// The value in a few words for messages: 'text', 3.5, null, [1,2], or "a list" for a long one.
  std::string describe() const;
  /// The keys of an object in the order of the file, with duplicates.
  std::vector<std::string> keys() const;
  /// The keys for messages: "input, id".
  std::string names() const;

  const std::string& place() const;
  /// Changes the place in messages of this value and of all others of the document.
  void set_place(std::string place);
  /// Keys from the root, as in "model.merges[3]"; empty at the root.
  std::string path() const;

  /// The message that fail() throws.
  std::string fault(std::string_view expected) const;
  /// "[place] 'path.key' is missing, expected EXPECTED."
  std::string fault_missing(std::string_view key, std::string_view expected = "") const;
  [[noreturn]] void fail(std::string_view expected) const;
  /// fail() for the member `key`, or fail_missing() if it is absent.
  [[noreturn]] void fail(std::string_view key, std::string_view expected) const;
  [[noreturn]] void fail_missing(std::string_view key, std::string_view expected = "") const;

  struct Document;
  struct Node;

 private:
  JsonValue(std::shared_ptr<Document> document, const Node* node)
      : document_(std::move(document)), node_(node) {}
  friend class JsonObjectText;

  const Node* child(std::string_view key) const;
  void require_object(std::string_view key) const;

  std::shared_ptr<Document> document_;
  const Node* node_;
};

/// A key of an object and its value; the key is valid as long as the document lives.
struct JsonMember {
  std::string_view key;
  JsonValue value;
};

/// Builds an object from values that are JSON text already.
class JsonObjectText {
 public:
  JsonObjectText() = default;
  /// Starts with the members of `object`, in their order.
  explicit JsonObjectText(const JsonValue& object);

  bool contains(std::string_view key) const;
  /// Replaces the member of that name, or appends one.
  void set(std::string_view key, std::string json);
  void erase(std::string_view key);
  /// The object as one line of JSON.
  std::string json() const;

 private:
  struct Member {
    std::string key;
    std::string json;
  };
  std::vector<Member> members_;
};

/// `text` as a JSON string; bytes that are not UTF-8 become U+FFFD.
std::string json_of(std::string_view text);
/// A number with enough digits to read back the same value; null if it is not finite.
std::string json_of(double number);
/// A list of values that are JSON text already.
std::string json_list(const std::vector<std::string>& values);

/// Joins place and message: "[where] file: message", or "[place] message".
std::string at_place(std::string_view place, std::string_view message);

}  // namespace cpx
