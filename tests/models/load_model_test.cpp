// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/formats/gguf.h"
#include "tests/models/model_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::models {
namespace load_model_test {

namespace fs = std::filesystem;

using formats::NamedTensor;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

// A folder with the config and weights of a fixture, to be spoilt.
class LoadModel : public ScratchFolderTest {
 protected:
  void start_from(const std::string& name) {
    fs::copy(model_folder(name) / "config.json", folder_ / "config.json");
    const auto file = formats::SafetensorsFile::open(model_folder(name) / "model.safetensors");
    for (const auto& key : file->names()) tensors_.push_back({key, file->tensor(key)});
  }

  NamedTensor& tensor(const std::string& name) {
    return *std::find_if(tensors_.begin(), tensors_.end(),
                         [&](const auto& entry) { return entry.name == name; });
  }

  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const auto& entry) { return entry.name == name; });
  }

  std::shared_ptr<Llama> load(torch::Dtype dtype = torch::kFloat32) const {
    write_safetensors(folder_ / "model.safetensors", tensors_);
    return load_model(folder_, dtype, torch::kCPU);
  }

  // The message with the folder's name as FOLDER.
  std::string error_of(const std::function<void()>& call) const {
    auto message = message_of<DataError>(call);
    for (size_t at = message.find(folder_.string()); at != std::string::npos;
         at = message.find(folder_.string(), at)) {
      message.replace(at, folder_.string().size(), "FOLDER");
    }
    return message;
  }
  std::string load_error() const {
    return error_of([this] { load(); });
  }

  std::vector<NamedTensor> tensors_;
};

TEST_F(LoadModel, AWrongShapeIsToldWithTensorFileShapesAndKey) {
  start_from("llama_gqa");
  tensor("model.layers.1.mlp.up_proj.weight").value = at::zeros({64, 32});
  EXPECT_EQ(load_error(),
            "[load_model] FOLDER/model.safetensors: 'model.layers.1.mlp.up_proj.weight' is "
            "[64, 32], expected [48, 32] (config.json: intermediate_size 48).");
}

TEST_F(LoadModel, AWrongNumberOfDimensionsIsToldWithAllKeys) {
  start_from("llama_gqa");
  tensor("model.layers.0.self_attn.k_proj.weight").value = at::zeros({512});
  EXPECT_EQ(load_error(),
            "[load_model] FOLDER/model.safetensors: 'model.layers.0.self_attn.k_proj.weight' is "
            "[512], expected [16, 32] (config.json: num_key_value_heads 2 * head_dim 8, "
            "hidden_size 32).");
}

TEST_F(LoadModel, AMisnamedTensorIsToldWithWhatTheFileHas) {
  start_from("llama_gqa");
  tensor("model.layers.0.self_attn.q_proj.weight").name = "model.layers.0.self_attn.q_prj.weight";
  EXPECT_EQ(load_error(),
            "[load_model] FOLDER: 1 tensor is missing: 'model.layers.0.self_attn.q_proj.weight'. "
            "The file has 'model.layers.0.self_attn.q_prj.weight', which the model has no place "
            "for.");
}

TEST_F(LoadModel, ManyMissingTensorsAreCounted) {
  start_from("llama_gqa");
  std::erase_if(tensors_, [](const auto& entry) {
    return entry.name.find("layers.1.") != std::string::npos;
  });
  EXPECT_EQ(load_error(),
            "[load_model] FOLDER: 9 tensors are missing: "
            "'model.layers.1.input_layernorm.weight', 'model.layers.1.self_attn.q_proj.weight', "
            "'model.layers.1.self_attn.k_proj.weight', 'model.layers.1.self_attn.v_proj.weight', "
            "'model.layers.1.self_attn.o_proj.weight' and 4 more. Is the file of this model, and "
            "complete?");
}

TEST_F(LoadModel, AMissingHeadIsToldWithTheKeyThatTiesIt) {
  start_from("llama_gqa");
  remove("lm_head.weight");
  EXPECT_EQ(load_error(),
            "[load_model] FOLDER: 1 tensor is missing: 'lm_head.weight'. If the head shares the "
            "embedding, config.json must say tie_word_embeddings true.");
}

