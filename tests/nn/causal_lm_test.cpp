// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/causal_lm.h"

#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/nn/kv_cache.h"
#include "tests/support/errors.h"

namespace cpx::nn {
namespace causal_lm_test {

using testing_support::message_of;

// Its hidden states are the ids, its NLL is 100 * id + target; remembers what it was given.
class IdModel : public CausalLm {
 public:
  torch::Tensor hidden_states(const PackedTokens& tokens, const ForwardOptions&) override {
    const auto own = tokens.ids.contiguous();
    ids.assign(own.const_data_ptr<int64_t>(), own.const_data_ptr<int64_t>() + own.numel());
    cu_seqlens = tokens.cu_seqlens;
    return tokens.ids.unsqueeze(1).to(torch::kFloat32);
  }
  torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                          const ForwardOptions&) override {
    return 100 * hidden.squeeze(1) + targets;
  }
  torch::Tensor logits(const torch::Tensor& hidden, const ForwardOptions&) override {
    return hidden;
  }
  std::vector<NamedParameter> trainable() const override { return {}; }
  const ModelShape& shape() const override { return shape_; }
  torch::Device device() const override { return torch::kCPU; }
  torch::Dtype dtype() const override { return torch::kFloat32; }

  std::vector<int64_t> ids;
  std::vector<int32_t> cu_seqlens;

 private:
  ModelShape shape_;
};

TEST(TokenNll, TokensBehindTheLastPredictionAreNotComputed) {
  IdModel model;
  // Texts (1 2 3), (4), (5 6 7 8), (9); the second and the third token of the third text predict
  // nothing, the fourth text's token predicts two things, the second text's nothing.
  const std::vector<int64_t> ids = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<int32_t> cu_seqlens = {0, 3, 4, 8, 9};
  const std::vector<int64_t> rows = {0, 1, 4, 7, 8, 8};
  const std::vector<int64_t> targets = {2, 3, 6, 20, 30, 31};
  const auto nll = to_doubles(token_nll(
      model, {.ids = ids, .cu_seqlens = cu_seqlens, .rows = rows, .targets = targets}, {}));
  EXPECT_EQ(nll, (std::vector<double>{102, 203, 506, 820, 930, 931}));
  EXPECT_EQ(model.ids, (std::vector<int64_t>{1, 2, 5, 6, 7, 8, 9}));
  EXPECT_EQ(model.cu_seqlens, (std::vector<int32_t>{0, 2, 6, 7}));
}

TEST(TokenNll, WithoutAPredictionTheModelIsNotAsked) {
  IdModel model;
  const std::vector<int64_t> ids = {1, 2};
  const std::vector<int32_t> cu_seqlens = {0, 1, 2};
  const auto nll =
      token_nll(model, {.ids = ids, .cu_seqlens = cu_seqlens, .rows = {}, .targets = {}}, {});
  EXPECT_EQ(nll.numel(), 0);
  EXPECT_TRUE(model.ids.empty());
}

TEST(CausalLm, AModelWithoutACacheSaysSo) {
  IdModel model;
  KvCache cache({.num_layers = 1,
                 .num_kv_heads = 1,
                 .head_dim = 8,
                 .prompt_capacity = 1,
                 .sequence_capacity = 1});
  const auto ids = at::ones({1}, at::kLong);
  const std::string message = "[causal lm] this model keeps no keys and values.";
  EXPECT_EQ(message_of<std::logic_error>([&] { model.prefill(cache, ids, {{0, 1}}); }), message);
  EXPECT_EQ(message_of<std::logic_error>([&] { model.next_tokens(cache, ids, {0}); }), message);
  EXPECT_EQ(message_of<std::logic_error>([&] { model.try_tokens(cache, ids, {{0, 0}}); }), message);
}

}  // namespace causal_lm_test
}  // namespace cpx::nn
