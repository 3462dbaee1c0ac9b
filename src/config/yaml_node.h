// SPDX-License-Identifier: Apache-2.0
// A YAML document as a tree of constant nodes that know where they came from. Unlike yaml-cpp's own
// tree it keeps duplicate keys (to report them) and tells quoted texts from plain ones.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/faults.h"

namespace cpx::config {

/// "demo.yaml" with a line, or "command line: a.b=c" without.
struct Origin {
  std::shared_ptr<const std::string> label;
  int line = 0;  // from 1; 0: the whole of it

  std::string text() const;
};

struct YamlNode;
using YamlNodePtr = std::shared_ptr<const YamlNode>;

struct YamlEntry {
  std::string key;
  Origin origin;
  YamlNodePtr value;
};

struct YamlNode {
  enum class Kind { kNull, kText, kList, kMap };

  Kind kind = Kind::kNull;
  Origin origin;
  std::string text;  // of kText
  bool is_quoted = false;
  bool is_path = false;            // a map made of the dotted key of an override, not of braces
  std::vector<YamlNodePtr> items;  // of kList
  std::vector<YamlEntry> entries;  // of kMap; keys are unique

  const YamlEntry* find(std::string_view key) const;
};

/// Parses one YAML document (anchors, aliases and merge keys included). Faults go to `faults`; the
/// result is what can be looked at all the same (of two equal keys the first), or null. With
/// `first_line` 0 the text is one value and has no line numbers.
YamlNodePtr parse_yaml(std::string_view raw_text, const std::string& label, int first_line,
                       Faults& faults);

/// `base` with the entries of `overlay` added or put in place; a new tree, both stay as they are.
YamlNodePtr merged(const YamlNodePtr& base, const YamlNodePtr& overlay);

/// A node for messages: 'text' (cut when long), null, a list of 2, a map.
std::string shown(const YamlNode& node);

/// A text for messages: control characters escaped, cut when long.
std::string shown_text(std::string_view text);

}  // namespace cpx::config
