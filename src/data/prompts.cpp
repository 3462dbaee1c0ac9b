// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/prompts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/core/text_role.h"
#include "cpx/tokenizer/limited.h"
#include "epoch_order.h"

namespace cpx::data {

namespace {

using tokenizer::TokenId;

void check_options(const PromptOptions& options) {
  CPX_CHECK(options.min_tokens >= 1, "[prompts] min_tokens: got {}, expected 1 or more.",
            options.min_tokens);
  CPX_CHECK(options.max_tokens == 0 || options.max_tokens >= options.min_tokens,
            "[prompts] max_tokens: got {}, expected at least {} (min_tokens), or 0 for no limit.",
            options.max_tokens, options.min_tokens);
  CPX_CHECK(options.held_out >= 0.0 && options.held_out < 1.0,
            "[prompts] held_out: got {}, expected at least 0 and less than 1.", options.held_out);
}

}  // namespace

Prompts::Prompts(std::span<const PreferenceItem> items, const TextEncoder& encoder,
                 const PromptOptions& options)
    : options_(options) {
  check_options(options);
  std::vector<EncodedPrompt> all;
  for (int64_t i = 0; i < std::ssize(items); ++i) {
    EncodedPrompt prompt{
        .ids = tokenizer::at_place(items[i].where, [&] { return encode(items[i], i, encoder); }),
        .item = i};
    if (std::ssize(prompt.ids) >= options.min_tokens) all.push_back(std::move(prompt));
  }
  num_short_ = std::ssize(items) - std::ssize(all);
  if (all.empty()) {
    throw_<DataError>(
        "[prompts] no prompt can be used: got {} texts, expected one of at least {} tokens "
        "(min_tokens). Lower it, or check the data.",
        items.size(), options.min_tokens);
  }
  hold_out(std::move(all));
}

std::vector<TokenId> Prompts::encode(const PreferenceItem& item, int64_t number,
                                     const TextEncoder& encoder) const {
  std::string answer;
  if (options_.append_rejected && !item.rejected.empty()) {
    CounterRng rng(options_.seed, {kTextStream, static_cast<uint64_t>(number),
                                   static_cast<uint64_t>(TextRole::kHardNegative)});
    answer = item.rejected[options_.shuffle ? rng.below(item.rejected.size()) : 0];
  }
  PromptedText rendered = encoder.render(item.prompt, answer);
  if (answer.empty()) rendered.text.resize(rendered.prompt_bytes);
  // A chat template writes its special tokens itself.
  auto [ids, offsets] = encoder.tokenizer().encode(
      rendered.text, encoder.options().text_template != tokenizer::PromptTemplate::kChat);
  const bool ends_in_added_eos = ids.size() > 1 && ids.back() == encoder.tokenizer().eos_id() &&
                                 offsets.back() == std::pair<size_t, size_t>(0, 0);
  if (ends_in_added_eos) ids.pop_back();
  const int64_t length = draw_length(number);
  if (options_.max_tokens > 0 && std::ssize(ids) > length) ids.resize(length);
  return std::move(ids);
}

int64_t Prompts::draw_length(int64_t number) const {
  if (options_.max_tokens == 0) return 0;
  CounterRng rng(options_.seed, {kLengthStream, static_cast<uint64_t>(number)});
  const auto choices = static_cast<uint64_t>(options_.max_tokens - options_.min_tokens + 1);
  return options_.min_tokens + static_cast<int64_t>(rng.below(choices));
}

void Prompts::hold_out(std::vector<EncodedPrompt> all) {
  const int64_t count = std::ssize(all);
  const auto num_held_out =
      static_cast<int64_t>(std::lround(options_.held_out * static_cast<double>(count)));
  if (num_held_out == count) {
    throw_<DataError>(
        "[prompts] held_out {} leaves no prompt to train on: got {} prompts of at least {} tokens. "
        "Add data or lower it.",
        options_.held_out, count, options_.min_tokens);
  }
  const std::vector<int64_t> order =
      random_permutation(count, CounterRng(options_.seed, {kHeldOutStream}));
  std::vector<bool> is_held_out(static_cast<size_t>(count), false);
  for (int64_t i = 0; i < num_held_out; ++i) is_held_out[order[i]] = true;
  for (int64_t i = 0; i < count; ++i) {
    (is_held_out[i] ? held_out_ : train_).push_back(std::move(all[i]));
  }
}

std::vector<int64_t> Prompts::epoch_order(int64_t epoch) const {
  CPX_CHECK(epoch >= 0, "[prompts] epoch: got {}, expected 0 or more.", epoch);
  return visit_order(std::ssize(train_), options_.shuffle, options_.seed, epoch);
}

}  // namespace cpx::data
