// SPDX-License-Identifier: Apache-2.0
// The number of threads changes no bit of a training step: NLLs and the adapter's gradients of
// packs from one text to twenty, of 2 to 300 tokens, with 1, 2, 3 and 4 threads.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/models/model_fixture.h"
#include "tests/models/prompt_trees.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace step_threads_test {

using testing_support::NumThreads;
using testing_support::random_tensor;

constexpr int kMaxThreads = 4;

struct Sizes {
  int64_t vocabulary, hidden, intermediate, layers, heads, kv_heads, head_dim;
};

// More columns of the head than one block of the token NLL, and no multiple of it.
constexpr Sizes kSmall{2500, 128, 320, 2, 4, 2, 32};

// A layer of SmolLM2-135M and a part of its vocabulary.
constexpr Sizes kWide{5000, 576, 1536, 1, 9, 3, 64};

formats::ModelConfig config_of(const Sizes& sizes) {
  formats::ModelConfig config;
  config.architecture = "llama";
  config.vocab_size = sizes.vocabulary;
  config.hidden_size = sizes.hidden;
  config.intermediate_size = sizes.intermediate;
  config.num_hidden_layers = sizes.layers;
  config.num_attention_heads = sizes.heads;
  config.num_key_value_heads = sizes.kv_heads;
  config.head_dim = sizes.head_dim;
  config.max_position_embeddings = 512;
  return config;
}

struct Texts {
  const char* name;
  std::vector<PromptTree> trees;
};

void PrintTo(const Texts& texts, std::ostream* out) { *out << texts.name; }

const Texts kOneText{"OneText", {{100, {200}}}};
const Texts kTwoTexts{"TwoTexts", {{60, {1, 240}}}};
const Texts kFiveTexts{"FiveTexts", {{150, {150, 20}}, {1, {1}}, {3, {30, 129}}}};
const Texts kTwentyTexts{"TwentyTexts",
                         {{40, {9, 60, 33}},
                          {1, {1, 2, 299}},
                          {129, {171, 1}},
                          {7, {90}},
                          {16, {16, 16, 16}},
                          {2, {64, 127, 128}},
                          {1, {17}},
                          {80, {5, 50, 11}},
                          {200, {100}}}};

const std::vector<std::string> kQueriesAndValues = {"q_proj", "v_proj"};
const std::vector<std::string> kAllAndHead = {"q_proj",  "k_proj",    "v_proj",    "o_proj",
                                              "up_proj", "gate_proj", "down_proj", "lm_head"};

std::shared_ptr<Llama> random_model(const Sizes& sizes, torch::Dtype dtype,
                                    const std::vector<std::string>& targets) {
  auto model = std::make_shared<Llama>(config_of(sizes));
  uint64_t seed = 1;
  for (const auto& module : model->modules(/*include_self=*/false)) {
    auto* frozen = dynamic_cast<nn::FrozenModule*>(module.get());
    if (frozen == nullptr) continue;
    for (const auto& name : frozen->frozen_names()) {
      const auto shape = frozen->named_parameters(/*recurse=*/false)[name].sizes().vec();
      frozen->set_frozen(name, (0.08 * random_tensor(shape, seed++)).to(dtype));
    }
  }
  attach_adapter(*model, {.rank = 8, .alpha = 16, .dropout = 0.1}, targets, seed++);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->trainable()) {
    parameter.value.copy_(0.1 * random_tensor(parameter.value.sizes(), seed++));
  }
  return model;
}

// Where a product has several threads, MKL sums in another order on some processors: that is so in
// packs that are not dealt out into shares, where there are more threads than shares or no even
// number of them, and in products with the head's update.
enum class Equality { kBits, kRounding };

void expect_equal_steps(Llama& model, const nn::Predictions& predictions,
                        const nn::ForwardOptions& options, Equality equality) {
  const auto weights = random_tensor({std::ssize(predictions.targets)}, 92).to(torch::kFloat32);
  const auto step = [&](int num_threads) {
    const NumThreads guard(num_threads);
    return nll_and_gradients(model, predictions, weights, options);
  };
  const auto one = step(1);
  for (int num_threads = 2; num_threads <= kMaxThreads; ++num_threads) {
    const auto several = step(num_threads);
    ASSERT_EQ(several.size(), one.size());
    for (size_t i = 0; i < one.size(); ++i) {
      const auto is_equal = equality == Equality::kBits
                                ? testing::AssertionResult(at::equal(several[i], one[i]))
                                : testing_support::is_close(several[i], one[i], torch::kFloat32);
      EXPECT_TRUE(is_equal) << (i == 0 ? "nll" : model.trainable()[i - 1].name) << ", "
                            << num_threads << " threads";
    }
  }
}

// Both layouts, with and without dropout and recomputation.
void expect_equal_steps_every_way(Llama& model, const Texts& texts, Equality equality) {
  const PromptTrees trees(texts.trees, model.shape().vocabulary_size, /*seed=*/5);
  for (const bool shares_prompts : {false, true}) {
    for (const bool has_dropout : {false, true}) {
      for (const bool recompute : {false, true}) {
        SCOPED_TRACE(fmt::format("shared prompts {}, dropout {}, recompute {}", shares_prompts,
                                 has_dropout, recompute));
        expect_equal_steps(
            model, shares_prompts ? trees.shared() : trees.apart(),
            {.is_training = has_dropout, .dropout_key = 3, .recompute_blocks = recompute},
            equality);
      }
    }
  }
}

class StepThreads : public testing::TestWithParam<Texts> {};
INSTANTIATE_TEST_SUITE_P(Packs, StepThreads,
                         testing::Values(kOneText, kTwoTexts, kFiveTexts, kTwentyTexts),
                         testing_support::by_value);

TEST_P(StepThreads, OneToFourGiveTheSameStep) {
  expect_equal_steps_every_way(*random_model(kSmall, torch::kFloat32, kQueriesAndValues),
                               GetParam(), Equality::kRounding);
}

TEST_P(StepThreads, OneToFourGiveTheSameStepWithAllLayersAndTheHead) {
  expect_equal_steps_every_way(*random_model(kSmall, torch::kFloat32, kAllAndHead), GetParam(),
                               Equality::kRounding);
}

TEST(StepThreadsOfShares, OneToFourGiveTheSameBits) {
  expect_equal_steps_every_way(*random_model(kSmall, torch::kFloat32, kQueriesAndValues),
                               kTwentyTexts, Equality::kBits);
}

TEST_P(StepThreads, OneToFourGiveTheSameBitsInBfloat16) {
  const auto model = random_model(kSmall, torch::kBFloat16, kAllAndHead);
  const PromptTrees trees(GetParam().trees, kSmall.vocabulary, /*seed=*/5);
  expect_equal_steps(*model, trees.apart(), {.is_training = true, .dropout_key = 3},
                     Equality::kBits);
}

TEST(WideStepThreads, OneToFourGiveTheSameStep) {
  const auto model = random_model(kWide, torch::kFloat32, {"all-linear"});
  const PromptTrees trees(kFiveTexts.trees, kWide.vocabulary, /*seed=*/5);
  expect_equal_steps(*model, trees.apart(), {.is_training = true, .dropout_key = 3},
                     Equality::kRounding);
}

}  // namespace step_threads_test
}  // namespace cpx::models
