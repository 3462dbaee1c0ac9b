// SPDX-License-Identifier: Apache-2.0
// JSON documents whose values know where they stand: every complaint names the file, the key, what
// was found and what was expected. Objects keep the order of their keys, numbers their digits.
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

/// A value of a JSON document; keeps the document alive, and is cheap to copy.
///
/// Only what is asked for must be right: a key that stands twice in an object is an error for who
/// looks it up, and for members(); null counts as absent. What is not as it was expected is a
/// DataError, "[place] 'key.path[3]' is VALUE, expected EXPECTED."
class JsonValue {
 public:
  /// The deepest nesting that is read, as in serde_json, the reader of the Rust libraries.
  static constexpr int kMaxDepth = 128;

  /// The value in `text`, which is UTF-8. `place` opens every message: "[where] a/config.json", or
  /// with nothing behind the brackets "[a.jsonl: record 2, line 2]". Throws DataError for what is
  /// not UTF-8, not JSON, or nested too deep.
  static JsonValue parse(std::string place, std::string_view text, TextOrigin origin = {});
  /// The content of a file, a byte order mark aside; `where` names the reader in messages.
  static JsonValue read_file(std::string_view where, const std::filesystem::path& file);
  /// The same for a file that must hold an object.
  static JsonValue read_object(std::string_view where, const std::filesystem::path& file);

  bool is_null() const;
  bool is_boolean() const;
  bool is_number() const;
  bool is_integer() const;
  bool is_text() const;
  bool is_list() const;
  bool is_object() const;
  /// True for this very text.
  bool is(std::string_view text) const;

  /// The members or elements of an object or a list; 0 for other values.
  size_t size() const;

  /// The member `key`; absent or null: nothing.
  std::optional<JsonValue> find(std::string_view key) const;
  /// The member `key`, which must be there and not null.
  JsonValue at(std::string_view key) const;
  /// True where the key is there, with null too.
  bool contains(std::string_view key) const;
  /// In the file's order; each key must stand there once.
  std::vector<JsonMember> members() const;
  std::vector<JsonValue> elements() const;

  std::string text() const;
  /// The same without a copy; lives as long as the document.
  std::string_view text_view() const;
  bool boolean() const;
  /// An integer within [low, high].
  int64_t integer(int64_t low = std::numeric_limits<int64_t>::min(),
                  int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// The same, or nothing where it is none.
  std::optional<int64_t> as_integer(int64_t low = std::numeric_limits<int64_t>::min(),
                                    int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// Finite; an integer reads as double too.
  double number() const;
  /// The number as it is written in the file.
  std::string_view digits() const;

  /// Typed lookups: nothing where the key is absent or null.
  std::optional<std::string> find_text(std::string_view key) const;
  std::optional<bool> find_boolean(std::string_view key) const;
  std::optional<int64_t> find_integer(std::string_view key) const;
  std::optional<double> find_number(std::string_view key) const;
  std::optional<JsonValue> find_object(std::string_view key) const;
  std::string text_or(std::string_view key, std::string_view fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;

  /// The value on one line of JSON: numbers with the digits of the file, texts as UTF-8.
  std::string json() const;
  /// The value in a few words for messages: 'text', 3.5, null, [1,2], or "a list" for a long one.
  std::string describe() const;
  /// The keys of an object in the file's order, one that is there twice as well.
  std::vector<std::string> keys() const;
  /// The same for messages: "input, id".
  std::string names() const;

  const std::string& place() const;
  /// Another place for this and all other values of the document.
  void set_place(std::string place);
  /// Keys from the root, as in "model.merges[3]"; empty at the root.
  std::string path() const;

  /// What fail() says.
  std::string fault(std::string_view expected) const;
  /// "[place] 'path.key' is missing, expected EXPECTED."
  std::string fault_missing(std::string_view key, std::string_view expected = "") const;
  [[noreturn]] void fail(std::string_view expected) const;
  /// fail() of the member `key`, or fail_missing() where there is none.
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

/// A key of an object and its value; the key lives as long as the document.
struct JsonMember {
  std::string_view key;
  JsonValue value;
};

/// An object in the making, whose values are JSON already.
class JsonObjectText {
 public:
  JsonObjectText() = default;
  /// The members of `object` as they are, in their order.
  explicit JsonObjectText(const JsonValue& object);

  bool contains(std::string_view key) const;
  /// Takes the place of a member of that name, or goes to the end.
  void set(std::string_view key, std::string json);
  void erase(std::string_view key);
  /// The object on one line.
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
/// A number with as many digits as give it back; null for what is not finite.
std::string json_of(double number);
/// A list of values that are JSON already.
std::string json_list(const std::vector<std::string>& values);

/// `place` with `message` behind it: "[where] file: message", or "[place] message".
std::string at_place(std::string_view place, std::string_view message);

}  // namespace cpx
