// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <gmock/gmock.h>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "src/models/target_modules.h"
#include "tests/models/model_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace attach_adapter_test {

using testing_support::faults_of;
using testing_support::message_of;

std::vector<std::string> adapted_layers(const Llama& model) {
  std::vector<std::string> names;
  for (const auto& [name, index, layer] : linear_layers(model)) {
    if (layer->has_lora()) names.push_back(name);
  }
  return names;
}

std::vector<std::string> adapted_by(const std::vector<std::string>& targets) {
  const auto model = load_fixture("llama_gqa");
  attach_adapter(*model, {.rank = 2}, targets, /*seed=*/1);
  return adapted_layers(*model);
}

TEST(Targets, AreNamesOrTheirLastParts) {
  using testing::ElementsAre;
  EXPECT_THAT(adapted_by({"o_proj"}),
              ElementsAre("model.layers.0.self_attn.o_proj", "model.layers.1.self_attn.o_proj"));
  EXPECT_THAT(adapted_by({"1.mlp.up_proj"}), ElementsAre("model.layers.1.mlp.up_proj"));
  EXPECT_THAT(adapted_by({"model.layers.0.mlp.up_proj", "lm_head", "lm_head"}),
              ElementsAre("model.layers.0.mlp.up_proj", "lm_head"));
}

TEST(Targets, AllLinearIsAllButTheHead) {
  const auto names = adapted_by({"all-linear"});
  EXPECT_EQ(names.size(), 14U);
  EXPECT_THAT(names, testing::Not(testing::Contains("lm_head")));
}

TEST(Targets, ThatMatchNothingAreToldAllAtOnce) {
  EXPECT_THAT(
      faults_of([&] {
        adapted_by({"q_porj", "v_proj", "attention.wq"});
      }),
      testing::ElementsAre(
          "[attach_adapter] no linear layer is called 'q_porj': expected all-linear or names "
          "among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head. Did you "
          "mean 'q_proj'?",
          "[attach_adapter] no linear layer is called 'attention.wq': expected all-linear or "
          "names among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head."));
  // Part of a word is no match.
  EXPECT_THROW(adapted_by({"proj"}), ConfigError);
  EXPECT_THROW(adapted_by({""}), ConfigError);
}

TEST(Targets, MayNotBeEmpty) {
  EXPECT_EQ(message_of<ConfigError>([&] { adapted_by({}); }),
            "[attach_adapter] target_modules is empty: expected all-linear or names among "
            "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head.");
}

TEST(FreshAdapter, DependsOnTheSeedAndTheLayerNotOnTheOtherTargets) {
  const auto factor_of = [](const std::vector<std::string>& targets, uint64_t seed,
                            const std::string& name) {
    const auto model = load_fixture("llama_gqa");
    attach_adapter(*model, {.rank = 2}, targets, seed);
    return model->named_parameters()[name];
  };
  const std::string first = "model.layers.0.self_attn.v_proj.lora_A.weight";
  const std::string second = "model.layers.1.self_attn.v_proj.lora_A.weight";
  const auto factor = factor_of({"v_proj"}, 1, first);
  EXPECT_TRUE(at::equal(factor, factor_of({"q_proj", "v_proj"}, 1, first)));
  EXPECT_FALSE(at::equal(factor, factor_of({"v_proj"}, 2, first)));
  EXPECT_FALSE(at::equal(factor, factor_of({"v_proj"}, 1, second)));
}

TEST(FreshAdapter, LayersDropDifferentInputs) {
  const auto model = load_fixture("llama_gqa");
  attach_adapter(*model, {.rank = 2, .dropout = 0.1}, {"all-linear"}, /*seed=*/1);
  std::set<uint64_t> keys;
  for (const auto& [name, index, layer] : linear_layers(*model)) {
    if (layer->has_lora()) keys.insert(layer->dropout_key({.dropout_key = 3}));
  }
  EXPECT_EQ(keys.size(), 14U);
}

