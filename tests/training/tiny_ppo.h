// SPDX-License-Identifier: Apache-2.0
// Prompts, a reward and options for tests of PPO on a tiny run's model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "cpx/core/random.h"
#include "cpx/data/prompts.h"
#include "cpx/training/ppo_step.h"
#include "cpx/training/reward_model.h"
#include "tiny_run.h"

namespace cpx::training {

/// `count` prompts of 3 to 5 numbers; a part of them held out.
inline data::Prompts tiny_prompts(const data::TextEncoder& encoder, int64_t count,
                                  double held_out = 0.0) {
  std::vector<data::PreferenceItem> items;
  CounterRng rng(17, {});
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int64_t> ids;
    for (int token = 0; token < 5; ++token) ids.push_back(static_cast<int64_t>(3 + rng.below(61)));
    items.push_back({.prompt = number_text(ids)});
  }
  return {items, encoder, {.min_tokens = 3, .max_tokens = 5, .held_out = held_out, .seed = 4}};
}

/// An eighth of the tokens.
inline bool is_rewarded(int64_t id) { return id % 8 == 7; }

inline std::vector<std::string> rewarded_words() {
  std::vector<std::string> words;
  for (int64_t id = 0; id < 64; ++id) {
    if (is_rewarded(id)) words.push_back(std::to_string(id));
  }
  return words;
}

/// Prompts and a reward: how many of the response's tokens are rewarded.
struct TinyPpo {
  explicit TinyPpo(int64_t num_prompts, double held_out = 0.0)
      : encoder(number_encoder()), prompts(tiny_prompts(encoder, num_prompts, held_out)) {}

  PpoStep task(const nn::CausalLm& model, const PpoStepOptions& options) const {
    return {model, prompts, prompts.held_out(), encoder.tokenizer(), reward, options};
  }

  data::TextEncoder encoder;
  data::Prompts prompts;
  RewardModel reward{std::make_shared<WordListScorer>(rewarded_words()), {}};
};

/// Responses of 3 to 6 tokens, which the token 2 ends; 4 of them a rollout, 2 a micro batch, two
/// passes.
inline PpoStepOptions tiny_ppo_options() {
  return {.rollout = {.min_new_tokens = 3, .max_new_tokens = 6, .stop_ids = {2}, .seed = 5},
          .batch_size = 4,
          .prompts_per_micro_batch = 2,
          .ppo_epochs = 2,
          .value_head = {.seed = 6},
          .seed = 7};
}

/// The response's tokens as the model alone sees them: log-probabilities of the whole vocabulary,
/// [L, V], by LibTorch's own operators; differentiable.
inline torch::Tensor plain_log_probs(TinyModel& model, const Response& response,
                                     torch::Tensor* states = nullptr) {
  std::vector<int64_t> ids = response.prompt_ids;
  ids.insert(ids.end(), response.ids.begin(), response.ids.end());
  const auto hidden = model.hidden_states(
      {.ids = at::tensor(ids, at::kLong), .cu_seqlens = {0, static_cast<int32_t>(ids.size())}}, {});
  const auto rows = hidden.narrow(0, std::ssize(response.prompt_ids) - 1,
                                  std::ssize(response.ids));  // [L, D]
  if (states != nullptr) *states = rows;
  return at::log_softmax(model.logits(rows, {}), 1);
}

/// The same of its own tokens, [L].
inline torch::Tensor plain_nll(const torch::Tensor& log_probs, const Response& response) {
  const auto targets = at::tensor(response.ids, at::kLong).unsqueeze(1);
  return log_probs.gather(1, targets).squeeze(1).neg();
}

}  // namespace cpx::training
