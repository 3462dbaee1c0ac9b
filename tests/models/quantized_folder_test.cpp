// SPDX-License-Identifier: Apache-2.0
// Folders of GPTQ and AWQ (scripts/fixtures/make_gptq_awq.py): which tensors make a weight, and
// what is told where they do not fit. Their logits are in parity_test.cpp.
#include <algorithm>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "tests/models/model_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::models {
namespace quantized_folder_test {

namespace fs = std::filesystem;

using formats::NamedTensor;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

class EveryQuantizedFolder : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, EveryQuantizedFolder,
                         testing::Values("llama_gptq_4bit", "llama_gptq_8bit", "llama_awq_4bit"),
                         testing_support::by_value);

TEST_P(EveryQuantizedFolder, HasThePeersDenseWeightsInEveryComputeType) {
  const auto folder = model_folder(GetParam());
  const auto expected = formats::SafetensorsFile::open(folder / "expected" / "dense.safetensors");
  ASSERT_EQ(expected->names().size(), 14U);
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16, torch::kFloat16}) {
    const auto weights = load_model(folder, dtype, torch::kCPU)->named_parameters();
    for (const auto& name : expected->names()) {
      EXPECT_EQ(weights[name].scalar_type(), dtype) << name;
      EXPECT_TRUE(at::equal(weights[name], expected->tensor(name).to(dtype))) << name;
    }
  }
}

TEST_P(EveryQuantizedFolder, IsCheckedAndLoadedWithoutAWord) {
  testing::internal::CaptureStderr();
  check_weights(model_folder(GetParam()));
  load_fixture(GetParam());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

constexpr const char* kLayer = "model.layers.1.mlp.up_proj";  // [64, 32] in groups of 16

// The 4 bit folder in one file, to be spoilt.
class QuantizedFolder : public ScratchFolderTest {
 protected:
  void SetUp() override {
    fs::copy(model_folder("llama_gptq_4bit") / "config.json", folder_ / "config.json");
    const auto file =
        formats::SafetensorsFile::open(model_folder("llama_gptq_4bit") / "model.safetensors");
    for (const auto& key : file->names()) tensors_.push_back({key, file->tensor(key)});
  }

  torch::Tensor& part(const std::string& ending) {
    const auto name = fmt::format("{}.{}", kLayer, ending);
    return std::find_if(tensors_.begin(), tensors_.end(),
                        [&](const auto& entry) { return entry.name == name; })
        ->value;
  }

  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const auto& entry) { return entry.name == name; });
  }

  std::shared_ptr<Llama> load() const {
    write_safetensors(folder_ / "model.safetensors", tensors_);
    return load_model(folder_, torch::kFloat32, torch::kCPU);
  }

  // The message of check_weights, which reads no weight, after the folder's name.
  std::string check_error() const {
    write_safetensors(folder_ / "model.safetensors", tensors_);
    return without_folder(message_of<DataError>([&] { check_weights(folder_); }));
  }

  std::string without_folder(std::string message) const {
    const size_t at = message.find(folder_.string());
    return at == std::string::npos ? message
                                   : message.replace(at, folder_.string().size(), "FOLDER");
  }

  std::vector<NamedTensor> tensors_;
};

TEST_F(QuantizedFolder, AMissingPartIsNamedBeforeAnythingIsRead) {
  remove(fmt::format("{}.scales", kLayer));
  EXPECT_EQ(check_error(),
            "[gptq] FOLDER/model.safetensors: 'model.layers.1.mlp.up_proj.scales' is missing, "
            "expected float16 [2, 64] (32 inputs in groups of 16, 64 outputs, 4 bits).");
}

TEST_F(QuantizedFolder, APartOfAnotherShapeIsNamedBeforeAnythingIsRead) {
  part("qzeros") = at::zeros({2, 4}, at::kInt);
  EXPECT_EQ(check_error(),
            "[gptq] FOLDER/model.safetensors: 'model.layers.1.mlp.up_proj.qzeros' is int32 [2, 4], "
            "expected int32 [2, 8] (32 inputs in groups of 16, 64 outputs, 4 bits).");
}

