// SPDX-License-Identifier: Apache-2.0
// Models with adapters against transformers and PEFT (scripts/fixtures/make_adapters.py), and what
// must hold whatever the numbers are.
#include <algorithm>
#include <gmock/gmock.h>
#include <map>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "tests/models/model_fixture.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace adapter_test {

using testing_support::is_close;

class EveryAdapter : public testing::TestWithParam<std::string> {
 protected:
  Reference reference() const {
    return read_reference(model_folder(GetParam()) / "expected" / "adapter.safetensors");
  }
};
INSTANTIATE_TEST_SUITE_P(Fixtures, EveryAdapter,
                         testing::Values("llama_gqa", "llama_tied_llama3", "llama_bias_linear",
                                         "mistral_window", "llama_sharded_bf16", "llama_gptq_4bit"),
                         testing_support::by_value);

TEST_P(EveryAdapter, LogitsAndNllEqualThePeer) {
  const auto model = load_fixture_with_adapter(GetParam());
  EXPECT_TRUE(is_close(all_logits(*model, reference().tokens), reference().logits));
  EXPECT_TRUE(is_close(predicted_nll(*model, reference().tokens), reference().nll));
}

TEST_P(EveryAdapter, EveryGradientEqualsThePeer) {
  const auto model = load_fixture_with_adapter(GetParam());
  const auto expected = reference();
  const auto gradients =
      adapter_gradients(*model, expected.tokens, expected.file->tensor("weights"));
  const auto trainable = model->trainable();
  for (size_t i = 0; i < trainable.size(); ++i) {
    const auto key = "grad.base_model.model." + trainable[i].name;
    EXPECT_TRUE(is_close(gradients[i], expected.file->tensor(key))) << key;
  }
  const auto& names = expected.file->names();
  EXPECT_EQ(std::ssize(trainable), std::count_if(names.begin(), names.end(), [](const auto& name) {
              return name.starts_with("grad.");
            }));
}

TEST_P(EveryAdapter, PackedGradientsAreTheSumOverTheTexts) {
  const auto model = load_fixture_with_adapter(GetParam());
  const auto expected = reference();
  const auto weights = expected.file->tensor("weights");
  const auto packed = adapter_gradients(*model, expected.tokens, weights);
  std::vector<torch::Tensor> sums;
  for (const auto& gradient : packed) sums.push_back(at::zeros_like(gradient));
  int64_t begin = 0;
  for (size_t text = 0; text + 1 < expected.tokens.cu_seqlens.size(); ++text) {
    const auto alone = text_of(expected.tokens, text);
    const int64_t count = alone.ids.size(0) - 1;
    if (count == 0) continue;
    const auto gradients = adapter_gradients(*model, alone, weights.narrow(0, begin, count));
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += gradients[i];
    begin += count;
  }
  for (size_t i = 0; i < sums.size(); ++i) EXPECT_TRUE(is_close(sums[i], packed[i]));
}

TEST_P(EveryAdapter, SwitchedOffItIsTheBaseBitForBit) {
  const auto model = load_fixture_with_adapter(GetParam());
  const auto tokens = reference().tokens;
  const auto base = all_logits(*load_fixture(GetParam()), tokens);
  const auto base_nll = predicted_nll(*load_fixture(GetParam()), tokens);
  {
    const nn::AdapterOffGuard off;
    EXPECT_TRUE(at::equal(all_logits(*model, tokens), base));
    EXPECT_TRUE(at::equal(predicted_nll(*model, tokens), base_nll));
    EXPECT_FALSE(predicted_nll(*model, tokens).requires_grad());
  }
  EXPECT_FALSE(at::equal(all_logits(*model, tokens), base));
}

TEST_P(EveryAdapter, RecomputedBlocksGiveTheSameBits) {
  for (const double dropout : {0.0, 0.2}) {
    const auto model = load_fixture(GetParam());
    attach_adapter(*model, formats::read_peft(model_folder(GetParam()) / "adapter"), dropout);
    const auto expected = reference();
    const auto weights = expected.file->tensor("weights");
    const nn::ForwardOptions kept{.is_training = true, .dropout_key = 7};
    auto recomputed = kept;
    recomputed.recompute_blocks = true;
    EXPECT_TRUE(at::equal(predicted_nll(*model, expected.tokens, recomputed),
                          predicted_nll(*model, expected.tokens, kept)));
    const auto first = adapter_gradients(*model, expected.tokens, weights, kept);
    const auto second = adapter_gradients(*model, expected.tokens, weights, recomputed);
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_TRUE(at::equal(first[i], second[i])) << model->trainable()[i].name;
    }
  }
}