// The stored adapter of llama_gqa (q_proj and v_proj, rank 4), to be spoilt.
formats::PeftAdapter stored_adapter(const std::string& name = "llama_gqa") {
  return formats::read_peft(model_folder(name) / "adapter");
}

std::string error_of(const formats::PeftAdapter& adapter, const std::string& name = "llama_gqa") {
  const auto model = load_fixture(name);
  auto message = message_of<DataError>([&] { attach_adapter(*model, adapter); });
  EXPECT_TRUE(adapted_layers(*model).empty()) << "a refused adapter was attached in part";
  const auto folder = (adapter.folder / "adapter_model.safetensors").string();
  const size_t position = message.find(folder);
  if (position != std::string::npos) message.replace(position, folder.size(), "FILE");
  return message;
}

formats::NamedTensor& factor_called(formats::PeftAdapter& adapter, const std::string& name) {
  return *std::find_if(adapter.factors.begin(), adapter.factors.end(),
                       [&](const auto& factor) { return factor.name == name; });
}

constexpr const char* kSecondA = "model.layers.1.self_attn.q_proj.lora_A.weight";
constexpr const char* kSecondB = "model.layers.1.self_attn.q_proj.lora_B.weight";

TEST(StoredAdapter, AWrongShapeIsToldWithBothShapes) {
  auto adapter = stored_adapter();
  factor_called(adapter, kSecondA).value = at::zeros({4, 48});
  EXPECT_EQ(error_of(adapter),
            "[attach_adapter] FILE: 'model.layers.1.self_attn.q_proj.lora_A.weight' is [4, 48], "
            "expected [4, 32] (adapter_config.json: r 4; the layer's input features).");
  adapter = stored_adapter();
  factor_called(adapter, kSecondB).value = at::zeros({16, 4});
  EXPECT_EQ(error_of(adapter),
            "[attach_adapter] FILE: 'model.layers.1.self_attn.q_proj.lora_B.weight' is [16, 4], "
            "expected [32, 4] (adapter_config.json: r 4; the layer's output features).");
}

TEST(StoredAdapter, AMissingFactorIsNamed) {
  auto adapter = stored_adapter();
  std::erase_if(adapter.factors, [](const auto& factor) { return factor.name == kSecondB; });
  EXPECT_EQ(error_of(adapter),
            "[attach_adapter] FILE: 'model.layers.1.self_attn.q_proj.lora_B.weight' is missing "
            "(adapter_config.json: target_modules q_proj, v_proj).");
}

TEST(StoredAdapter, AFactorThatFitsNoLayerIsNamed) {
  auto adapter = stored_adapter();
  auto surplus = factor_called(adapter, kSecondA);
  surplus.name = "model.layers.7.self_attn.q_proj.lora_A.weight";
  adapter.factors.push_back(surplus);
  EXPECT_EQ(error_of(adapter),
            "[attach_adapter] FILE: 'model.layers.7.self_attn.q_proj.lora_A.weight' fits no linear "
            "layer of the model. The nearest is 'model.layers.0.self_attn.q_proj'.");
}

TEST(StoredAdapter, AFactorOfNoTargetIsNamed) {
  auto adapter = stored_adapter();
  adapter.config.target_modules = {"v_proj"};
  EXPECT_EQ(error_of(adapter),
            "[attach_adapter] FILE: 'model.layers.0.self_attn.q_proj.lora_A.weight' belongs to no "
            "target (adapter_config.json: target_modules v_proj).");
}

