// SPDX-License-Identifier: Apache-2.0
#include "measured_items.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>

#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"

namespace cpx::recipes {

namespace {

using ItemJson = nlohmann::ordered_json;

ItemJson number_or_null(double value) {
  return std::isfinite(value) ? ItemJson(value) : ItemJson(nullptr);
}

// Places may hold any bytes; those that are not UTF-8 are replaced.
std::string json_line(const ItemJson& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, ItemJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string item_line(const std::optional<std::filesystem::path>& adapter, const SideText& text,
                      const objectives::ScoredText& score) {
  const double mean = score.nll_sum / static_cast<double>(score.tokens);  // NaN for 0 / 0
  return json_line({{"adapter", adapter ? ItemJson(adapter->string()) : ItemJson(nullptr)},
                    {"side", text.side == objectives::Side::kToxic ? "toxic" : "neutral"},
                    {"group", text.group},
                    {"where", text.where},
                    {"text", text.text},
                    {"tokens", score.tokens},
                    {"mean_nll", number_or_null(mean)},
                    {"perplexity", number_or_null(std::exp(mean))}});
}

std::string item_line(const data::SafetyText& item) {
  return json_line(
      {{"text", item.text},
       {"label", item.is_hate ? "hate" : "neutral"},
       {"toxicity_score", item.toxicity_score},
       {"target_groups", item.target_groups},
       {"perplexity", item.perplexity ? ItemJson(*item.perplexity) : ItemJson(nullptr)}});
}

std::optional<double> perplexity_of(const evaluation::TextScore& score) {
  const double perplexity = std::exp(score.nll_sum / static_cast<double>(score.tokens));
  if (std::isnan(perplexity)) return std::nullopt;
  return std::min(perplexity, std::numeric_limits<double>::max());
}

void write_report(const std::filesystem::path& path, const std::string& text) {
  if (is_standard_output(path)) {
    std::cout << text;
  } else {
    write_file_atomically(path, text);
  }
}

bool fills_standard_output(std::initializer_list<std::optional<std::filesystem::path>> outputs) {
  return std::ranges::any_of(
      outputs, [](const auto& output) { return output && is_standard_output(*output); });
}

}  // namespace cpx::recipes
