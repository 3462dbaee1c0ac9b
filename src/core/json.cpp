// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory_resource>

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/core/text_file.h"
#include "cpx/core/utf8.h"

namespace cpx {

namespace {

using Library = nlohmann::json;

constexpr size_t kDescribedBytes = 60;  // of a list or an object in a message
constexpr size_t kReasonBytes = 200;
constexpr size_t kFirstBytes = 512;  // of a document: most are a line of a file

}  // namespace

struct JsonValue::Node {
  enum class Kind : uint8_t { kNull, kBoolean, kNumber, kText, kList, kObject };

  std::string_view key;   // of a member
  std::string_view text;  // of a text, or how a number or boolean is written
  const Node* parent = nullptr;
  Node* first = nullptr;  // child
  Node* next = nullptr;   // sibling
  uint32_t size = 0;      // children
  Kind kind = Kind::kNull;
  bool has_repeated_key = false;
  std::string_view repeated_key;

  bool holds_values() const { return kind == Kind::kList || kind == Kind::kObject; }
};

struct JsonValue::Document {
  std::string place;
  std::pmr::monotonic_buffer_resource memory{kFirstBytes};
  Node* root = nullptr;

  Node* make_node() {
    return new (memory.allocate(sizeof(Node), alignof(Node))) Node();  // needs no destructor
  }
  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    auto* bytes = static_cast<char*>(memory.allocate(text.size(), 1));
    std::memcpy(bytes, text.data(), text.size());
    return {bytes, text.size()};
  }
};

namespace {

using Kind = JsonValue::Node::Kind;

// Marks an object that holds a key twice.
void note_repeated_key(JsonValue::Node& object) {
  std::vector<std::string_view> keys;
  keys.reserve(object.size);
  for (const auto* member = object.first; member != nullptr; member = member->next) {
    keys.push_back(member->key);
  }
  std::sort(keys.begin(), keys.end());
  const auto repeated = std::adjacent_find(keys.begin(), keys.end());
  object.has_repeated_key = repeated != keys.end();
  if (object.has_repeated_key) object.repeated_key = *repeated;
}

// Builds a document out of the parser's events.
class Builder final : public nlohmann::json_sax<Library> {
 public:
  explicit Builder(JsonValue::Document& document) : document_(document) {}

  bool null() override { return add(Kind::kNull, {}); }
  bool boolean(bool value) override { return add(Kind::kBoolean, value ? "true" : "false"); }
  // The library has a signed zero for "-0" alone.
  bool number_integer(number_integer_t value) override {
    return add(Kind::kNumber, value == 0 ? "-0" : std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add(Kind::kNumber, std::to_string(value));
  }
  bool number_float(number_float_t, const string_t& digits) override {
    return add(Kind::kNumber, digits);
  }
  bool string(string_t& text) override { return add(Kind::kText, text); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Kind::kObject); }
  bool start_array(size_t) override { return open(Kind::kList); }
  bool end_object() override {
    note_repeated_key(*open_.back().node);
    return close();
  }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    key_ = document_.keep(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    reason_ = error.what();
    return false;
  }

  bool is_too_deep() const { return is_too_deep_; }
  // What the parser said.
  const std::string& reason() const { return reason_; }

 private:
  struct Open {
    JsonValue::Node* node;
    JsonValue::Node* last;  // child
  };

