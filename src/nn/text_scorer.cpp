// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/text_scorer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/nearest.h"

namespace cpx::nn {

namespace {

// A message shows this many names of a longer list.
constexpr size_t kMaxListed = 12;

std::optional<int64_t> parse_index(std::string_view text) {
  int64_t index = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return index;
}

std::string list_text(const std::vector<std::string>& labels) {
  const std::span<const std::string> shown(labels.data(), std::min(labels.size(), kMaxListed));
  const size_t more = labels.size() - shown.size();
  return fmt::format("{}{}", fmt::join(shown, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace

int64_t label_index(const TextScorer& scorer, std::string_view name_or_index) {
  const std::vector<std::string>& labels = scorer.labels();
  const auto found = std::ranges::find(labels, name_or_index);
  if (found != labels.end()) return found - labels.begin();
  const auto index = parse_index(name_or_index);
  if (index && *index >= 0 && *index < std::ssize(labels)) return *index;
  const auto nearest = index ? std::nullopt : nearest_name(name_or_index, labels);
  throw_<ConfigError>(
      "[label] the classifier has no such label: got '{}', expected 0 to {} or a name of {}.{}",
      name_or_index, labels.size() - 1, list_text(labels),
      nearest ? fmt::format(" Did you mean '{}'?", *nearest) : "");
}

torch::Tensor label_probabilities(const TextScorer& scorer, const torch::Tensor& logits) {
  const auto wide = logits.to(at::kDouble);
  switch (scorer.label_kind()) {
    case LabelKind::kOneOf:
      return at::softmax(wide, 1);
    case LabelKind::kIndependent:
      return at::sigmoid(wide);
    case LabelKind::kValues:
      break;
  }
  throw_<ConfigError>(
      "[label] the classifier gives values (config.json: problem_type regression), not "
      "probabilities: ask for the raw scores.");
}

}  // namespace cpx::nn