TEST_P(EveryAdapter, DropoutChangesTrainingOnly) {
  const auto model = load_fixture(GetParam());
  attach_adapter(*model, formats::read_peft(model_folder(GetParam()) / "adapter"), 0.5);
  const auto tokens = reference().tokens;
  EXPECT_TRUE(is_close(predicted_nll(*model, tokens), reference().nll));
  const auto first = predicted_nll(*model, tokens, {.is_training = true, .dropout_key = 1});
  EXPECT_FALSE(at::equal(first, predicted_nll(*model, tokens)));
  EXPECT_TRUE(
      at::equal(first, predicted_nll(*model, tokens, {.is_training = true, .dropout_key = 1})));
  EXPECT_FALSE(
      at::equal(first, predicted_nll(*model, tokens, {.is_training = true, .dropout_key = 2})));
}

TEST_P(EveryAdapter, SavedAndLoadedItIsTheSame) {
  const auto model = load_fixture_with_adapter(GetParam());
  auto adapter = formats::read_peft(model_folder(GetParam()) / "adapter");
  adapter.factors.clear();
  for (const auto& [name, value] : model->trainable()) adapter.factors.push_back({name, value});
  const auto again = load_fixture(GetParam());
  attach_adapter(*again, adapter);
  EXPECT_TRUE(
      at::equal(all_logits(*again, reference().tokens), all_logits(*model, reference().tokens)));
}

// An adapter on a tied head acts on the logits and leaves the embedding alone.
TEST(TiedHead, ItsAdapterIsNeverLost) {
  const auto model = load_fixture("llama_tied_llama3");
  EXPECT_EQ(model->lm_head->weight.data_ptr(), model->model->embed_tokens->weight.data_ptr());
  const auto reference =
      read_reference(model_folder("llama_tied_llama3") / "expected" / "adapter.safetensors");
  const auto base = all_logits(*model, reference.tokens);
  const auto base_nll = predicted_nll(*model, reference.tokens);
  attach_adapter(*model, {.rank = 2, .alpha = 4}, {"lm_head"}, /*seed=*/1);
  ASSERT_EQ(model->trainable().size(), 2U);
  EXPECT_EQ(model->trainable()[0].name, "lm_head.lora_A.weight");
  {
    const torch::NoGradGuard no_grad;
    model->lm_head->lora_B->weight.fill_(0.5);
  }
  const auto hidden = model->hidden_states(reference.tokens, {});
  EXPECT_FALSE(hidden.requires_grad());
  const auto update = 2.0 * at::mm(at::mm(hidden, model->lm_head->lora_A->weight.t()),
                                   model->lm_head->lora_B->weight.t());
  EXPECT_TRUE(is_close(all_logits(*model, reference.tokens), base + update));
  EXPECT_FALSE(at::equal(predicted_nll(*model, reference.tokens), base_nll));
  const auto gradients =
      adapter_gradients(*model, reference.tokens, reference.file->tensor("weights"));
  for (const auto& gradient : gradients) EXPECT_GT(gradient.abs().max().item<double>(), 0.0);
}

// The head's NLL with an update equals what its logits say.
TEST(TiedHead, TokenNllEqualsTheLogitsWithDropout) {
  const auto model = load_fixture("llama_tied_llama3");
  attach_adapter(*model, formats::read_peft(model_folder("llama_tied_llama3") / "adapter"), 0.4);
  const torch::NoGradGuard no_grad;
  const nn::ForwardOptions options{.is_training = true, .dropout_key = 5};
  const auto hidden = at::randn({6, 32});
  const auto targets = at::arange(6, at::kLong);
  const auto expected = -at::log_softmax(model->logits(hidden, options), 1)
                             .gather(1, targets.unsqueeze(1))
                             .squeeze(1);
  EXPECT_TRUE(is_close(model->token_nll(hidden, targets, options), expected));
}

