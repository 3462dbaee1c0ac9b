// SPDX-License-Identifier: Apache-2.0
// Legend: R tokens of all responses laid end to end.
#include "cpx/training/rollout.h"

#include <algorithm>
#include <functional>
#include <gmock/gmock.h>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"
#include "tiny_ppo.h"

namespace cpx::training {
namespace rollout_test {

using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;
using testing_support::is_close;
using testing_support::message_of;

std::vector<NumberedPrompt> numbered(const data::Prompts& prompts) {
  std::vector<NumberedPrompt> all;
  for (const data::EncodedPrompt& prompt : prompts.train()) {
    all.push_back({.ids = prompt.ids, .number = std::ssize(all)});
  }
  return all;
}

struct Sampled {
  TinyPpo world{8};
  TinyModel model;

  std::vector<Response> responses(const RolloutOptions& options = tiny_ppo_options().rollout,
                                  uint64_t rollout = 0) {
    return sample_responses(model, numbered(world.prompts), options, rollout);
  }
};

std::vector<std::vector<int64_t>> ids_of(const std::vector<Response>& responses) {
  std::vector<std::vector<int64_t>> ids;
  for (const Response& response : responses) ids.push_back(response.ids);
  return ids;
}

template <class E>
std::string error_of(const std::function<void()>& action) {
  return message_of<E>([&] { action(); });
}

TEST(SampleResponses, AreAFunctionOfSeedRolloutAndPrompt) {
  Sampled sampled;
  const auto all = ids_of(sampled.responses());
  EXPECT_EQ(ids_of(sampled.responses()), all);
  EXPECT_NE(ids_of(sampled.responses(tiny_ppo_options().rollout, /*rollout=*/1)), all);
  auto other_seed = tiny_ppo_options().rollout;
  other_seed.seed = 99;
  EXPECT_NE(ids_of(sampled.responses(other_seed)), all);
  // Alone, or in another order, a prompt gets the same response.
  auto prompts = numbered(sampled.world.prompts);
  std::ranges::reverse(prompts);
  const auto some = sample_responses(sampled.model, std::span(prompts).first(3),
                                     tiny_ppo_options().rollout, /*rollout=*/0);
  for (size_t i = 0; i < some.size(); ++i) {
    EXPECT_EQ(some[i].prompt, 7 - static_cast<int64_t>(i));
    EXPECT_EQ(some[i].ids, all[7 - i]);
  }
}

TEST(SampleResponses, LengthsAreDrawnFromTheWholeRange) {
  Sampled sampled;
  auto options = tiny_ppo_options().rollout;
  options.stop_ids = {};
  std::set<size_t> lengths;
  for (uint64_t rollout = 0; rollout < 5; ++rollout) {
    for (const Response& response : sampled.responses(options, rollout)) {
      lengths.insert(response.ids.size());
      EXPECT_FALSE(response.is_stopped);
    }
  }
  EXPECT_EQ(lengths, (std::set<size_t>{3, 4, 5, 6}));
}

// An eighth of the vocabulary stops, so that some responses are stopped.
TEST(SampleResponses, AStopTokenEndsAResponseAndIsItsLast) {
  Sampled sampled;
  auto options = tiny_ppo_options().rollout;
  options.stop_ids.clear();
  for (int64_t id = 0; id < 8; ++id) options.stop_ids.push_back(id);
  const auto is_stop = [](int64_t id) { return id < 8; };
  int num_stopped = 0;
  for (const Response& response : sampled.responses(options)) {
    EXPECT_EQ(is_stop(response.ids.back()), response.is_stopped);
    EXPECT_EQ(std::ranges::count_if(response.ids, is_stop), response.is_stopped ? 1 : 0);
    num_stopped += response.is_stopped ? 1 : 0;
  }
  EXPECT_GT(num_stopped, 0);
  EXPECT_LT(num_stopped, 8);

  options.min_tokens_before_stop = 6;
  for (const Response& response : sampled.responses(options)) EXPECT_FALSE(response.is_stopped);
}

TEST(SampleResponses, TemperatureZeroTakesTheLikeliest) {
  Sampled sampled;
  auto options = tiny_ppo_options().rollout;
  options.temperature = 0.0;
  const auto responses = sampled.responses(options);
  const torch::NoGradGuard no_grad;
  for (const Response& response : responses) {
    const auto likeliest = plain_log_probs(sampled.model, response).argmax(1);
    EXPECT_TRUE(likeliest.equal(at::tensor(response.ids, at::kLong)));
  }
}

TEST(ResponseText, IsTheResponseWithoutItsPrompt) {
  const TinyPpo world(1);
  const Response response{.prompt_ids = {5, 17}, .ids = {23, 7}};
  EXPECT_EQ(response_text(world.encoder.tokenizer(), response), " 23 7");
  EXPECT_EQ(prompt_text(world.encoder.tokenizer(), response), "5 17");
}

// Text by text through the model's logits.
TEST(ResponseFigures, EqualPlainOperators) {
  Sampled sampled;
  const auto responses = sampled.responses();
  const ValueHead head(16, torch::kCPU, {.seed = 6});
  const auto figures = response_figures({.trained = sampled.model, .head = head}, responses,
                                        /*responses_per_pass=*/3, {.full_kl = true});
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> nll, reference_nll, values, entropy, kl;
  for (const Response& response : responses) {
    torch::Tensor hidden;
    const auto log_probs = plain_log_probs(sampled.model, response, &hidden);
    nll.push_back(plain_nll(log_probs, response));
    entropy.push_back(-(log_probs.exp() * log_probs).sum(1));
    values.push_back(
        at::linear(hidden, head.parameters()[0].value, head.parameters()[1].value).squeeze(1));
    const nn::AdapterOffGuard adapter_off;
    const auto reference = plain_log_probs(sampled.model, response);
    reference_nll.push_back(plain_nll(reference, response));
    kl.push_back((log_probs.exp() * (log_probs - reference)).sum(1));
  }
  const auto equals = [](const std::vector<double>& actual,
                         const std::vector<torch::Tensor>& expected) {
    return is_close(at::tensor(actual, at::kDouble), at::cat(expected), at::kFloat);
  };
  EXPECT_TRUE(equals(figures.token_nll, nll));
  EXPECT_TRUE(equals(figures.reference_token_nll, reference_nll));
  EXPECT_TRUE(equals(figures.values, values));
  EXPECT_TRUE(equals(figures.token_entropy, entropy));
  // A small difference of large numbers.
  EXPECT_LT((at::tensor(figures.full_kl, at::kDouble) - at::cat(kl)).abs().max().item<double>(),
            1e-6);
  EXPECT_GT(at::cat(kl).max().item<double>(), 1e-2);
  EXPECT_FALSE(equals(figures.token_nll, reference_nll));
}

TEST(ResponseFigures, WhatWasNotAskedForIsEmpty) {
  Sampled sampled;
  const ValueHead head(16, torch::kCPU, {});
  const auto figures =
      response_figures({.trained = sampled.model, .head = head}, sampled.responses(), 4,
                       {.values = false, .entropy = false});
  EXPECT_THAT(figures.values, SizeIs(0));
  EXPECT_THAT(figures.token_entropy, SizeIs(0));
  EXPECT_THAT(figures.full_kl, SizeIs(0));
  EXPECT_FALSE(figures.token_nll.empty());
}

Rollout small_rollout() {
  return {.number = 3,
          .responses = {{.prompt = 4, .prompt_ids = {1, 2, 3}, .ids = {5, 2}, .is_stopped = true},
                        {.prompt = 0, .prompt_ids = {9}, .ids = {8}}},
          .scores = {0.1, -1e-300},
          .kl = {1.0 / 3.0, 2.0},
          .old_nll = {0.1, 0.2, 0.3},
          .old_values = {1.1, 1.2, 1.3},
          .advantages = {-1.0, 0.0, 1.0},
          .returns = {2.1, 2.2, 2.3}};
}

TEST(RolloutFile, GivesItBackBitForBit) {
  const auto folder = fresh_folder();
  const auto rollout = small_rollout();
  write_rollout(folder, rollout);
  const auto again = read_rollout(folder);
  ASSERT_THAT(again.responses, SizeIs(2));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again.responses[i].prompt, rollout.responses[i].prompt);
    EXPECT_EQ(again.responses[i].prompt_ids, rollout.responses[i].prompt_ids);
    EXPECT_EQ(again.responses[i].ids, rollout.responses[i].ids);
    EXPECT_EQ(again.responses[i].is_stopped, rollout.responses[i].is_stopped);
  }
  EXPECT_EQ(again.scores, rollout.scores);
  EXPECT_EQ(again.kl, rollout.kl);
  EXPECT_EQ(again.old_nll, rollout.old_nll);
  EXPECT_EQ(again.old_values, rollout.old_values);
  EXPECT_EQ(again.advantages, rollout.advantages);
  EXPECT_EQ(again.returns, rollout.returns);
}

