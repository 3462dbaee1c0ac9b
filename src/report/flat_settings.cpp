// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/report/run_record.h"

namespace cpx::report {

namespace {

// A value on one line: texts as they are, lists in brackets.
std::string on_one_line(const YAML::Node& node) {
  if (node.IsNull()) return "null";
  if (node.IsScalar()) return node.Scalar();
  std::string list;
  for (const auto& entry : node) {
    const std::string item =
        node.IsMap() ? fmt::format("{}: {}", on_one_line(entry.first), on_one_line(entry.second))
                     : on_one_line(entry);
    list += (list.empty() ? "" : ", ") + item;
  }
  return node.IsMap() ? "{" + list + "}" : "[" + list + "]";
}

void flatten(const YAML::Node& node, const std::string& key, std::vector<NamedText>& settings) {
  if (!node.IsMap() || node.size() == 0) {
    settings.push_back({.name = key, .text = on_one_line(node)});
    return;
  }
  for (const auto& entry : node) {
    const std::string name = on_one_line(entry.first);
    flatten(entry.second, key.empty() ? name : key + "." + name, settings);
  }
}

}  // namespace

std::vector<NamedText> flat_settings(std::string_view yaml, const std::string& file) {
  YAML::Node root;
  try {
    root = YAML::Load(std::string(yaml));
  } catch (const YAML::Exception& error) {
    throw_<DataError>("[{}: line {}] is not valid YAML: {}. Its settings were left out.", file,
                      error.mark.line + 1, printable(error.msg));
  }
  if (!root.IsMap()) {
    throw_<DataError>("[{}] got {}, expected keys with values. Its settings were left out.", file,
                      root.IsNull() ? "an empty file" : "a single value or a list");
  }
  std::vector<NamedText> settings;
  flatten(root, "", settings);
  return settings;
}

}  // namespace cpx::report
