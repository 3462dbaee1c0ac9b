// SPDX-License-Identifier: Apache-2.0
// Prints option structs: resolved YAML, flat values, and the reference of all keys as help text or
// Markdown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cpx/config/fields.h"

namespace cpx::config {

/// The section as YAML in declared order. Loading the YAML gives the same values: doubles are
/// written with the fewest digits that read back equal.
std::string to_yaml(const Section& section);

/// One value with its full key ("optimizer.lr") and its text as YAML.
struct FlatValue {
  std::string key;
  std::string yaml;
  Rule rule;
};
std::vector<FlatValue> flatten(const Section& section);

/// One key of the reference.
struct KeyDoc {
  std::string key;       // "optimizer.lr"
  std::string owner;     // the alternative that this key belongs to ("sft"), or empty
  std::string type;      // "number > 0"
  std::string fallback;  // the default as YAML, or "required"
  std::string doc;
  Rule rule;
};
/// Every key, including those of alternatives that are not selected. The section must contain
/// defaults.
std::vector<KeyDoc> key_docs(const Section& section);

/// The keys as plain text, one per line, for `--help`.
std::string key_help(const Section& section);

/// The keys as Markdown: one heading and one table for each section.
std::string key_markdown(const Section& section);

/// What a field accepts: "number > 0", "none | nf4".
std::string describe_type(const Value& value, const Rule& rule);

}  // namespace cpx::config
