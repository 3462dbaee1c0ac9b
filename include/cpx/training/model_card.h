// SPDX-License-Identifier: Apache-2.0
// The README.md of a saved adapter.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cpx::training {

/// What is told of an adapter. Values are shown as they are.
struct ModelCard {
  std::string base_model = {};
  std::string objective = {};
  std::vector<std::string> training_data = {};
  std::vector<std::string> evaluation_data = {};
  /// Name and value, in this order: "optimizer.lr" and "2.2e-5".
  std::vector<std::pair<std::string, std::string>> settings = {};
};

/// Name and value of a result: "toxic perplexity" and "31.2".
using CardFigures = std::vector<std::pair<std::string, std::string>>;

/// The card as Markdown with the front matter that model hubs read; `figures` tell how far the run
/// was and what its last evaluation gave.
std::string model_card_text(const ModelCard& card, const CardFigures& figures);

}  // namespace cpx::training
