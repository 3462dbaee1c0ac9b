// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/model_card.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/version.h"

namespace cpx::training {

namespace {

// A YAML text in double quotes.
std::string quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted + '"';
}

// A value that may stand between table bars.
std::string cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c == '\n' ? ' ' : c;
  }
  return cell;
}

std::string table(const std::string& head, const CardFigures& rows) {
  std::string text = fmt::format("| {} | |\n|---|---|\n", head);
  for (const auto& [name, value] : rows) {
    text += fmt::format("| {} | {} |\n", cell(name), cell(value));
  }
  return text;
}

}  // namespace

std::string model_card_text(const ModelCard& card, const CardFigures& figures) {
  std::string text = fmt::format(
      "---\nbase_model: {}\nlibrary_name: peft\npipeline_tag: text-generation\n"
      "tags: [lora, {}]\n---\n# LoRA adapter for {}\n\n"
      "Trained with the objective `{}` by cpx {}. Load it with PEFT on its base model.\n\n",
      quoted(card.base_model), quoted(card.objective), card.base_model, card.objective, version());
  text += table("Result", figures);
  CardFigures settings = {{"data.train", fmt::format("{}", fmt::join(card.training_data, ", "))},
                          {"data.eval", fmt::format("{}", fmt::join(card.evaluation_data, ", "))}};
  settings.insert(settings.end(), card.settings.begin(), card.settings.end());
  text += "\n" + table("Setting", settings);
  text +=
      "\nA low perplexity of neutral text beside a high one of toxic text is what the training "
      "aims "
      "at; it is\nno proof that the model says nothing harmful.\n";
  return text;
}

}  // namespace cpx::training