TEST(RolloutFile, OneThatDoesNotFitItselfIsRefused) {
  const auto folder = fresh_folder();
  auto rollout = small_rollout();
  rollout.advantages.pop_back();
  write_rollout(folder, rollout);
  EXPECT_THAT(error_of<DataError>([&] { read_rollout(folder); }),
              HasSubstr("rollout.safetensors: 'advantages' has 2 numbers, expected 3. The file is "
                        "damaged."));
  rollout = small_rollout();
  rollout.responses[1].ids.clear();
  write_rollout(folder, rollout);
  EXPECT_THAT(error_of<DataError>([&] { read_rollout(folder); }),
              HasSubstr("rollout.safetensors: the texts' ends do not fit their ids."));
}

TEST(CheckRollout, PromptsThatAreTooLongForTheModelAreRefused) {
  const TinyPpo world(8);
  auto options = tiny_ppo_options().rollout;
  EXPECT_EQ(error_of<DataError>([&] { check_rollout(world.prompts.train(), options, 11); }),
            testing_support::kNothingThrown);
  EXPECT_EQ(error_of<DataError>([&] { check_rollout(world.prompts.train(), options, 10); }),
            "[rollout] prompts of up to 5 tokens and 6 new ones: got 11, expected at most 10 (the "
            "model's context). Lower rollout.max_prompt_tokens or rollout.max_new_tokens.");
}

TEST(CheckRollout, OptionsOutOfTheirRangesAreRefused) {
  auto options = tiny_ppo_options().rollout;
  options.max_new_tokens = 2;
  EXPECT_EQ(error_of<ConfigError>([&] { check_rollout({}, options, 64); }),
            "[rollout] min_new_tokens and max_new_tokens: got 3 and 2, expected at least 1, the "
            "second not less than the first.");
  options.max_new_tokens = 6;
  options.temperature = -1.0;
  EXPECT_THAT(error_of<ConfigError>([&] { check_rollout({}, options, 64); }),
              HasSubstr("temperature"));
}

}  // namespace rollout_test
}  // namespace cpx::training