TEST(StoredAdapter, ABaseTensorMustEqualTheModelsOwn) {
  auto adapter = stored_adapter("llama_tied_llama3");
  ASSERT_EQ(adapter.base_tensors.size(), 1U);
  EXPECT_EQ(adapter.base_tensors[0].name, "lm_head.base_layer.weight");
  adapter.base_tensors[0].value = adapter.base_tensors[0].value + 1.0;
  adapter.config.base_model = "some/base";
  EXPECT_EQ(error_of(adapter, "llama_tied_llama3"),
            "[attach_adapter] FILE: 'lm_head.base_layer.weight' differs from the model's own "
            "weight. The adapter was trained on another base (some/base).");
  adapter.base_tensors[0].name = "lm_head.base_layer.bias";
  EXPECT_EQ(error_of(adapter, "llama_tied_llama3"),
            "[attach_adapter] FILE: 'lm_head.base_layer.bias' fits no weight of the model. The "
            "adapter was trained on another base (some/base).");
}

TEST(StoredAdapter, ABaseTensorMayBeOfAnotherPrecision) {
  auto adapter = stored_adapter("llama_tied_llama3");
  adapter.base_tensors[0].value = adapter.base_tensors[0].value.to(torch::kBFloat16);
  const auto model = load_fixture("llama_tied_llama3");
  attach_adapter(*model, adapter);
  EXPECT_TRUE(model->lm_head->has_lora());
  const auto rounded = load_model(model_folder("llama_tied_llama3"), torch::kBFloat16, torch::kCPU);
  attach_adapter(*rounded, stored_adapter("llama_tied_llama3"));
  EXPECT_TRUE(rounded->lm_head->has_lora());
}

TEST(StoredAdapter, FactorsAreCopiedIntoFloat32) {
  auto adapter = stored_adapter();
  for (auto& factor : adapter.factors) factor.value = factor.value.to(torch::kFloat64);
  const auto model = load_fixture("llama_gqa");
  attach_adapter(*model, adapter);
  for (const auto& [name, value] : model->trainable()) {
    EXPECT_EQ(value.scalar_type(), torch::kFloat32) << name;
    EXPECT_NE(value.data_ptr(), factor_called(adapter, name).value.data_ptr()) << name;
  }
}

TEST(StoredAdapter, ItsDropoutCanBeReplaced) {
  const auto model = load_fixture("llama_gqa");
  attach_adapter(*model, stored_adapter(), 0.25);
  EXPECT_EQ(linear_layers(*model)[0].layer->lora().dropout, 0.25);
}

// The same update in two forms: rank 4 and alpha 8 of which two rows are zero, or rank 2 and alpha
// 4, which has the same scale 2; and B twice as large, or twice the alpha.
TEST(StoredAdapter, ALayerMayHaveARankAndAnAlphaOfItsOwn) {
  const std::string first = "model.layers.0.self_attn.q_proj";
  const std::string second = "model.layers.1.self_attn.v_proj";
  auto plain = stored_adapter();
  auto patterned = stored_adapter();
  ASSERT_EQ(plain.config.rank, 4);
  ASSERT_EQ(plain.config.alpha, 8.0);
  patterned.config.own_layers = {{first, {.rank = 2, .alpha = 4.0}},
                                 {second, {.rank = 4, .alpha = 16.0}}};
  for (size_t i = 0; i < plain.factors.size(); ++i) {
    auto& [name, value] = plain.factors[i];
    if (name == first + ".lora_A.weight") {
      value = value.clone();
      value.slice(0, 2).zero_();
      patterned.factors[i].value = value.slice(0, 0, 2).contiguous();
    } else if (name == first + ".lora_B.weight") {
      patterned.factors[i].value = value.slice(1, 0, 2).contiguous();
    } else if (name == second + ".lora_B.weight") {
      value = value * 2.0;
    }
  }
  const auto logits_of = [](const formats::PeftAdapter& adapter) {
    const auto model = load_fixture("llama_gqa");
    attach_adapter(*model, adapter);
    const auto path = model_folder("llama_gqa") / "expected" / "adapter.safetensors";
    return all_logits(*model, read_reference(path).tokens);
  };
  EXPECT_TRUE(testing_support::is_close(logits_of(patterned), logits_of(plain)));
  EXPECT_FALSE(testing_support::is_close(logits_of(patterned), logits_of(stored_adapter())));
}

}  // namespace attach_adapter_test
}  // namespace cpx::models