TEST_F(LoadModel, IntegersAreRefused) {
  start_from("llama_gqa");
  auto& weight = tensor("lm_head.weight").value;
  weight = weight.to(torch::kInt32);
  EXPECT_EQ(load_error(),
            "[load_model] FOLDER/model.safetensors: 'lm_head.weight' is stored as int32, expected "
            "float32, float16 or bfloat16.");
}

TEST_F(LoadModel, SurplusTensorsAreWarnedOfAndRotaryBuffersAreNot) {
  start_from("llama_gqa");
  tensors_.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", at::ones({4})});
  testing::internal::CaptureStderr();
  load();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  tensors_.push_back({"model.vision.weight", at::ones({4})});
  testing::internal::CaptureStderr();
  load();
  const auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("1 tensor is not used: 'model.vision.weight'."), std::string::npos) << log;
}

TEST_F(LoadModel, AHeadBesideATiedEmbeddingIsPassedOverButNotSilently) {
  start_from("llama_tied_llama3");
  tensors_.push_back({"lm_head.weight", tensor("model.embed_tokens.weight").value.clone()});
  testing::internal::CaptureStderr();
  load();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  tensors_.back().value.add_(1.0);
  testing::internal::CaptureStderr();
  const auto model = load();
  const auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("'lm_head.weight' differs from the embedding and is not used (config.json: "
                     "tie_word_embeddings is true)."),
            std::string::npos)
      << log;
  EXPECT_TRUE(at::equal(model->lm_head->weight, model->model->embed_tokens->weight));
}

