// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/evaluation_prompts.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "cpx/core/json_stream.h"
#include "cpx/core/text.h"
#include "cpx/data/input_file.h"
#include "cpx/data/record.h"
#include "cpx/pipeline/prompt_file.h"
#include "evaluation_json.h"

namespace cpx::pipeline {

namespace fs = std::filesystem;

namespace {

// Source: Gehman et al., "RealToxicityPrompts", 2020, section 4: toxic prompts are those above.
constexpr double kToxicPrompt = 0.5;
constexpr std::array<std::string_view, 2> kToxigenSides = {"hate", "neutral"};

// What the name of a ToxiGen file says: "hate_asian_1k.txt" is of side hate and group asian.
struct ToxigenName {
  std::string side = {};  // empty: the name is another
  std::string group = {};
};

ToxigenName toxigen_name(const fs::path& file) {
  const std::string stem = file.stem().string();
  for (const std::string_view side : kToxigenSides) {
    if (stem.starts_with(std::string(side) + "_")) {
      return {.side = std::string(side), .group = group_of_file(file)};
    }
  }
  return {};
}

std::string prompt_text(const JsonValue& value) {
  std::string text;
  if (value.is_text()) {
    text = value.text();
  } else if (const auto prompt = prompt_value(value)) {
    text = prompt->text();
  } else if (const auto other = value.find("text")) {
    text = other->text();
  } else {
    if (!value.find("input")) {
      value.fail_missing("prompt", "a prompt under 'prompt', 'prompt.text', 'text' or 'input'");
    }
    text = data::unescape(value.at("input").text());
  }
  if (is_blank(text)) {
    throw_<DataError>("{}", at_place(value.place(), "got a blank prompt, expected a text."));
  }
  return text;
}

void add_subsets(const JsonValue& object, std::vector<std::string>& subsets) {
  const auto prompt = object.find("prompt");
  const bool is_nested = prompt && prompt->is_object();
  const JsonValue& scored = is_nested ? *prompt : object;
  if (const auto toxicity = scored.find_number("toxicity")) {
    subsets.emplace_back(*toxicity > kToxicPrompt ? "toxic" : "non_toxic");
  }
  const bool is_challenging = object.boolean_or("challenging", false) ||
                              (is_nested && prompt->boolean_or("challenging", false));
  if (is_challenging) subsets.emplace_back("challenging");
}

EvaluationPrompt prompt_of(const JsonValue& value) {
  EvaluationPrompt prompt{.text = prompt_text(value), .where = place_without_brackets(value)};
  if (!value.is_object()) return prompt;
  prompt.group = group_of_object(value);
  add_subsets(value, prompt.subsets);
  return prompt;
}

EvaluationPromptContent read_lines_of_prompts(const fs::path& file) {
  data::InputContent read = data::read_inputs(file);
  EvaluationPromptContent content{.faults = std::move(read.faults)};
  const ToxigenName name = toxigen_name(file);
  for (data::Input& input : read.inputs) {
    EvaluationPrompt prompt{
        .text = std::move(input.text), .group = name.group, .where = std::move(input.where)};
    if (!name.side.empty()) prompt.subsets.push_back(name.side);
    content.prompts.push_back(std::move(prompt));
  }
  return content;
}

}  // namespace

EvaluationPromptContent read_evaluation_prompts(const fs::path& file) {
  EvaluationPromptContent content;
  Faults faults;
  const auto is_json = faults.collect([&] { return holds_json(file); });
  if (is_json && !*is_json) return read_lines_of_prompts(file);
  if (is_json) {
    for_each_json(file, "prompt", faults,
                  [&](const JsonValue& value) { content.prompts.push_back(prompt_of(value)); });
  }
  content.faults.append_file(file.string(), faults);
  return content;
}

}  // namespace cpx::pipeline
