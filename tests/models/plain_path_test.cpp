// SPDX-License-Identifier: Apache-2.0
// Whole models by the kernels of this project against the same by plain LibTorch operators and
// autograd (cpx/kernels/reference.h): on fixtures, and on random packs.
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "cpx/core/random.h"
#include "cpx/kernels/reference.h"
#include "tests/models/model_fixture.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace plain_path_test {

using testing_support::is_close;
using testing_support::random_tensor;
using torch::Tensor;

// NLLs of a pack, then the gradients of all factors for given weights of the NLLs.
std::vector<Tensor> step(Llama& model, const nn::PackedTokens& tokens, const Tensor& weights,
                         const nn::ForwardOptions& options) {
  const auto nll = predicted_nll(model, tokens, options);
  std::vector<Tensor> parameters;
  for (const auto& parameter : model.trainable()) parameters.push_back(parameter.value);
  auto results = torch::autograd::grad({nll}, parameters, {weights.narrow(0, 0, nll.numel())});
  results.insert(results.begin(), nll.detach());
  return results;
}

nn::PackedTokens pack_of(const std::vector<int64_t>& lengths, int64_t vocabulary, uint64_t seed) {
  nn::PackedTokens tokens{.ids = {}, .cu_seqlens = {0}};
  for (const int64_t length : lengths) {
    tokens.cu_seqlens.push_back(tokens.cu_seqlens.back() + static_cast<int32_t>(length));
  }
  CounterRng rng(seed, {});
  tokens.ids = at::empty({tokens.cu_seqlens.back()}, at::kLong);
  for (int64_t i = 0; i < tokens.ids.numel(); ++i) {
    tokens.ids.mutable_data_ptr<int64_t>()[i] =
        static_cast<int64_t>(rng.below(static_cast<uint64_t>(vocabulary)));
  }
  return tokens;
}

class PlainPath : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, PlainPath,
                         testing::Values("llama_gqa", "llama_tied_llama3", "mistral_window",
                                         "llama_bias_linear"),
                         testing_support::by_value);

// Tied and untied heads, one with an update of its own.
TEST_P(PlainPath, EntropiesAreThoseOfTheLogits) {
  const auto model = load_fixture_with_adapter(GetParam());
  const auto hidden = random_tensor({37, model->shape().hidden_size}, 3).to(torch::kFloat32);
  const auto targets = at::arange(37, at::kLong);
  const auto both = model->token_nll_and_entropy(hidden, targets);
  const torch::NoGradGuard no_grad;
  const auto log_probs = at::log_softmax(model->logits(hidden, {}), 1);
  EXPECT_TRUE(is_close(both.entropy, -(log_probs.exp() * log_probs).sum(1)));
  EXPECT_TRUE(is_close(both.nll, model->token_nll(hidden, targets, {})));
  const kernels::PlainPathGuard plain;
  EXPECT_TRUE(is_close(model->token_nll_and_entropy(hidden, targets).entropy, both.entropy));
}

TEST_P(PlainPath, AStepEqualsTheKernelsStep) {
  const auto model = load_fixture_with_adapter(GetParam());
  const auto tokens = pack_of({1, 7, 30, 2, 140}, model->shape().vocabulary_size, 1);
  const auto weights = random_tensor({tokens.ids.numel()}, 2).to(torch::kFloat32);
  for (const bool is_training : {false, true}) {
    for (const bool recompute : {false, true}) {
      const nn::ForwardOptions options{
          .is_training = is_training, .dropout_key = 5, .recompute_blocks = recompute};
      const auto fast = step(*model, tokens, weights, options);
      const kernels::PlainPathGuard guard;
      const auto plain = step(*model, tokens, weights, options);
      ASSERT_EQ(fast.size(), plain.size());
      for (size_t i = 0; i < fast.size(); ++i) {
        EXPECT_TRUE(is_close(fast[i], plain[i])) << i << (is_training ? ", training" : "");
      }
    }
  }
}

// Ten packs each of 1 to 200 texts of 1 to 300 tokens; the plain path takes a text at a time.
class RandomPacks : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Tens, RandomPacks, testing::Range(uint64_t{0}, uint64_t{10}),
                         testing_support::by_value);

std::vector<int64_t> random_lengths(CounterRng& rng) {
  // Few texts are as frequent as many, short ones as long ones.
  const auto draw = [&rng](double most) {
    return static_cast<int64_t>(std::exp(rng.uniform() * std::log(most + 0.999)));
  };
  std::vector<int64_t> lengths(static_cast<size_t>(draw(200)));
  for (int64_t& length : lengths) length = draw(300);
  if (std::ranges::max(lengths) < 2) lengths.push_back(2);  // something must be predicted
  return lengths;
}

TEST_P(RandomPacks, AreTheirTextsOneByOne) {
  const auto model =
      load_fixture_with_adapter(GetParam() % 2 == 0 ? "llama_gqa" : "mistral_window");
  CounterRng rng(GetParam(), {});
  for (int pack = 0; pack < 10; ++pack) {
    const auto lengths = random_lengths(rng);
    const auto tokens = pack_of(lengths, model->shape().vocabulary_size, rng.below(1000));
    const auto weights = random_tensor({tokens.ids.numel()}, 3).to(torch::kFloat32);
    const auto packed = step(*model, tokens, weights, {});

    const kernels::PlainPathGuard guard;
    std::vector<Tensor> nll, gradients;
    int64_t first = 0;
    for (size_t text = 0; text < lengths.size(); ++text) {
      if (lengths[text] < 2) continue;
      const auto own =
          step(*model, text_of(tokens, text), weights.narrow(0, first, lengths[text] - 1), {});
      first += lengths[text] - 1;
      nll.push_back(own[0]);
      if (gradients.empty()) gradients.assign(own.size() - 1, at::zeros({}, at::kDouble));
      for (size_t i = 1; i < own.size(); ++i) gradients[i - 1] = gradients[i - 1] + own[i];
    }
    EXPECT_TRUE(is_close(packed[0], at::cat(nll))) << "pack " << pack;
    for (size_t i = 0; i < gradients.size(); ++i) {
      EXPECT_TRUE(is_close(packed[i + 1], gradients[i])) << "pack " << pack << ", factor " << i;
    }
  }
}

}  // namespace plain_path_test
}  // namespace cpx::models
