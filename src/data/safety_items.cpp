// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/safety_items.h"

#include "cpx/core/json_stream.h"
#include "data_file.h"

namespace cpx::data {

namespace {

JsonValue member(const JsonValue& item, std::string_view key, std::string_view expected) {
  const auto value = item.find(key);
  if (!value) throw DataError(missing(item, key, expected, nearest_key_hint(item, key)));
  return *value;
}

bool is_hate_label(const JsonValue& item) {
  constexpr std::string_view kLabels = "'hate' or 'neutral'";
  const JsonValue label = member(item, "label", kLabels);
  if (!label.is("hate") && !label.is("neutral")) label.fail(kLabels);
  return label.is("hate");
}

double toxicity_of(const JsonValue& item) {
  constexpr std::string_view kScore = "a number above 0";
  const JsonValue score = member(item, "toxicity_score", kScore);
  if (!score.is_number() || score.number() <= 0.0) score.fail(kScore);
  return score.number();
}

std::vector<std::string> groups_of_item(const JsonValue& item) {
  constexpr std::string_view kNames = "a list of names";
  const JsonValue groups = member(item, "target_groups", kNames);
  if (!groups.is_list()) groups.fail(kNames);
  std::vector<std::string> names;
  for (const JsonValue& name : groups.elements()) names.push_back(name.text());
  return names;
}

std::optional<double> perplexity_of(const JsonValue& item) {
  constexpr std::string_view kPerplexity = "a number above 0, or NaN";
  if (!item.contains("perplexity")) member(item, "perplexity", kPerplexity);  // throws
  const auto value = item.find("perplexity");
  if (!value) return std::nullopt;
  if (!value->is_number() || value->number() <= 0.0) value->fail(kPerplexity);
  return value->number();
}

SafetyText item_of(const JsonValue& value, SafetyNeeds needs) {
  if (!value.is_object()) value.fail("an object");
  SafetyText item{.is_hate = is_hate_label(value),
                  .toxicity_score = toxicity_of(value),
                  .target_groups = groups_of_item(value),
                  .where = place_of(value)};
  if (needs == SafetyNeeds::kText) {
    item.text = member(value, "text", "a text").text();
  } else {
    item.perplexity = perplexity_of(value);
  }
  return item;
}

}  // namespace

SafetyContent read_safety_items(const std::filesystem::path& file, SafetyNeeds needs) {
  SafetyContent content;
  Faults faults;
  for_each_json(
      file, "item", faults,
      [&](const JsonValue& value) { content.items.push_back(item_of(value, needs)); },
      JsonNumbers::kPython);
  content.faults.append_file(file.string(), faults);
  return content;
}

}  // namespace cpx::data
