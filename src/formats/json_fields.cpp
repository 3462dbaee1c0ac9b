// SPDX-License-Identifier: Apache-2.0
#include "json_fields.h"

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "quote.h"

namespace cpx::formats {

namespace {

constexpr int kMaxDepth = 32;

// Refuses what the parser lets pass: keys that are there twice, and nesting without end.
class StructureCheck {
 public:
  explicit StructureCheck(const std::string& place) : place_(place) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    if (depth > kMaxDepth) {
      throw_<DataError>("{}: is JSON nested deeper than {} levels.", place_, kMaxDepth);
    }
    if (event == Json::parse_event_t::object_start) {
      keys_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys_.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) {
        throw_<DataError>("{}: {} is there twice, expected once.", place_, quote(key));
      }
    }
    return true;
  }

 private:
  const std::string& place_;
  std::vector<std::set<std::string>> keys_;
};

// The parser's own words without "[json.exception.parse_error.101] ".
std::string reason_of(const Json::exception& error) {
  const std::string_view text = error.what();
  const auto end = text.find("] ");
  return printable(end == std::string_view::npos ? text : text.substr(end + 2));
}

}  // namespace

Json parse_json_object(const std::string& place, std::string_view text) {
  StructureCheck check(place);
  Json parsed;
  try {
    parsed = Json::parse(text, std::ref(check));
  } catch (const Json::exception& error) {
    throw_<DataError>("{}: is not valid JSON: {}.", place, reason_of(error));
  }
  if (!parsed.is_object()) {
    throw_<DataError>("{}: is a JSON {}, expected an object.", place, parsed.type_name());
  }
  return parsed;
}

Json read_json_object(std::string_view where, const std::filesystem::path& path) {
  return parse_json_object(fmt::format("[{}] {}", where, path.string()), read_text_file(path));
}

JsonFields::JsonFields(std::string place, const Json& object, std::string prefix)
    : place_(std::move(place)), object_(object), prefix_(std::move(prefix)) {}

const Json* JsonFields::find(const std::string& key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<int64_t> JsonFields::find_int(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool is_too_large = value->is_number_unsigned() &&
                            value->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
  if (!value->is_number_integer() || is_too_large) fail(key, "an integer");
  return value->get<int64_t>();
}

std::optional<double> JsonFields::find_double(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) fail(key, "a number");
  return value->get<double>();
}

std::optional<bool> JsonFields::find_bool(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonFields::find_text(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail(key, "a text");
  return value->get<std::string>();
}

std::optional<JsonFields> JsonFields::find_object(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fail(key, "an object");
  return JsonFields(place_, *value, prefix_ + key + ".");
}

int64_t JsonFields::require_int(const std::string& key) const {
  const auto value = find_int(key);
  if (!value) fail_missing(key);
  return *value;
}

double JsonFields::require_double(const std::string& key) const {
  const auto value = find_double(key);
  if (!value) fail_missing(key);
  return *value;
}

void JsonFields::fail(const std::string& key, std::string_view expected) const {
  const auto found = object_.find(key);
  const std::string value = found == object_.end() ? "missing" : printable(found->dump());
  throw_<DataError>("{}: '{}{}' is {}, expected {}.", place_, prefix_, printable(key), value,
                    expected);
}

void JsonFields::fail_missing(const std::string& key) const {
  throw_<DataError>("{}: '{}{}' is missing.", place_, prefix_, key);
}

}  // namespace cpx::formats