  bool add(Kind kind, std::string_view text) {
    JsonValue::Node* node = document_.make_node();
    node->kind = kind;
    node->text = document_.keep(text);
    if (open_.empty()) {
      document_.root = node;
    } else {
      Open& parent = open_.back();
      node->parent = parent.node;
      node->key = key_;
      (parent.last == nullptr ? parent.node->first : parent.last->next) = node;
      parent.last = node;
      ++parent.node->size;
    }
    key_ = {};
    last_added_ = node;
    return true;
  }
  bool open(Kind kind) {
    is_too_deep_ = open_.size() >= JsonValue::kMaxDepth;
    if (is_too_deep_) return false;
    add(kind, {});
    open_.push_back({last_added_, nullptr});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  JsonValue::Document& document_;
  std::vector<Open> open_;
  std::string_view key_;
  JsonValue::Node* last_added_ = nullptr;
  bool is_too_deep_ = false;
  std::string reason_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 7: ..." without its number, and
// with the line of the file.
std::string reason_of(std::string_view said, int64_t first_line) {
  if (const auto end = said.find("] "); end != said.npos) said.remove_prefix(end + 2);
  constexpr std::string_view kLine = "parse error at line ";
  int64_t line = 0;
  if (said.starts_with(kLine)) {
    const auto* begin = said.data() + kLine.size();
    const auto [end, error] = std::from_chars(begin, said.data() + said.size(), line);
    if (error == std::errc()) {
      const std::string_view rest(end, static_cast<size_t>(said.data() + said.size() - end));
      return fmt::format("{}{}{}", kLine, line + first_line - 1, printable(rest, kReasonBytes));
    }
  }
  return printable(said, kReasonBytes);
}

void check_utf8(const std::string& place, std::string_view text, TextOrigin origin) {
  const auto bad = first_invalid_utf8(text);
  if (!bad) return;
  const auto* begin = text.data();
  const int64_t line = origin.line + std::count(begin, begin + *bad, '\n');
  throw DataError(not_utf8(place, line, text[*bad], origin.offset + *bad));
}

template <class T>
std::optional<T> parse_number(std::string_view digits) {
  T value{};
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

void append_json(const JsonValue::Node& node, std::string& text) {
  if (node.kind == Kind::kText) {
    text += json_of(node.text);
  } else if (node.kind == Kind::kNull) {
    text += "null";
  } else if (!node.holds_values()) {
    text += node.text;
  } else {
    const bool is_list = node.kind == Kind::kList;
    text += is_list ? '[' : '{';
    for (const auto* child = node.first; child != nullptr; child = child->next) {
      if (child != node.first) text += ',';
      if (!is_list) text += json_of(child->key) + ':';
      append_json(*child, text);
    }
    text += is_list ? ']' : '}';
  }
}

size_t index_of(const JsonValue::Node& node) {
  size_t index = 0;
  for (const auto* child = node.parent->first; child != &node; child = child->next) ++index;
  return index;
}

std::string path_of(const JsonValue::Node& node) {
  if (node.parent == nullptr) return {};
  const std::string parent = path_of(*node.parent);
  if (node.parent->kind == Kind::kList) return fmt::format("{}[{}]", parent, index_of(node));
  const std::string key = printable(node.key);
  return parent.empty() ? key : parent + "." + key;
}

}  // namespace

std::string at_place(std::string_view place, std::string_view message) {
  return fmt::format("{}{} {}", place, place.ends_with(']') ? "" : ":", message);
}

JsonValue JsonValue::parse(std::string place, std::string_view text, TextOrigin origin) {
  check_utf8(place, text, origin);
  auto document = std::make_shared<Document>();
  Builder builder(*document);
  if (!Library::sax_parse(text, &builder)) {
    throw DataError(at_place(
        place,
        builder.is_too_deep()
            ? fmt::format("is JSON nested deeper than {} levels.", kMaxDepth)
            : fmt::format("is not valid JSON: {}.", reason_of(builder.reason(), origin.line))));
  }
  document->place = std::move(place);
  const Node* root = document->root;
  return {std::move(document), root};
}

JsonValue JsonValue::read_file(std::string_view where, const std::filesystem::path& file) {
  return parse(fmt::format("[{}] {}", where, file.string()), read_text(file));
}

JsonValue JsonValue::read_object(std::string_view where, const std::filesystem::path& file) {
  JsonValue value = read_file(where, file);
  if (!value.is_object()) value.fail("an object");
  return value;
}

bool JsonValue::is_null() const { return node_->kind == Kind::kNull; }
bool JsonValue::is_boolean() const { return node_->kind == Kind::kBoolean; }
bool JsonValue::is_number() const { return node_->kind == Kind::kNumber; }
bool JsonValue::is_integer() const {
  return is_number() && node_->text.find_first_of(".eE") == std::string_view::npos;
}
bool JsonValue::is_text() const { return node_->kind == Kind::kText; }
bool JsonValue::is_list() const { return node_->kind == Kind::kList; }
bool JsonValue::is_object() const { return node_->kind == Kind::kObject; }
bool JsonValue::is(std::string_view text) const { return is_text() && node_->text == text; }

size_t JsonValue::size() const { return node_->size; }

void JsonValue::require_object(std::string_view key) const {
  if (!is_object()) fail(fmt::format("an object with {}", quote(key)));
}

// The member `key`, or nullptr; one that is there twice is an error.
const JsonValue::Node* JsonValue::child(std::string_view key) const {
  require_object(key);
  const Node* found = nullptr;
  for (const Node* member = node_->first; member != nullptr; member = member->next) {
    if (member->key != key) continue;
    if (found != nullptr) {
      throw DataError(
          at_place(place(), fmt::format("'{}' is there twice, expected once.", path_of(*member))));
    }
    found = member;
    if (!node_->has_repeated_key) break;
  }
  return found;
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const {
  const Node* found = child(key);
  if (found == nullptr || found->kind == Kind::kNull) return std::nullopt;
  return JsonValue(document_, found);
}

JsonValue JsonValue::at(std::string_view key) const {
  auto value = find(key);
  if (!value) fail_missing(key);
  return *value;
}

bool JsonValue::contains(std::string_view key) const { return child(key) != nullptr; }

std::vector<JsonMember> JsonValue::members() const {
  if (!is_object()) fail("an object");
  if (node_->has_repeated_key) child(node_->repeated_key);  // throws
  std::vector<JsonMember> members;
  members.reserve(node_->size);
  for (const Node* member = node_->first; member != nullptr; member = member->next) {
    members.push_back({member->key, JsonValue(document_, member)});
  }
  return members;
}

std::vector<JsonValue> JsonValue::elements() const {
  if (!is_list()) fail("a list");
  std::vector<JsonValue> elements;
  elements.reserve(node_->size);
  for (const Node* element = node_->first; element != nullptr; element = element->next) {
    elements.push_back(JsonValue(document_, element));
  }
  return elements;
}

std::string JsonValue::text() const { return std::string(text_view()); }

std::string_view JsonValue::text_view() const {
  if (!is_text()) fail("a text");
  return node_->text;
}

bool JsonValue::boolean() const {
  if (!is_boolean()) fail("true or false");
  return node_->text == "true";
}

std::optional<int64_t> JsonValue::as_integer(int64_t low, int64_t high) const {
  const auto value = is_integer() ? parse_number<int64_t>(node_->text) : std::nullopt;
  return value && *value >= low && *value <= high ? value : std::nullopt;
}

int64_t JsonValue::integer(int64_t low, int64_t high) const {
  if (const auto value = as_integer(low, high)) return *value;
  const bool is_any =
      low == std::numeric_limits<int64_t>::min() && high == std::numeric_limits<int64_t>::max();
  fail(is_any ? "an integer" : fmt::format("an integer from {} to {}", low, high));
}

double JsonValue::number() const {
  const auto value = is_number() ? parse_number<double>(node_->text) : std::nullopt;
  if (!value || !std::isfinite(*value)) fail("a number");
  return *value;
}

std::string_view JsonValue::digits() const {
  if (!is_number()) fail("a number");
  return node_->text;
}

std::optional<std::string> JsonValue::find_text(std::string_view key) const {
  const auto value = find(key);
  return value ? std::optional(value->text()) : std::nullopt;
}

std::optional<bool> JsonValue::find_boolean(std::string_view key) const {
  const auto value = find(key);
  return value ? std::optional(value->boolean()) : std::nullopt;
}

std::optional<int64_t> JsonValue::find_integer(std::string_view key) const {
  const auto value = find(key);
  return value ? std::optional(value->integer()) : std::nullopt;
}

std::optional<double> JsonValue::find_number(std::string_view key) const {
  const auto value = find(key);
  return value ? std::optional(value->number()) : std::nullopt;
}

std::optional<JsonValue> JsonValue::find_object(std::string_view key) const {
  auto value = find(key);
  if (value && !value->is_object()) value->fail("an object");
  return value;
}

std::string JsonValue::text_or(std::string_view key, std::string_view fallback) const {
  const auto value = find(key);
  return value ? value->text() : std::string(fallback);
}

bool JsonValue::boolean_or(std::string_view key, bool fallback) const {
  const auto value = find(key);
  return value ? value->boolean() : fallback;
}

std::string JsonValue::json() const {
  std::string text;
  append_json(*node_, text);
  return text;
}

std::string JsonValue::describe() const {
  if (is_text()) return quote(node_->text);
  if (!node_->holds_values()) return printable(json());
  // The text is longer than its values are many: no need to write out a large one.
  const std::string text = node_->size > kDescribedBytes ? "" : json();
  if (!text.empty() && text.size() <= kDescribedBytes) return printable(text);
  return is_list() ? "a list" : "an object";
}

std::vector<std::string> JsonValue::keys() const {
  std::vector<std::string> keys;
  for (const Node* member = node_->first; member != nullptr; member = member->next) {
    keys.emplace_back(member->key);
  }
  return keys;
}

std::string JsonValue::names() const {
  std::string names;
  for (const std::string& key : keys()) names += (names.empty() ? "" : ", ") + printable(key);
  return names.empty() ? "none" : names;
}

const std::string& JsonValue::place() const { return document_->place; }
void JsonValue::set_place(std::string place) { document_->place = std::move(place); }
std::string JsonValue::path() const { return path_of(*node_); }

std::string JsonValue::fault(std::string_view expected) const {
  const std::string key = path();
  return at_place(place(),
                  fmt::format("{}is {}, expected {}.", key.empty() ? "" : fmt::format("'{}' ", key),
                              describe(), expected));
}

std::string JsonValue::fault_missing(std::string_view key, std::string_view expected) const {
  const std::string parent = path();
  return at_place(place(),
                  fmt::format("'{}{}{}' is missing{}{}.", parent, parent.empty() ? "" : ".",
                              printable(key), expected.empty() ? "" : ", expected ", expected));
}

void JsonValue::fail(std::string_view expected) const { throw DataError(fault(expected)); }

void JsonValue::fail(std::string_view key, std::string_view expected) const {
  const Node* found = child(key);
  if (found == nullptr) fail_missing(key, expected);
  JsonValue(document_, found).fail(expected);
}

void JsonValue::fail_missing(std::string_view key, std::string_view expected) const {
  throw DataError(fault_missing(key, expected));
}

JsonObjectText::JsonObjectText(const JsonValue& object) {
  if (!object.is_object()) object.fail("an object");
  for (const auto* member = object.node_->first; member != nullptr; member = member->next) {
    members_.push_back({std::string(member->key), JsonValue(object.document_, member).json()});
  }
}

bool JsonObjectText::contains(std::string_view key) const {
  return std::ranges::find(members_, key, &Member::key) != members_.end();
}

void JsonObjectText::set(std::string_view key, std::string json) {
  const auto found = std::ranges::find(members_, key, &Member::key);
  if (found != members_.end()) {
    found->json = std::move(json);
  } else {
    members_.push_back({std::string(key), std::move(json)});
  }
}

void JsonObjectText::erase(std::string_view key) {
  std::erase_if(members_, [&](const Member& member) { return member.key == key; });
}

std::string JsonObjectText::json() const {
  std::string text;
  for (const Member& member : members_) {
    text += fmt::format("{}{}:{}", text.empty() ? "{" : ",", json_of(member.key), member.json);
  }
  return text.empty() ? "{}" : text + "}";
}

std::string json_of(std::string_view text) {
  return Library(text).dump(-1, ' ', /*ensure_ascii=*/false, Library::error_handler_t::replace);
}

std::string json_of(double number) { return Library(number).dump(); }

std::string json_list(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ",") + value;
  return "[" + text + "]";
}

}  // namespace cpx
