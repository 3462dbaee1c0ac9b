// SPDX-License-Identifier: Apache-2.0
// Texts that share their first tokens against the same texts apart: the same numbers and gradients.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/random.h"
#include "tests/models/model_fixture.h"
#include "tests/tensor/close.h"
#include "tests/tensor/gradient_check.h"

namespace cpx::models {
namespace shared_prompt_test {

using testing_support::is_close;
using testing_support::random_tensor;

// Predictions of the same tokens, laid out both ways.
struct BothWays {
  std::vector<int64_t> shared_ids, shared_rows, apart_ids, apart_rows, targets, token_of_place;
  std::vector<int32_t> shared_ends = {0}, apart_ends = {0};

  nn::Predictions shared() const {
    return {.ids = shared_ids,
            .cu_seqlens = shared_ends,
            .rows = shared_rows,
            .targets = targets,
            .token_of_place = token_of_place};
  }
  nn::Predictions apart() const {
    return {.ids = apart_ids, .cu_seqlens = apart_ends, .rows = apart_rows, .targets = targets};
  }
};

// A prompt of `prompt` tokens and its answers; every token behind the prompt is predicted.
void add_tree(BothWays& ways, int64_t prompt, const std::vector<int64_t>& answers, CounterRng& rng,
              uint64_t vocabulary) {
  const auto draw = [&] { return static_cast<int64_t>(rng.below(vocabulary)); };
  const auto first = std::ssize(ways.shared_ids);
  for (int64_t i = 0; i < prompt; ++i) ways.shared_ids.push_back(draw());
  for (const int64_t length : answers) {
    for (int64_t i = 0; i < prompt; ++i) {
      ways.token_of_place.push_back(first + i);
      ways.apart_ids.push_back(ways.shared_ids[first + i]);
    }
    for (int64_t i = 0; i < length; ++i) {
      const int64_t id = draw();
      ways.shared_rows.push_back(ways.token_of_place.back());
      ways.apart_rows.push_back(std::ssize(ways.apart_ids) - 1);
      ways.targets.push_back(id);
      ways.token_of_place.push_back(std::ssize(ways.shared_ids));
      ways.shared_ids.push_back(id);
      ways.apart_ids.push_back(id);
    }
    ways.shared_ends.push_back(static_cast<int32_t>(ways.token_of_place.size()));
    ways.apart_ends.push_back(static_cast<int32_t>(ways.apart_ids.size()));
  }
}

// Short prompts, one longer than the fixtures' sliding window of 8, one without a fork.
BothWays three_trees(int64_t vocabulary) {
  BothWays ways;
  CounterRng rng(5, {});
  add_tree(ways, 3, {4, 6}, rng, static_cast<uint64_t>(vocabulary));
  add_tree(ways, 20, {5, 1, 12}, rng, static_cast<uint64_t>(vocabulary));
  add_tree(ways, 1, {9}, rng, static_cast<uint64_t>(vocabulary));
  return ways;
}

std::vector<torch::Tensor> step(Llama& model, const nn::Predictions& predictions,
                                const torch::Tensor& weights, const nn::ForwardOptions& options) {
  std::vector<torch::Tensor> parameters;
  for (const auto& parameter : model.trainable()) {
    parameters.push_back(parameter.value);
    parameters.back().mutable_grad().reset();
  }
  const auto nll = nn::token_nll(model, predictions, options);
  (nll * weights).sum().backward();
  std::vector<torch::Tensor> results = {nll.detach()};
  for (const auto& parameter : parameters) results.push_back(parameter.grad().clone());
  return results;
}

class SharedPrompt : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, SharedPrompt,
                         testing::Values("llama_gqa", "llama_tied_llama3", "mistral_window"));

TEST_P(SharedPrompt, NllsAndGradientsEqualThoseOfTextsApart) {
  const auto model = load_fixture_with_adapter(GetParam());
  const BothWays ways = three_trees(model->shape().vocabulary_size);
  const auto weights = random_tensor({std::ssize(ways.targets)}, 7).to(torch::kFloat32);
  for (const bool recompute : {false, true}) {
    const nn::ForwardOptions options{.recompute_blocks = recompute};
    const auto shared = step(*model, ways.shared(), weights, options);
    const auto apart = step(*model, ways.apart(), weights, options);
    ASSERT_EQ(shared.size(), apart.size());
    ASSERT_GT(shared.size(), 1);
    for (size_t i = 0; i < shared.size(); ++i) {
      EXPECT_TRUE(is_close(shared[i], apart[i], torch::kFloat32)) << i;
    }
  }
}

// Half types round the number of rows up: the added tokens have places of their own.
TEST(SharedPromptHalf, EqualsTextsApartInBfloat16) {
  const auto model = load_model(model_folder("llama_gqa"), torch::kBFloat16, torch::kCPU);
  const BothWays ways = three_trees(model->shape().vocabulary_size);
  const torch::NoGradGuard no_grad;
  const auto shared = nn::token_nll(*model, ways.shared(), {});
  const auto apart = nn::token_nll(*model, ways.apart(), {});
  EXPECT_TRUE(is_close(shared, apart, torch::kBFloat16));
}

// A twin reads the same weights, and its adapter is its own.
TEST(WithSameWeights, SharesTheWeightsAndNoAdapter) {
  const auto model = load_fixture_with_adapter("llama_gqa");
  const auto twin = with_same_weights(*model);
  EXPECT_TRUE(twin->trainable().empty());
  EXPECT_EQ(twin->model->embed_tokens->weight.const_data_ptr(),
            model->model->embed_tokens->weight.const_data_ptr());
  const BothWays ways = three_trees(model->shape().vocabulary_size);
  const torch::NoGradGuard no_grad;
  const auto with_adapter = nn::token_nll(*model, ways.apart(), {});
  const auto of_twin = nn::token_nll(*twin, ways.apart(), {});
  const nn::AdapterOffGuard off;
  EXPECT_TRUE(at::equal(of_twin, nn::token_nll(*model, ways.apart(), {})));
  EXPECT_FALSE(at::equal(of_twin, with_adapter));
}

}  // namespace shared_prompt_test
}  // namespace cpx::models
