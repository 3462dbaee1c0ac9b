// SPDX-License-Identifier: Apache-2.0
// Logits and token NLL against transformers (scripts/fixtures/make_models.py, make_gguf.py).
#include <filesystem>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/models/model_fixture.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace parity_test {

using testing_support::fixture;
using testing_support::is_close;
using testing_support::ScratchFolderTest;

void expect_reference(Llama& model, const std::filesystem::path& path) {
  const auto reference = read_reference(path);
  EXPECT_TRUE(is_close(all_logits(model, reference.tokens), reference.logits));
  EXPECT_TRUE(is_close(predicted_nll(model, reference.tokens), reference.nll));
}

class EveryModel : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, EveryModel,
                         testing::Values("llama_gqa", "llama_tied_llama3", "llama_bias_linear",
                                         "llama_sharded_bf16", "llama_f16", "mistral_window",
                                         "llama_gptq_4bit", "llama_gptq_8bit", "llama_awq_4bit"),
                         testing_support::by_value);

TEST_P(EveryModel, LogitsAndNllEqualThePeer) {
  const auto model = load_fixture(GetParam());
  expect_reference(*model, model_folder(GetParam()) / "expected" / "reference.safetensors");
}

TEST_P(EveryModel, PackedEqualsOneTextAtATime) {
  const auto model = load_fixture(GetParam());
  const auto reference =
      read_reference(model_folder(GetParam()) / "expected" / "reference.safetensors");
  const auto packed = all_logits(*model, reference.tokens);
  std::vector<torch::Tensor> alone;
  for (size_t text = 0; text + 1 < reference.tokens.cu_seqlens.size(); ++text) {
    alone.push_back(all_logits(*model, text_of(reference.tokens, text)));
  }
  EXPECT_TRUE(is_close(packed, at::cat(alone)));
}

TEST_P(EveryModel, NothingOfTheBaseIsTrained) {
  const auto model = load_fixture(GetParam());
  EXPECT_TRUE(model->trainable().empty());
  for (const auto& item : model->named_parameters()) {
    EXPECT_FALSE(item.value().requires_grad()) << item.key();
  }
  const auto reference =
      read_reference(model_folder(GetParam()) / "expected" / "reference.safetensors");
  EXPECT_FALSE(predicted_nll(*model, reference.tokens).requires_grad());
}

class OldConfig : public ScratchFolderTest, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, OldConfig,
                         testing::Values("llama_gqa", "llama_tied_llama3", "llama_bias_linear",
                                         "llama_sharded_bf16", "llama_f16", "mistral_window"),
                         testing_support::by_value);

TEST_P(OldConfig, GivesTheSameModel) {
  for (const auto& entry : std::filesystem::directory_iterator(model_folder(GetParam()))) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("model")) std::filesystem::copy(entry.path(), folder_ / name);
  }
  std::filesystem::copy(model_folder(GetParam()) / "config_v4.json", folder_ / "config.json");
  const auto model = load_model(folder_, torch::kFloat32, torch::kCPU);
  expect_reference(*model, model_folder(GetParam()) / "expected" / "reference.safetensors");
}

TEST(GgufModel, Float32EqualsTheFolderItCameFrom) {
  const auto gguf = load_model(fixture("gguf/llama_gqa_f32.gguf"), torch::kFloat32, torch::kCPU);
  const auto folder = load_fixture("llama_gqa");
  const auto expected = folder->named_parameters();
  const auto actual = gguf->named_parameters();
  ASSERT_EQ(actual.keys(), expected.keys());
  for (const auto& item : actual) {
    EXPECT_TRUE(at::equal(item.value(), expected[item.key()])) << item.key();
  }
  expect_reference(*gguf, model_folder("llama_gqa") / "expected" / "reference.safetensors");
}

class QuantisedGguf : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, QuantisedGguf,
                         testing::Values("llama_mixed", "llama_tied_q4_1", "llama_k_quants"),
                         testing_support::by_value);

TEST_P(QuantisedGguf, WeightsEqualThePeerBitForBitAndSoDoTheLogits) {
  const auto model =
      load_model(fixture("gguf/" + GetParam() + ".gguf"), torch::kFloat32, torch::kCPU);
  const auto path = fixture("gguf/expected/" + GetParam() + ".safetensors");
  const auto expected = formats::SafetensorsFile::open(path);
  size_t num_compared = 0;
  for (const auto& item : model->named_parameters()) {
    if (!expected->contains(item.key())) continue;
    EXPECT_TRUE(at::equal(item.value(), expected->tensor(item.key()))) << item.key();
    ++num_compared;
  }
  EXPECT_EQ(num_compared, expected->names().size() - 4);  // ids, cu_seqlens, logits, nll
  expect_reference(*model, path);
}

TEST(Bfloat16Model, IsNearTheFloat32One) {
  const auto model = load_model(model_folder("llama_sharded_bf16"), torch::kBFloat16, torch::kCPU);
  EXPECT_EQ(model->dtype(), torch::kBFloat16);
  const auto reference =
      read_reference(model_folder("llama_sharded_bf16") / "expected" / "reference.safetensors");
  const auto nll = predicted_nll(*model, reference.tokens);
  EXPECT_EQ(nll.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(is_close(nll, reference.nll, torch::kBFloat16));
}

TEST(Hiddenstates, ErrorsNameTheTypeAndTheLimits) {
  const auto model = load_fixture("llama_gqa");
  EXPECT_THROW(model->hidden_states({at::zeros({4}, at::kInt), {0, 4}}, {}), std::invalid_argument);
  EXPECT_THROW(model->hidden_states({at::zeros({4}, at::kLong), {0, 5}}, {}),
               std::invalid_argument);
}

}  // namespace parity_test
}  // namespace cpx::models
