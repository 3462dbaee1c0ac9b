// SPDX-License-Identifier: Apache-2.0
// What the weights of a model that only decodes are held in.
#include <functional>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/quant/gguf_blocks.h"
#include "src/models/weight_slots.h"
#include "tests/models/model_fixture.h"
#include "tests/support/errors.h"

namespace cpx::models {
namespace load_for_decoding_test {

using tensor::StorageType;
using testing_support::message_of;
using torch::Tensor;

std::shared_ptr<Llama> load_quantized(const std::filesystem::path& path,
                                      WeightFormat format = WeightFormat::kAuto) {
  return load_for_decoding(path, format, torch::kFloat32, torch::kCPU);
}

std::map<std::string, kernels::BlockWeight> blocks_by_key(const Llama& model) {
  std::map<std::string, kernels::BlockWeight> blocks;
  for (const WeightSlot& slot : slots_of(model)) {
    const auto own = slot.module->blocks_of(slot.name);
    if (own.is_defined()) blocks[slot.key] = own;
  }
  return blocks;
}

Tensor dense_weight(const Llama& model, const std::string& key) {
  return model.named_parameters()[key];
}

bool is_in_file(const Tensor& tensor) { return !tensor.storage().resizable(); }

// ---- A GGUF as it is ----------------------------------------------------------------------------

TEST(LoadForDecoding, AGgufsBlocksHaveItsNumbersInTheModelsOrder) {
  for (const std::string name : {"llama_mixed", "llama_tied_q4_1"}) {
    const auto dense = load_model(gguf_file(name), torch::kFloat32, torch::kCPU);
    const auto model = load_quantized(gguf_file(name));
    EXPECT_TRUE(model->is_quantized());
    EXPECT_FALSE(dense->is_quantized());
    const auto blocks = blocks_by_key(*model);
    for (const WeightSlot& slot : slots_of(*model)) {
      const auto expected = dense_weight(*dense, slot.key);
      const auto own = blocks.find(slot.key);
      if (own == blocks.end()) {
        EXPECT_TRUE(at::equal(dense_weight(*model, slot.key), expected)) << slot.key;
      } else if (slot.key.ends_with("down_proj.weight") && name == "llama_mixed") {  // Q6_K
        EXPECT_EQ(own->second.type, StorageType::kQ8_0);
        EXPECT_TRUE(at::equal(own->second.bytes, quant::quantize(StorageType::kQ8_0, expected)));
      } else {
        EXPECT_TRUE(at::equal(kernels::dequantized(own->second), expected)) << slot.key;
      }
    }
  }
}

TEST(LoadForDecoding, TypesAreThoseOfTheFile) {
  const auto mixed = blocks_by_key(*load_quantized(gguf_file("llama_mixed")));
  const std::map<std::string, StorageType> expected = {
      {"model.embed_tokens.weight", StorageType::kQ8_0},
      {"model.layers.0.self_attn.q_proj.weight", StorageType::kQ4_0},
      {"model.layers.0.self_attn.k_proj.weight", StorageType::kQ4_1},
      {"model.layers.0.self_attn.o_proj.weight", StorageType::kQ8_0},
      {"model.layers.0.mlp.up_proj.weight", StorageType::kQ4_0},
      {"model.layers.0.mlp.down_proj.weight", StorageType::kQ8_0},
      {"model.layers.1.self_attn.q_proj.weight", StorageType::kQ8_0},
      {"model.layers.1.self_attn.k_proj.weight", StorageType::kQ4_0},
      {"model.layers.1.self_attn.v_proj.weight", StorageType::kQ4_1},
      {"model.layers.1.mlp.gate_proj.weight", StorageType::kQ8_0},
      {"model.layers.1.mlp.up_proj.weight", StorageType::kQ4_1},
      {"model.layers.1.mlp.down_proj.weight", StorageType::kQ8_0}};
  EXPECT_EQ(mixed.size(), expected.size());
  for (const auto& [key, type] : expected) {
    ASSERT_TRUE(mixed.contains(key)) << key;
    EXPECT_EQ(mixed.at(key).type, type) << key;
  }
  EXPECT_EQ(weight_types(*load_quantized(gguf_file("llama_mixed"))),
            "Q4_0 + Q4_1 + Q8_0 + float32");
  EXPECT_EQ(weight_types(*load_quantized(gguf_file("llama_tied_q4_1"))), "Q4_1");
}

TEST(LoadForDecoding, KQuantsBecomeTheNearestTypesThatHaveAProduct) {
  const auto blocks = blocks_by_key(*load_quantized(gguf_file("llama_k_quants")));
  const auto type_of = [&](const std::string& key) { return blocks.at(key + ".weight").type; };
  EXPECT_EQ(blocks.size(), 16u);
  EXPECT_EQ(type_of("model.embed_tokens"), StorageType::kQ4_1);               // Q4_K
  EXPECT_EQ(type_of("lm_head"), StorageType::kQ8_0);                          // Q6_K
  EXPECT_EQ(type_of("model.layers.0.self_attn.q_proj"), StorageType::kQ4_1);  // Q4_K
  EXPECT_EQ(type_of("model.layers.0.self_attn.v_proj"), StorageType::kQ8_0);  // Q6_K
  EXPECT_EQ(type_of("model.layers.1.self_attn.q_proj"), StorageType::kQ8_0);  // Q5_K
  EXPECT_EQ(type_of("model.layers.1.mlp.down_proj"), StorageType::kQ8_0);     // IQ4_XS
  // k in Q3_K: exact, and its rows in the model's order; o in Q5_0 and up in IQ4_NL: exact.
  const auto dense = load_model(gguf_file("llama_k_quants"), torch::kFloat32, torch::kCPU);
  for (const std::string name : {"self_attn.k_proj", "self_attn.o_proj", "mlp.up_proj"}) {
    const auto key = "model.layers.1." + name + ".weight";
    EXPECT_TRUE(at::equal(kernels::dequantized(blocks.at(key)), dense_weight(*dense, key))) << key;
  }
}

// Beside the mapped file the model owns norms, and the rows of q and k in another order.
TEST(LoadForDecoding, NothingElseOfAGgufIsCopied) {
  const auto model = load_quantized(gguf_file("llama_tied_q4_1"));
  int64_t owned = 0;
  for (const auto& [key, blocks] : blocks_by_key(*model)) {
    const bool is_permuted = key.ends_with("q_proj.weight") || key.ends_with("k_proj.weight");
    EXPECT_EQ(is_in_file(blocks.bytes), !is_permuted) << key;
    if (!is_in_file(blocks.bytes)) owned += static_cast<int64_t>(blocks.bytes.nbytes());
  }
  for (const auto& parameter : model->parameters()) {
    if (!parameter.is_meta()) owned += static_cast<int64_t>(parameter.nbytes());
  }
  // Two layers of q [32, 32] and k [16, 32] in 20 bytes for 32 numbers; five norms of 32.
  EXPECT_EQ(owned, 2 * (32 + 16) * 20 + 5 * 32 * 4);
  EXPECT_EQ(model->lm_head->blocks.bytes.data_ptr(),
            model->model->embed_tokens->blocks.bytes.data_ptr());
}

// ---- Other formats ------------------------------------------------------------------------------

TEST(LoadForDecoding, AFolderIsQuantisedWhenItIsLoaded) {
  const auto dense = load_fixture("llama_gqa");
  const auto q8_0 = load_quantized(model_folder("llama_gqa"), WeightFormat::kQ8_0);
  const auto q4_0 = load_quantized(model_folder("llama_gqa"), WeightFormat::kQ4_0);
  EXPECT_EQ(weight_types(*q8_0), "Q8_0 + float32");  // down_proj has 48 inputs: no whole blocks
  EXPECT_EQ(weight_types(*q4_0), "Q4_0 + Q8_0 + float32");
  const auto of_q4_0 = blocks_by_key(*q4_0);
  for (const auto& [key, blocks] : blocks_by_key(*q8_0)) {
    EXPECT_FALSE(key.ends_with("down_proj.weight"));
    const auto weight = dense_weight(*dense, key);
    EXPECT_TRUE(at::equal(blocks.bytes, quant::quantize(StorageType::kQ8_0, weight))) << key;
    const bool is_of_vocabulary = key == "lm_head.weight" || key == "model.embed_tokens.weight";
    const auto type = is_of_vocabulary ? StorageType::kQ8_0 : StorageType::kQ4_0;
    EXPECT_TRUE(at::equal(of_q4_0.at(key).bytes, quant::quantize(type, weight))) << key;
  }
  EXPECT_TRUE(at::equal(dense_weight(*q8_0, "model.layers.0.mlp.down_proj.weight"),
                        dense_weight(*dense, "model.layers.0.mlp.down_proj.weight")));
}

TEST(LoadForDecoding, HalfFoldersAreQuantisedFromTheirOwnNumbers) {
  for (const std::string name : {"llama_f16", "llama_sharded_bf16"}) {
    const auto dense = load_fixture(name);
    for (const auto& [key, blocks] :
         blocks_by_key(*load_quantized(model_folder(name), WeightFormat::kQ4_0))) {
      EXPECT_TRUE(at::equal(blocks.bytes, quant::quantize(blocks.type, dense_weight(*dense, key))))
          << key;
    }
  }
}

TEST(LoadForDecoding, AGgufOfOneTypeMayBecomeAnother) {
  const auto model = load_quantized(gguf_file("llama_tied_q4_1"), WeightFormat::kQ8_0);
  EXPECT_EQ(weight_types(*model), "Q8_0");
  const auto dense = load_model(gguf_file("llama_tied_q4_1"), torch::kFloat32, torch::kCPU);
  for (const auto& [key, blocks] : blocks_by_key(*model)) {
    if (key == "lm_head.weight") continue;
    EXPECT_TRUE(at::equal(blocks.bytes, quant::quantize(blocks.type, dense_weight(*dense, key))))
        << key;
  }
}

TEST(LoadForDecoding, DenseWeightsAreThoseOfLoadModel) {
  const auto types_of = [](const std::filesystem::path& path, WeightFormat format,
                           torch::Dtype dtype) {
    return weight_types(*load_for_decoding(path, format, dtype, torch::kCPU));
  };
  const auto file = gguf_file("llama_mixed");
  EXPECT_EQ(types_of(file, WeightFormat::kFloat32, torch::kFloat32), "float32");
  EXPECT_EQ(types_of(file, WeightFormat::kBFloat16, torch::kBFloat16), "bfloat16");
  EXPECT_EQ(types_of(file, WeightFormat::kAuto, torch::kBFloat16), "bfloat16");
  EXPECT_EQ(types_of(file, WeightFormat::kAuto, torch::kFloat16), "float16");
  const auto folder = model_folder("llama_gqa");
  EXPECT_EQ(types_of(folder, WeightFormat::kAuto, torch::kFloat32), "float32");
  EXPECT_EQ(types_of(gguf_file("llama_gqa_f32"), WeightFormat::kAuto, torch::kFloat32), "float32");
}

TEST(LoadForDecoding, TheComputeTypeGoesWithTheWeights) {
  const torch::Device cpu = torch::kCPU;
  const auto folder = model_folder("llama_gqa");
  EXPECT_EQ(decoding_dtype(gguf_file("llama_mixed"), WeightFormat::kAuto, cpu), torch::kFloat32);
  EXPECT_EQ(decoding_dtype(folder, WeightFormat::kQ8_0, cpu), torch::kFloat32);
  EXPECT_EQ(decoding_dtype(folder, WeightFormat::kFloat32, cpu), torch::kFloat32);
  EXPECT_EQ(decoding_dtype(folder, WeightFormat::kBFloat16, cpu), torch::kBFloat16);
}

// ---- Adapters -----------------------------------------------------------------------------------

// The adapter's file holds the base's head in float32: the quantised one was made of it.
TEST(LoadForDecoding, AnAdaptersBaseTensorIsComparedWithWhatWasQuantised) {
  auto adapter = formats::read_peft(model_folder("llama_tied_llama3") / "adapter");
  ASSERT_EQ(adapter.base_tensors.size(), 1U);
  const auto attach = [&](WeightFormat format) {
    attach_adapter(*load_quantized(model_folder("llama_tied_llama3"), format), adapter);
  };
  EXPECT_NO_THROW(attach(WeightFormat::kQ8_0));
  EXPECT_NO_THROW(attach(WeightFormat::kQ4_0));
  adapter.base_tensors[0].value = adapter.base_tensors[0].value * 1.25;
  EXPECT_THROW(attach(WeightFormat::kQ8_0), DataError);
}

// ---- Errors -------------------------------------------------------------------------------------

TEST(WeightFormats, AreCalledByTheirNames) {
  EXPECT_EQ(parse_weight_format("auto"), WeightFormat::kAuto);
  EXPECT_EQ(parse_weight_format("float32"), WeightFormat::kFloat32);
  EXPECT_EQ(parse_weight_format("bfloat16"), WeightFormat::kBFloat16);
  EXPECT_EQ(parse_weight_format("q8_0"), WeightFormat::kQ8_0);
  EXPECT_EQ(parse_weight_format("q4_0"), WeightFormat::kQ4_0);
  EXPECT_EQ(
      message_of<ConfigError>([] { parse_weight_format("q5_k"); }),
      "[weights] unknown format: got 'q5_k', expected auto, float32, bfloat16, q8_0 or q4_0.");
}

TEST(WeightFormats, GoWithOneComputeType) {
  const auto error_of = [](WeightFormat format, torch::Dtype dtype, const torch::Device& device) {
    return message_of<ConfigError>(
        [&] { load_for_decoding(model_folder("llama_gqa"), format, dtype, device); });
  };
  EXPECT_EQ(error_of(WeightFormat::kQ4_0, torch::kBFloat16, torch::kCPU),
            "[weights] q4_0: got dtype bfloat16, expected auto or float32.");
  EXPECT_EQ(error_of(WeightFormat::kFloat32, torch::kFloat16, torch::kCPU),
            "[weights] float32: got dtype float16, expected auto or float32.");
  EXPECT_EQ(error_of(WeightFormat::kBFloat16, torch::kFloat32, torch::kCPU),
            "[weights] bfloat16: got dtype float32, expected auto or bfloat16.");
  EXPECT_EQ(error_of(WeightFormat::kQ8_0, torch::kFloat32, torch::Device(torch::kCUDA, 1)),
            "[weights] q8_0: got device cuda:1, expected cpu.");
}

}  // namespace load_for_decoding_test
}  // namespace cpx::models