TEST_F(QuantizedFolder, AnotherNumberOfOutputsIsToldWithTheConfigsKey) {
  part("qweight") = at::zeros({4, 56}, at::kInt);
  part("qzeros") = at::zeros({2, 7}, at::kInt);
  part("scales") = at::zeros({2, 56}, at::kHalf);
  EXPECT_EQ(check_error(),
            "[load_model] FOLDER/model.safetensors: 'model.layers.1.mlp.up_proj.weight' is [56, "
            "32], expected [64, 32] (config.json: intermediate_size 64).");
}

TEST_F(QuantizedFolder, AMissingQweightIsToldWithWhatIsThere) {
  remove(fmt::format("{}.qweight", kLayer));
  EXPECT_EQ(check_error(),
            "[load_model] FOLDER: 1 tensor is missing: 'model.layers.1.mlp.up_proj.weight'. The "
            "file has 'model.layers.1.mlp.up_proj.g_idx', which the model has no place for.");
}

TEST_F(QuantizedFolder, AGroupThatIsNotThereIsToldWhenItIsRead) {
  part("g_idx") = at::full({32}, 2, at::kInt);
  EXPECT_EQ(without_folder(message_of<DataError>([&] { load(); })),
            "[gptq] FOLDER/model.safetensors: 'model.layers.1.mlp.up_proj.g_idx' has 2 at 0, "
            "expected 0 to 1.");
}

TEST_F(QuantizedFolder, WithoutAQuantizationConfigIsToldItsQweight) {
  auto config = read_text_file(folder_ / "config.json");
  const std::string key = "\"quantization_config\"";
  ASSERT_NE(config.find(key), std::string::npos);
  write("config.json", config.replace(config.find(key), key.size(), "\"comment\""));
  const auto message = check_error();
  EXPECT_NE(message.find("14 tensors are missing: 'model.layers.0.self_attn.q_proj.weight'"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("The file has 'model.layers.0.self_attn.q_proj.qweight'"),
            std::string::npos)
      << message;
}

TEST_F(QuantizedFolder, ALayerLeftAsItWasIsReadBesideTheOthers) {
  const auto dense = load()->named_parameters()[fmt::format("{}.weight", kLayer)];
  for (const char* ending : {"qweight", "qzeros", "scales", "g_idx"}) {
    remove(fmt::format("{}.{}", kLayer, ending));
  }
  tensors_.push_back({fmt::format("{}.weight", kLayer), (2.0 * dense).to(torch::kHalf)});
  const auto model = load();
  EXPECT_TRUE(at::equal(model->named_parameters()[fmt::format("{}.weight", kLayer)], 2.0 * dense));
}

TEST_F(QuantizedFolder, ABiasOfZerosIsPassedOverAndAnotherIsWarnedOf) {
  tensors_.push_back({fmt::format("{}.bias", kLayer), at::zeros({64}, at::kHalf)});
  testing::internal::CaptureStderr();
  load();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  tensors_.back().value[3] = 1.0;
  testing::internal::CaptureStderr();
  load();
  const auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("1 tensor is not used: 'model.layers.1.mlp.up_proj.bias'."), std::string::npos)
      << log;
}

TEST_F(QuantizedFolder, OfAnOlderKindIsReadByItsQuantizeConfig) {
  auto config = read_text_file(folder_ / "config.json");
  const std::string key = "\"quantization_config\"";
  write("config.json", config.replace(config.find(key), key.size(), "\"comment\""));
  write("quantize_config.json", R"({"bits":4,"group_size":16,"desc_act":true,"sym":false})");
  const auto old = load()->named_parameters();
  const auto expected = load_fixture("llama_gptq_4bit")->named_parameters();
  for (const auto& item : expected) EXPECT_TRUE(at::equal(old[item.key()], item.value()));
}

}  // namespace quantized_folder_test
}  // namespace cpx::models
