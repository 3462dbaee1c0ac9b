// SPDX-License-Identifier: Apache-2.0
// Texts that share their first tokens against the same texts apart: the same numbers and gradients.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/models/model_fixture.h"
#include "tests/models/prompt_trees.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace shared_prompt_test {

using testing_support::is_close;
using testing_support::random_tensor;

// Short prompts, one longer than the fixtures' sliding window of 8, one without a fork.
PromptTrees three_trees(int64_t vocabulary) {
  return PromptTrees({{3, {4, 6}}, {20, {5, 1, 12}}, {1, {9}}}, vocabulary, /*seed=*/5);
}

class SharedPrompt : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, SharedPrompt,
                         testing::Values("llama_gqa", "llama_tied_llama3", "mistral_window"),
                         testing_support::by_value);

TEST_P(SharedPrompt, NllsAndGradientsEqualThoseOfTextsApart) {
  const auto model = load_fixture_with_adapter(GetParam());
  const PromptTrees ways = three_trees(model->shape().vocabulary_size);
  const auto weights = random_tensor({ways.num_predictions()}, 7).to(torch::kFloat32);
  for (const bool recompute : {false, true}) {
    const nn::ForwardOptions options{.recompute_blocks = recompute};
    const auto shared = nll_and_gradients(*model, ways.shared(), weights, options);
    const auto apart = nll_and_gradients(*model, ways.apart(), weights, options);
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
  const PromptTrees ways = three_trees(model->shape().vocabulary_size);
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
  const PromptTrees ways = three_trees(model->shape().vocabulary_size);
  const torch::NoGradGuard no_grad;
  const auto with_adapter = nn::token_nll(*model, ways.apart(), {});
  const auto of_twin = nn::token_nll(*twin, ways.apart(), {});
  const nn::AdapterOffGuard off;
  EXPECT_TRUE(at::equal(of_twin, nn::token_nll(*model, ways.apart(), {})));
  EXPECT_FALSE(at::equal(of_twin, with_adapter));
}

}  // namespace shared_prompt_test
}  // namespace cpx::models
