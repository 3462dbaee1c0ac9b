// SPDX-License-Identifier: Apache-2.0
#include "overrides.h"

#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace cpx::config {
namespace {

std::vector<std::string> split_key(std::string_view key) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('.', begin), key.size());
    parts.emplace_back(key.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Nothing behind the '=' is null, as an empty value in a file is.
YamlNodePtr parse_value(std::string_view text, const std::string& label, Faults& faults) {
  if (text.find_first_not_of(' ') == std::string_view::npos) {
    auto nothing = std::make_shared<YamlNode>();
    nothing->origin.label = std::make_shared<const std::string>(label);
    return nothing;
  }
  return parse_yaml(text, label, /*first_line=*/0, faults);
}

YamlNodePtr wrap(const std::string& key, const YamlNodePtr& value) {
  auto map = std::make_shared<YamlNode>();
  map->kind = YamlNode::Kind::kMap;
  map->origin = value->origin;
  map->is_path = true;
  map->entries.push_back({key, value->origin, value});
  return map;
}

}  // namespace

YamlNodePtr parse_override(std::string_view text, Faults& faults) {
  const std::string label = fmt::format("command line: {}", shown_text(text));
  const size_t equals = text.find('=');
  const std::vector<std::string> parts = split_key(text.substr(0, equals));
  bool is_key_good = equals != std::string_view::npos;
  for (const std::string& part : parts) {
    is_key_good = is_key_good && part.find_first_not_of(' ') != std::string::npos;
  }
  if (!is_key_good) {
    faults.add(label, "an override: got '{}', expected key=value, such as optimizer.lr=1e-4.",
               shown_text(text));
    return nullptr;
  }
  YamlNodePtr node = parse_value(text.substr(equals + 1), label, faults);
  for (size_t index = parts.size(); node != nullptr && index-- > 0;) {
    node = wrap(parts[index], node);
  }
  return node;
}

}  // namespace cpx::config