TEST(Gradients, NothingBelowTheFirstTrainableLayerIsRecorded) {
  const auto model = load_fixture("llama_tied_llama3");
  attach_adapter(*model, {.rank = 2}, {"layers.2.self_attn.q_proj"}, /*seed=*/1);
  const auto reference =
      read_reference(model_folder("llama_tied_llama3") / "expected" / "reference.safetensors");
  const auto hidden = model->hidden_states(reference.tokens, {});
  // Walks the graph: of the three blocks, only the last has attention and feed-forward in it.
  std::map<std::string, int> counts;
  std::set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> open = {hidden.grad_fn().get()};
  while (!open.empty()) {
    auto* node = open.back();
    open.pop_back();
    if (node == nullptr || !seen.insert(node).second) continue;
    for (const char* name :
         {"PackedAttention", "Swiglu", "SharedLinear", "Rotate", "AccumulateGrad"}) {
      if (node->name().find(name) != std::string::npos) ++counts[name];
    }
    for (const auto& edge : node->next_edges()) open.push_back(edge.function.get());
  }
  EXPECT_EQ(counts["PackedAttention"], 1);
  EXPECT_EQ(counts["Swiglu"], 1);
  EXPECT_EQ(counts["SharedLinear"], 4);  // q, k and v; o; gate and up; down
  EXPECT_EQ(counts["Rotate"], 1);        // of q; k has nothing to train below it
  EXPECT_EQ(counts["AccumulateGrad"], 2);
}

TEST(Trainable, IsInAFixedOrderWithTheKeysOfTheFiles) {
  const auto model = load_fixture("llama_gqa");
  attach_adapter(*model, {.rank = 2}, {"v_proj", "q_proj"}, /*seed=*/1);
  std::vector<std::string> names;
  for (const auto& parameter : model->trainable()) names.push_back(parameter.name);
  EXPECT_THAT(names, testing::ElementsAre("model.layers.0.self_attn.q_proj.lora_A.weight",
                                          "model.layers.0.self_attn.q_proj.lora_B.weight",
                                          "model.layers.0.self_attn.v_proj.lora_A.weight",
                                          "model.layers.0.self_attn.v_proj.lora_B.weight",
                                          "model.layers.1.self_attn.q_proj.lora_A.weight",
                                          "model.layers.1.self_attn.q_proj.lora_B.weight",
                                          "model.layers.1.self_attn.v_proj.lora_A.weight",
                                          "model.layers.1.self_attn.v_proj.lora_B.weight"));
}

class Bfloat16Adapter : public testing::TestWithParam<const char*> {
 protected:
  Bfloat16Adapter()
      : model_(load_model(model_folder(GetParam()), torch::kBFloat16, torch::kCPU)),
        reference_(read_reference(model_folder(GetParam()) / "expected" / "adapter.safetensors")) {
    attach_adapter(*model_, formats::read_peft(model_folder(GetParam()) / "adapter"));
  }

  std::shared_ptr<Llama> model_;
  Reference reference_;
};

TEST_P(Bfloat16Adapter, TrainsFloat32FactorsByThePeersGradients) {
  const auto weights = reference_.file->tensor("weights");
  EXPECT_TRUE(
      is_close(predicted_nll(*model_, reference_.tokens), reference_.nll, torch::kBFloat16));
  const auto gradients = adapter_gradients(*model_, reference_.tokens, weights);
  const auto expected =
      adapter_gradients(*load_fixture_with_adapter(GetParam()), reference_.tokens, weights);
  for (size_t i = 0; i < gradients.size(); ++i) {
    EXPECT_EQ(gradients[i].scalar_type(), torch::kFloat32);
    // By the norm: single entries are sums with cancellation of rounded numbers.
    EXPECT_LE((gradients[i] - expected[i]).norm().item<double>(),
              4e-2 * expected[i].norm().item<double>())
        << i;
  }
}

// Rows are rounded up to a multiple of 32 here: by more for a text alone than for the pack.
TEST_P(Bfloat16Adapter, ATextIsTheSameAloneAndInAPack) {
  const auto packed = predicted_nll(*model_, reference_.tokens);
  std::vector<torch::Tensor> alone;
  for (size_t text = 0; text + 1 < reference_.tokens.cu_seqlens.size(); ++text) {
    alone.push_back(predicted_nll(*model_, text_of(reference_.tokens, text)));
  }
  EXPECT_TRUE(is_close(at::cat(alone), packed, torch::kBFloat16));
}

// The second one has an adapter on its tied head.
INSTANTIATE_TEST_SUITE_P(Models, Bfloat16Adapter, testing::Values("llama_gqa", "llama_tied_llama3"),
                         testing_support::by_value);

}  // namespace adapter_test
}  // namespace cpx::models
