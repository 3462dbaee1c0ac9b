// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/text_samples.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace cpx::report {

namespace {

// A rewriting has both: the text itself, and the prompt that asks for its rewriting.
constexpr std::array<std::string_view, 3> kPromptKeys = {"input", "prompt", "original"};
constexpr std::array<std::string_view, 6> kTextKeys = {"text",    "continuation", "generation",
                                                       "rewrite", "output",       "answer"};
constexpr std::array<std::string_view, 5> kListKeys = {"continuations", "generations", "texts",
                                                       "rewrites", "outputs"};
constexpr std::array<std::string_view, 4> kScoreKeys = {"toxicity", "toxicity_score", "toxic",
                                                        "score"};
constexpr std::array<std::string_view, 3> kScoreListKeys = {"toxicities", "toxicity", "scores"};

template <size_t N>
std::optional<JsonValue> first_of(const JsonValue& value,
                                  const std::array<std::string_view, N>& keys) {
  for (const std::string_view key : keys) {
    if (auto found = value.find(key)) return found;
  }
  return std::nullopt;
}

// A score that is no probability (a logit, a reward) says nothing about toxicity.
std::optional<double> probability(const std::optional<JsonValue>& value) {
  if (!value) return std::nullopt;
  if (value->is_boolean()) return value->boolean() ? 1.0 : 0.0;
  if (!value->is_number()) return std::nullopt;
  const double number = value->number();
  return number >= 0.0 && number <= 1.0 ? std::optional(number) : std::nullopt;
}

// The text of a prompt: itself, or under `text` as RealToxicityPrompts has it.
std::string prompt_of(const JsonValue& value) {
  const auto prompt = first_of(value, kPromptKeys);
  if (!prompt) value.fail_missing("prompt", "a text");
  return prompt->is_object() ? prompt->at("text").text() : prompt->text();
}

std::string row_of(const JsonValue& value, int64_t number) {
  if (const auto step = value.find_integer("step")) return fmt::format("step {}", *step);
  if (const auto sample = value.find_integer("sample")) return fmt::format("sample {}", *sample);
  return fmt::format("sample {}", number);
}

SampleText sample_of(const JsonValue& value, std::string prompt, int64_t number) {
  const auto text = first_of(value, kTextKeys);
  if (!text) value.fail_missing("text", "a text");
  return {.prompt = std::move(prompt),
          .text = text->text(),
          .row = row_of(value, number),
          .side = value.text_or("side", ""),
          .toxicity = probability(first_of(value, kScoreKeys))};
}

}  // namespace

bool is_sample(const JsonValue& value) {
  return value.is_object() && first_of(value, kPromptKeys) &&
         (first_of(value, kTextKeys) || first_of(value, kListKeys));
}

std::vector<SampleText> samples_of(const JsonValue& value) {
  const std::string prompt = prompt_of(value);
  const auto list = first_of(value, kListKeys);
  if (!list || !list->is_list()) return {sample_of(value, prompt, 0)};
  const auto scores = first_of(value, kScoreListKeys);
  const auto numbers = scores && scores->is_list() ? scores->elements() : std::vector<JsonValue>();
  std::vector<SampleText> samples;
  for (const JsonValue& element : list->elements()) {
    const size_t i = samples.size();
    if (element.is_object()) {
      samples.push_back(sample_of(element, prompt, static_cast<int64_t>(i)));
      continue;
    }
    samples.push_back({.prompt = prompt,
                       .text = element.text(),
                       .row = fmt::format("sample {}", i),
                       .side = value.text_or("side", ""),
                       .toxicity = i < numbers.size() ? probability(numbers[i]) : std::nullopt});
  }
  return samples;
}

}  // namespace cpx::report