TEST_F(LoadModel, ATruncatedFileIsRefused) {
  start_from("llama_gqa");
  load();
  const auto bytes = read_text_file(folder_ / "model.safetensors");
  for (const size_t size :
       {size_t{0}, size_t{4}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    write("model.safetensors", bytes.substr(0, size));
    const auto message = error_of([this] { load_model(folder_, torch::kFloat32, torch::kCPU); });
    EXPECT_TRUE(message.starts_with("[safetensors] FOLDER/model.safetensors: ")) << message;
  }
}

TEST_F(LoadModel, ATruncatedGgufIsRefused) {
  const auto bytes = read_text_file(fixture("gguf/llama_tied_q4_1.gguf"));
  for (const size_t size :
       {size_t{0}, size_t{4}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    const auto path = write("model.gguf", bytes.substr(0, size));
    const auto message = error_of([&] { load_model(path, torch::kFloat32, torch::kCPU); });
    EXPECT_TRUE(message.starts_with("[gguf] FOLDER/model.gguf: ")) << message;
  }
}

// Two bytes of a tensor's name changed: the GGUF's own names are told.
TEST_F(LoadModel, AMisnamedGgufTensorIsToldWithWhatTheFileHas) {
  auto bytes = read_text_file(fixture("gguf/llama_gqa_f32.gguf"));
  const size_t position = bytes.find("blk.1.ffn_up.weight");
  ASSERT_NE(position, std::string::npos);
  bytes.replace(position, 19, "blk.1.ffn_pu.weight");
  const auto path = write("model.gguf", bytes);
  EXPECT_EQ(error_of([&] { load_model(path, torch::kFloat32, torch::kCPU); }),
            "[load_model] FOLDER/model.gguf: 1 tensor is missing: 'blk.1.ffn_up.weight'. The file "
            "has 'blk.1.ffn_pu.weight', which the model has no place for.");
}

// The feed-forward size in the metadata changed from 48 to 49.
TEST_F(LoadModel, AWrongShapeInAGgufIsToldWithItsOwnName) {
  auto bytes = read_text_file(fixture("gguf/llama_gqa_f32.gguf"));
  const std::string key = "llama.feed_forward_length";
  const size_t position = bytes.find(key);
  ASSERT_NE(position, std::string::npos);
  ASSERT_EQ(bytes[position + key.size() + 4], 48);
  bytes[position + key.size() + 4] = 49;
  const auto path = write("model.gguf", bytes);
  EXPECT_EQ(error_of([&] { load_model(path, torch::kFloat32, torch::kCPU); }),
            "[load_model] FOLDER/model.gguf: 'blk.0.ffn_gate.weight' is [48, 32], expected "
            "[49, 32] (model.gguf: intermediate_size 49).");
}

// Gives the tensor `name` of a GGUF another type number: behind its name and two dimensions.
void set_type(std::string& gguf, const std::string& name, char type) {
  const size_t position = gguf.find(name);
  ASSERT_NE(position, std::string::npos);
  gguf[position + name.size() + sizeof(uint32_t) + 2 * sizeof(uint64_t)] = type;
}

TEST_F(LoadModel, AGgufTensorOfATypeThatIsNotReadIsNamedBeforeAnythingIsLoaded) {
  auto bytes = read_text_file(fixture("gguf/llama_gqa_f32.gguf"));
  set_type(bytes, "blk.1.ffn_down.weight", 17);
  const auto path = write("model.gguf", bytes);
  const std::string expected =
      "[gguf] FOLDER/model.gguf: 'blk.1.ffn_down.weight' is stored as IQ2_XS (type 17), expected "
      "one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, "
      "IQ4_XS. Make the file again in one of these, for example with 'llama-quantize "
      "--allow-requantize IN OUT Q8_0'.";
  EXPECT_EQ(error_of([&] { load_model(path, torch::kFloat32, torch::kCPU); }), expected);
  EXPECT_EQ(error_of([&] { check_weights(path); }), expected);
  EXPECT_EQ(read_config(path).num_hidden_layers, 2);  // needs no weight
}

// With one layer instead of two nothing of the second is used.
TEST_F(LoadModel, AGgufTensorThatIsNotUsedMayBeOfAnyType) {
  auto bytes = read_text_file(fixture("gguf/llama_gqa_f32.gguf"));
  set_type(bytes, "blk.1.ffn_down.weight", 99);
  const std::string key = "llama.block_count";
  bytes[bytes.find(key) + key.size() + sizeof(uint32_t)] = 1;
  testing::internal::CaptureStderr();
  const auto model = load_model(write("model.gguf", bytes), torch::kFloat32, torch::kCPU);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("9 tensors are not used"),
            std::string::npos);
  EXPECT_EQ(model->config().num_hidden_layers, 1);
}

// An infinite scale in the last two bytes of a block of Q6_K.
TEST_F(LoadModel, AGgufBlockThatIsNotFiniteIsNamedWhereItIsTakenToAnotherType) {
  const auto file = formats::GgufFile::open(fixture("gguf/llama_k_quants.gguf"));
  auto bytes = read_text_file(file->path());
  const auto& stored = file->tensor("blk.0.attn_v.weight");
  const auto begin = static_cast<size_t>(stored.bytes.data() - stored.file->bytes().data());
  bytes[begin + 208] = 0;
  bytes[begin + 209] = 0x7c;
  const auto path = write("model.gguf", bytes);
  EXPECT_EQ(
      error_of([&] { load_for_decoding(path, WeightFormat::kAuto, torch::kFloat32, torch::kCPU); }),
      "[gguf] FOLDER/model.gguf: 'blk.0.attn_v.weight' (Q6_K) holds a number that is not "
      "finite or too large, expected one that Q8_0 can hold. The file is damaged; copy or "
      "download it again.");
}

TEST_F(LoadModel, WeightsOfTheComputeTypeStayInTheFile) {
  // The mapped bytes are read-only: a private copy would be writable anonymous memory.
  const auto is_mapped = [](const torch::Tensor& tensor, const std::string& file) {
    std::ifstream maps("/proc/self/maps");
    const auto address = reinterpret_cast<uintptr_t>(tensor.data_ptr());
    for (std::string line; std::getline(maps, line);) {
      uintptr_t begin = 0;
      uintptr_t end = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
      if (begin <= address && address < end) return line.ends_with(file);
    }
    return false;
  };
  start_from("llama_gqa");
  const auto same = load();
  EXPECT_TRUE(is_mapped(same->lm_head->weight, "model.safetensors"));
  const auto other = load_model(folder_, torch::kBFloat16, torch::kCPU);
  EXPECT_FALSE(is_mapped(other->lm_head->weight, "model.safetensors"));
  const auto gguf = load_model(fixture("gguf/llama_gqa_f32.gguf"), torch::kFloat32, torch::kCPU);
  EXPECT_TRUE(is_mapped(gguf->lm_head->weight, "llama_gqa_f32.gguf"));
}

TEST_F(LoadModel, OtherPathsAreToldWhatAModelIs) {
  EXPECT_EQ(
      error_of([&] { load_model(folder_ / "none", torch::kFloat32, torch::kCPU); }),
      "[load_model] FOLDER/none: no such file or folder, expected a model folder or a .gguf.");
  const auto text = write("notes.txt", "hello");
  EXPECT_EQ(error_of([&] { load_model(text, torch::kFloat32, torch::kCPU); }),
            "[load_model] FOLDER/notes.txt: is no model, expected a folder, a .gguf or a "
            "config.json.");
  start_from("llama_gqa");
  EXPECT_EQ(error_of([&] { load_model(folder_ / "config.json", torch::kFloat32, torch::kCPU); }),
            "[load_model] FOLDER/config.json: has no weights, expected a model folder or a .gguf.");
}

TEST_F(LoadModel, AConfigIsReadFromFolderFileOrGguf) {
  start_from("llama_gqa");
  EXPECT_EQ(read_config(folder_).hidden_size, 32);
  EXPECT_EQ(read_config(folder_ / "config.json").num_key_value_heads, 2);
  EXPECT_EQ(read_config(fixture("gguf/llama_mixed.gguf")).head_dim, 16);
  EXPECT_EQ(error_of([&] { read_config(folder_ / "none.gguf"); }),
            "[read_config] FOLDER/none.gguf: no such file or folder, expected a model folder or a "
            ".gguf.");
}

TEST_F(LoadModel, ATokenizerIsReadFromFolderOrGguf) {
  const auto folder = read_tokenizer(model_folder("llama_gqa"));
  EXPECT_EQ(folder->vocabulary_size(), 288);
  EXPECT_EQ(read_tokenizer(model_folder("llama_gqa") / "config.json")->encode("a rude word").ids,
            folder->encode("a rude word").ids);
  EXPECT_EQ(read_tokenizer(fixture("gguf/llama_gqa_f32.gguf"))->encode("a rude word").ids,
            folder->encode("a rude word").ids);
}

TEST_F(LoadModel, OnlyATextWithATokenThatTheModelLacksIsAnError) {
  fs::copy(model_folder("llama_gqa") / "tokenizer.json", folder_ / "tokenizer.json");
  auto config = read_text_file(model_folder("llama_gqa") / "config.json");
  const std::string size = "\"vocab_size\": 288";
  ASSERT_NE(config.find(size), std::string::npos);
  write("config.json", config.replace(config.find(size), size.size(), "\"vocab_size\": 287"));
  const auto tokenizer = read_tokenizer(folder_);
  EXPECT_EQ(tokenizer->encode("a rude word").ids,
            read_tokenizer(model_folder("llama_gqa"))->encode("a rude word").ids);
  EXPECT_EQ(error_of([&] { tokenizer->encode("thank you"); }),
            "[text] the text has the token 'you' with id 287, expected ids below 287 (config.json: "
            "vocab_size): the model has no row for it.");
}

TEST_F(LoadModel, TheShapeIsThatOfTheConfig) {
  const auto model = load_fixture("llama_tied_llama3");
  EXPECT_EQ(model->shape().num_layers, 3);
  EXPECT_EQ(model->shape().head_dim, 12);
  EXPECT_EQ(model->shape().vocabulary_size, 96);
  EXPECT_EQ(model->device(), torch::kCPU);
  EXPECT_EQ(model->dtype(), torch::kFloat32);
}

}  // namespace load_model_test
}  // namespace cpx::models
