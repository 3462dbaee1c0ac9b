// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/variant_items.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "cpx/core/error.h"

namespace cpx::data {

namespace {

using tokenizer::TokenId;

void check_texts(const GroupTexts& texts, std::string_view where) {
  CPX_CHECK(!texts.positives.empty() && !texts.negatives.empty(),
            "[{}] got {} positives and {} negatives, expected one or more of each.", where,
            texts.positives.size(), texts.negatives.size());
}

// Both texts as one, without the EOS and the BOS between them.
std::vector<TokenId> joined(const std::vector<TokenId>& first, const std::vector<TokenId>& second,
                            const tokenizer::Tokenizer& tokenizer) {
  std::vector<TokenId> ids = first;
  if (!ids.empty() && ids.back() == tokenizer.eos_id()) ids.pop_back();
  const bool opens_with_bos = !second.empty() && second.front() == tokenizer.bos_id();
  ids.insert(ids.end(), second.begin() + (opens_with_bos ? 1 : 0), second.end());
  return ids;
}

const std::string& nth(const std::vector<std::string>& texts, size_t index) {
  return texts[index % texts.size()];
}

}  // namespace

GroupTexts group_texts(const ContrastGroups& groups, const DrawnGroup& drawn) {
  GroupTexts texts;
  for (const DrawnText& text : drawn.texts) {
    if (text.role == TextRole::kInput) texts.input = groups.text(text);
    if (text.role == TextRole::kPositive) texts.positives.push_back(groups.text(text));
    if (text.role == TextRole::kHardNegative) texts.negatives.push_back(groups.text(text));
  }
  return texts;
}

std::vector<TransferItem> transfer_items(const GroupTexts& texts, const TextEncoder& encoder) {
  check_texts(texts, "transfer_items");
  const std::vector<TokenId> input = encoder.encode(texts.input).ids;
  std::vector<std::vector<TokenId>> negatives;
  for (const std::string& text : texts.negatives) negatives.push_back(encoder.encode(text).ids);

  std::vector<TransferItem> items;
  const auto add = [&](TransferRole role, const std::vector<TokenId>& first,
                       const std::vector<TokenId>& second) {
    items.push_back({.role = role, .ids = joined(first, second, encoder.tokenizer())});
  };
  for (const std::string& text : texts.positives) {
    add(TransferRole::kPositiveInput, encoder.encode(text).ids, input);
  }
  for (size_t i = 0; i < texts.positives.size(); ++i) {
    add(TransferRole::kNegativeInput, negatives[i % negatives.size()], input);
  }
  for (const auto& negative : negatives) add(TransferRole::kInputNegative, input, negative);
  return items;
}

std::vector<CycleItem> cycle_items(const GroupTexts& texts, const TextEncoder& encoder) {
  check_texts(texts, "cycle_items");
  const auto& [input, positives, negatives] = texts;
  std::vector<CycleItem> items;
  const auto add_pair = [&](CycleRole role, std::string_view instruction, const std::string& from,
                            const std::string& to) {
    const std::string text = fmt::format("{}{} [/INST] {}", instruction, from, to);
    items.push_back({.role = role, .ids = encoder.encode_unframed(text).ids});
  };
  for (size_t i = 0; i < positives.size(); ++i) {
    add_pair(CycleRole::kDetoxify, kDetoxifyInstruction, nth(negatives, i), positives[i]);
  }
  for (size_t i = 0; i < negatives.size(); ++i) {
    add_pair(CycleRole::kToxify, kToxifyInstruction, nth(positives, i), negatives[i]);
  }
  for (const std::string& text : positives) {
    items.push_back({.role = CycleRole::kPositive, .ids = encoder.encode(text).ids});
  }
  for (const std::string& text : negatives) {
    items.push_back({.role = CycleRole::kNegative, .ids = encoder.encode(text).ids});
  }
  for (size_t i = 0; i < positives.size(); ++i) {
    add_pair(CycleRole::kCycle, kToxifyInstruction, positives[i], nth(negatives, i));
  }
  return items;
}

}  // namespace cpx::data
