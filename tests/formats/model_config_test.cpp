// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/model_config.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/scratch_folder.h"

namespace cpx::formats {
namespace model_config_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Everything that decides about the computation, in one comparable text.
std::string text_of(const ModelConfig& config) {
  const auto& rope = config.rope;
  return fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {} {} | {} {} {} {} {} {} | {} {} {}",
      config.architecture, config.vocab_size, config.hidden_size, config.intermediate_size,
      config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads,
      config.head_dim, config.max_position_embeddings, config.rms_norm_eps, config.sliding_window,
      config.attention_bias, config.mlp_bias, config.tie_word_embeddings, rope.theta, rope.type,
      rope.factor, rope.low_freq_factor, rope.high_freq_factor, rope.original_max_position,
      config.stored_dtype, config.bos_token_id.value_or(-1), config.eos_token_id.value_or(-1));
}

class ModelConfigTest : public ScratchFolder {
 protected:
  // The config of llama_gqa with some keys set anew; a null removes its key.
  ModelConfig changed(const Json& changes, const char* base = "llama_gqa") const {
    Json config = Json::parse(bytes_of(fixture("models") / base / "config.json"));
    config.merge_patch(changes);
    write("config.json", config.dump());
    return read_model_config(folder_);
  }

  // The message after the file's name.
  std::string error(const Json& changes, const char* base = "llama_gqa") const {
    return without_place(message_of([&] { changed(changes, base); }));
  }

  std::string error_of(const std::string& content) const {
    write("config.json", content);
    return without_place(message_of([&] { read_model_config(folder_); }));
  }

  std::string without_place(const std::string& message) const {
    const std::string place =
        fmt::format("[model_config] {}: ", (folder_ / "config.json").string());
    EXPECT_TRUE(message.starts_with(place)) << message;
    return message.substr(std::min(place.size(), message.size()));
  }
};

TEST(ModelConfigFixture, KeysOfVersion5AreRead) {
  const auto text = [](const char* name) {
    return text_of(read_model_config(fixture("models") / name));
  };
  EXPECT_EQ(text("llama_gqa"),
            "llama 288 32 48 2 4 2 8 256 1e-05 0 false false false | 10000 default 1 1 4 8192 | "
            "float32 1 2");
  EXPECT_EQ(text("llama_tied_llama3"),
            "llama 96 32 48 3 4 2 12 256 1e-05 0 false false true | 500000 llama3 8 1 4 64 | "
            "float32 1 2");
  EXPECT_EQ(text("llama_bias_linear"),
            "llama 96 32 48 2 4 4 8 256 1e-05 0 true true false | 10000 linear 2 1 4 8192 | "
            "float32 1 2");
  EXPECT_EQ(text("llama_f16"),
            "llama 96 32 48 2 4 1 8 256 1e-06 0 false false false | 10000 default 1 1 4 8192 | "
            "float16 1 2");
  EXPECT_EQ(text("mistral_window"),
            "mistral 96 32 48 2 4 2 8 256 1e-05 8 false false false | 1000000 default 1 1 4 8192 "
            "| float32 1 2");
}

TEST_F(ModelConfigTest, KeysOfVersion4MeanTheSame) {
  for (const char* name : {"llama_gqa", "llama_tied_llama3", "llama_bias_linear",
                           "llama_sharded_bf16", "llama_f16", "mistral_window"}) {
    const fs::path model = fixture("models") / name;
    write("config.json", bytes_of(model / "config_v4.json"));
    EXPECT_EQ(text_of(read_model_config(folder_)), text_of(read_model_config(model))) << name;
  }
}

// transformers' LlamaConfig() and MistralConfig(), but for the sizes, which must be there.
TEST_F(ModelConfigTest, AbsentKeysTakeTheDefaultsOfTransformers) {
  const std::string sizes =
      R"("vocab_size":100,"hidden_size":64,"intermediate_size":8,"num_hidden_layers":1,)"
      R"("num_attention_heads":16})";
  write("config.json", R"({"model_type":"llama",)" + sizes);
  EXPECT_EQ(text_of(read_model_config(folder_)),
            "llama 100 64 8 1 16 16 4 2048 1e-06 0 false false false | 10000 default 1 1 4 8192 | "
            " -1 -1");
  write("config.json", R"({"architectures":["MistralForCausalLM"],)" + sizes);
  EXPECT_EQ(text_of(read_model_config(folder_)),
            "mistral 100 64 8 1 16 8 4 131072 1e-06 4096 false false false | 10000 default 1 1 4 "
            "8192 |  -1 -1");
}

TEST_F(ModelConfigTest, NullMeansNoWindowAndAHeadForEachKey) {
  const std::string config =
      R"({"model_type":"mistral","vocab_size":100,"hidden_size":64,"intermediate_size":8,)"
      R"("num_hidden_layers":1,"num_attention_heads":4,"num_key_value_heads":null,)"
      R"("head_dim":null,"rope_scaling":null,"sliding_window":null})";
  write("config.json", config);
  const auto read = read_model_config(folder_);
  EXPECT_EQ(read.sliding_window, 0);
  EXPECT_EQ(read.num_key_value_heads, 4);
  EXPECT_EQ(read.head_dim, 16);
}

TEST_F(ModelConfigTest, WindowCanBeSwitchedOffAndIsIgnoredByLlama) {
  EXPECT_EQ(changed({{"use_sliding_window", false}}, "mistral_window").sliding_window, 0);
  EXPECT_EQ(changed({{"use_sliding_window", true}}, "mistral_window").sliding_window, 8);
  EXPECT_EQ(changed({{"sliding_window", 7}}).sliding_window, 0);
}

TEST_F(ModelConfigTest, TokensComeFromTheFirstOfAListOrFromTheGenerationConfig) {
  EXPECT_EQ(changed({{"eos_token_id", {5, 6}}}).eos_token_id, 5);
  EXPECT_THAT(changed({{"eos_token_id", {5, 6}}}).stop_token_ids, ElementsAre(5, 6));
  EXPECT_EQ(changed({{"eos_token_id", nullptr}}).eos_token_id, std::nullopt);
  write("generation_config.json", R"({"bos_token_id":7,"eos_token_id":[8,9]})");
  const auto filled = changed({{"eos_token_id", nullptr}});
  EXPECT_EQ(filled.bos_token_id, 1);
  EXPECT_EQ(filled.eos_token_id, 8);
  EXPECT_THAT(filled.stop_token_ids, ElementsAre(8, 9));
  const auto both = changed({{"eos_token_id", 5}});
  EXPECT_EQ(both.eos_token_id, 5);
  EXPECT_THAT(both.stop_token_ids, ElementsAre(8, 9));
}

TEST_F(ModelConfigTest, RopeWithoutThetaTakesTheOuterOneAndLlama3TheModelsPositions) {
  const auto config = changed({{"rope_theta", 7.0},
                               {"rope_parameters",
                                {{"rope_theta", nullptr},
                                 {"rope_type", "llama3"},
                                 {"factor", 2},
                                 {"low_freq_factor", 1.0},
                                 {"high_freq_factor", 3.0}}}});
  EXPECT_EQ(config.rope.theta, 7.0);
  EXPECT_EQ(config.rope.factor, 2.0);
  EXPECT_EQ(config.rope.original_max_position, 256);
}

TEST_F(ModelConfigTest, OtherArchitecturesGetTheListOfThoseSupported) {
  const std::string expected =
      ", expected llama (LlamaForCausalLM) or mistral "
      "(MistralForCausalLM).";
  EXPECT_EQ(error({{"model_type", "qwen2"}}), "'model_type' is 'qwen2'" + expected);
  EXPECT_EQ(error({{"architectures", {"LlamaForSequenceClassification"}}}),
            "'architectures' is [\"LlamaForSequenceClassification\"]" + expected);
  EXPECT_EQ(error({{"model_type", nullptr}, {"architectures", {"GPT2LMHeadModel"}}}),
            "'architectures' is [\"GPT2LMHeadModel\"]" + expected);
  EXPECT_EQ(error({{"model_type", nullptr}, {"architectures", nullptr}}),
            "'model_type' is missing.");
}

// As transformers' AutoModelForCausalLM, which looks at model_type alone.
TEST_F(ModelConfigTest, TheModelTypeDecidesHoweverTheClassIsSpelled) {
  for (const Json& classes :
       {Json({"LLaMAForCausalLM"}), Json({"LlamaModel"}), Json({"MyLlama", "Other"}), Json("x"),
        Json(nullptr), Json::array(), Json({1, nullptr}), Json({{"a", 1}})}) {
    EXPECT_EQ(changed({{"architectures", classes}}).architecture, "llama") << classes;
  }
  EXPECT_EQ(
      changed({{"model_type", nullptr}, {"architectures", {"LLaMAForCausalLM"}}}).architecture,
      "llama");
  EXPECT_EQ(changed({{"model_type", ""}, {"architectures", {"MistralForCausalLM"}}}).architecture,
            "mistral");
}

// No text has such a token, and none is ever drawn.
TEST_F(ModelConfigTest, SpecialTokensThatTheModelDoesNotHaveAreNone) {
  EXPECT_EQ(changed({{"bos_token_id", 288}}).bos_token_id, std::nullopt);
  EXPECT_EQ(changed({{"bos_token_id", -1}}).bos_token_id, std::nullopt);
  const ModelConfig config = changed({{"eos_token_id", {-1, 288, 5, 999999}}});
  EXPECT_EQ(config.eos_token_id, 5);
  EXPECT_THAT(config.stop_token_ids, ElementsAre(5));
  EXPECT_EQ(changed({{"pad_token_id", "none"}, {"eos_token_id", -1}}).eos_token_id, std::nullopt);
}

TEST_F(ModelConfigTest, KeysThatAreNotUsedMayHoldAnything) {
  const ModelConfig config = changed({{"dtype", 16},
                                      {"transformers_version", nullptr},
                                      {"pretraining_tp", "x"},
                                      {"id2label", {0, 1}},
                                      {"auto_map", {{"AutoConfig", 1}}},
                                      {"attention_dropout", "none"}});
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.stored_dtype, "");
}

TEST_F(ModelConfigTest, WhatIsNotComputedIsNamed) {
  EXPECT_EQ(error({{"hidden_act", "gelu"}}), "'hidden_act' is 'gelu', expected silu.");
  EXPECT_EQ(error({{"partial_rotary_factor", 0.5}}), "'partial_rotary_factor' is 0.5, expected 1.");
  EXPECT_EQ(error({{"rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}}}),
            "'rope_scaling.type' is 'yarn', expected default, linear or llama3.");
  EXPECT_EQ(error({{"rope_parameters", {{"full_attention", {{"rope_theta", 1.0}}}}}}),
            "'rope_parameters.full_attention' is {\"rope_theta\":1.0}, expected one set of rotary "
            "parameters for all layers.");
}

TEST_F(ModelConfigTest, RopeParametersMustBeThereAndInRange) {
  const auto rope = [&](const Json& changes) {
    Json scaling = {{"rope_type", "llama3"},
                    {"factor", 8.0},
                    {"low_freq_factor", 1.0},
                    {"high_freq_factor", 4.0},
                    {"original_max_position_embeddings", 64}};
    scaling.merge_patch(changes);
    return error({{"rope_scaling", scaling}});
  };
  EXPECT_EQ(rope({{"factor", nullptr}}), "'rope_scaling.factor' is missing.");
  EXPECT_EQ(rope({{"factor", "8"}}), "'rope_scaling.factor' is '8', expected a number.");
  EXPECT_EQ(rope({{"factor", 0}}), "'rope_scaling.factor' is 0, expected more than 0.");
  EXPECT_EQ(rope({{"low_freq_factor", nullptr}}), "'rope_scaling.low_freq_factor' is missing.");
  EXPECT_EQ(rope({{"high_freq_factor", 1.0}}),
            "'rope_scaling.high_freq_factor' is 1.0, expected more than low_freq_factor.");
  EXPECT_EQ(rope({{"original_max_position_embeddings", 0}}),
            "'rope_scaling.original_max_position_embeddings' is 0, expected more than 0.");
  EXPECT_EQ(rope({{"partial_rotary_factor", 0.25}}),
            "'rope_scaling.partial_rotary_factor' is 0.25, expected 1.");
  EXPECT_EQ(error({{"rope_parameters", {{"rope_theta", -1.0}}}}),
            "'rope_theta' is -1, expected more than 0.");
  EXPECT_EQ(error({{"rope_scaling", "linear"}}), "'rope_scaling' is 'linear', expected an object.");
}

TEST_F(ModelConfigTest, SizesMustBePlausibleAndFitEachOther) {
  EXPECT_EQ(error({{"vocab_size", nullptr}}), "'vocab_size' is missing.");
  EXPECT_EQ(error({{"vocab_size", 0}}), "'vocab_size' is 0, expected 1 to 16777216.");
  EXPECT_EQ(error({{"hidden_size", 1e9}}), "'hidden_size' is 1000000000.0, expected an integer.");
  EXPECT_EQ(error({{"hidden_size", int64_t{1} << 40}}),
            "'hidden_size' is 1099511627776, expected 1 to 16777216.");
  EXPECT_EQ(error({{"hidden_size", ~uint64_t{0}}}),
            "'hidden_size' is 18446744073709551615, expected an integer.");
  EXPECT_EQ(error({{"intermediate_size", -48}}),
            "'intermediate_size' is -48, expected 1 to 16777216.");
  EXPECT_EQ(error({{"num_hidden_layers", 1'000'000}}),
            "'num_hidden_layers' is 1000000, expected 1 to 16384.");
  EXPECT_EQ(error({{"num_attention_heads", 0}}),
            "'num_attention_heads' is 0, expected 1 to 16777216.");
  EXPECT_EQ(error({{"num_key_value_heads", 3}}),
            "'num_key_value_heads' is 3, expected a divisor of 'num_attention_heads' (4).");
  EXPECT_EQ(error({{"num_key_value_heads", 8}}), "'num_key_value_heads' is 8, expected 1 to 4.");
  EXPECT_EQ(error({{"head_dim", 7}}),
            "'head_dim' is 7, expected an even number (rotary positions turn pairs).");
  EXPECT_EQ(error({{"head_dim", 1 << 23}}), "'head_dim' is 8388608, expected 2 to 4194304.");
  EXPECT_EQ(error({{"head_dim", nullptr}, {"hidden_size", 33}}),
            "'hidden_size' is 33, expected a multiple of 'num_attention_heads' (4), or 'head_dim' "
            "to be given.");
  EXPECT_EQ(error({{"max_position_embeddings", 0}}),
            "'max_position_embeddings' is 0, expected 1 to 2147483647.");
  EXPECT_EQ(error({{"sliding_window", -1}}, "mistral_window"),
            "'sliding_window' is -1, expected 0 to 2147483647.");
  EXPECT_EQ(error({{"rms_norm_eps", 0.0}}), "'rms_norm_eps' is 0, expected more than 0.");
  EXPECT_EQ(error({{"eos_token_id", {"x"}}}),
            "'eos_token_id' is [\"x\"], expected an integer or a list of them.");
  EXPECT_EQ(error({{"tie_word_embeddings", 1}}),
            "'tie_word_embeddings' is 1, expected true or false.");
}

// Everything that decides about the stored layers, in one comparable text.
std::string text_of(const std::optional<QuantizationConfig>& config) {
  if (!config) return "none";
  return fmt::format("{} {} bits, groups of {}, zeros less one: {}, reordered: {}", config->method,
                     config->bits, config->group_size, config->has_zeros_less_one,
                     config->desc_act);
}

class QuantizationConfigTest : public ModelConfigTest {
 protected:
  std::string read(const Json& quantization) const {
    return text_of(changed({{"quantization_config", quantization}}).quantization);
  }

  // The message of a config in config.json whose bits and group size are right.
  std::string refusal(const Json& changes) const {
    Json quantization = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}};
    quantization.merge_patch(changes);
    return error({{"quantization_config", quantization}});
  }
};

TEST_F(QuantizationConfigTest, IsReadFromConfigJson) {
  EXPECT_EQ(text_of(changed(Json::object()).quantization), "none");
  EXPECT_EQ(read({{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}}),
            "gptq 4 bits, groups of 128, zeros less one: true, reordered: false");
  EXPECT_EQ(read({{"quant_method", "GPTQ"},
                  {"bits", 8},
                  {"group_size", -1},
                  {"desc_act", true},
                  {"sym", false},
                  {"dynamic", {{"-:lm_head", Json::object()}}},
                  {"format", "gptq"},
                  {"checkpoint_format", "gptq_v2"}}),
            "gptq 8 bits, groups of -1, zeros less one: false, reordered: true");
  EXPECT_EQ(
      read({{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}, {"format", "gptq_v2"}}),
      "gptq 4 bits, groups of 32, zeros less one: false, reordered: false");
  EXPECT_EQ(read({{"quant_method", "awq"}, {"bits", 4}, {"group_size", 64}, {"version", "GEMM"}}),
            "awq 4 bits, groups of 64, zeros less one: true, reordered: false");
}

TEST_F(QuantizationConfigTest, OfOlderFoldersStandsInAFileOfItsOwn) {
  write("quant_config.json",
        R"({"zero_point":true,"q_group_size":128,"w_bit":4,"version":"GEMM"})");
  EXPECT_EQ(text_of(changed(Json::object()).quantization),
            "awq 4 bits, groups of 128, zeros less one: true, reordered: false");
  write("quantize_config.json", R"({"bits":4,"group_size":32,"desc_act":true,"sym":true})");
  EXPECT_EQ(text_of(changed(Json::object()).quantization),
            "gptq 4 bits, groups of 32, zeros less one: true, reordered: true");
  EXPECT_EQ(read({{"quant_method", "gptq"}, {"bits", 8}, {"group_size", 16}}),
            "gptq 8 bits, groups of 16, zeros less one: true, reordered: false");
  write("quantize_config.json", R"({"bits":3,"group_size":32})");
  EXPECT_EQ(message_of([&] { changed(Json::object()); }),
            fmt::format("[model_config] {}: 'bits' is 3, expected 4 or 8.",
                        (folder_ / "quantize_config.json").string()));
}

TEST_F(QuantizationConfigTest, OtherMethodsGetTheListOfThoseThatAreRead) {
  const std::string expected =
      ", expected gptq or awq (of other quantised models cpx reads the GGUF file).";
  EXPECT_EQ(refusal({{"quant_method", "bitsandbytes"}}),
            "'quantization_config.quant_method' is 'bitsandbytes'" + expected);
  EXPECT_EQ(refusal({{"quant_method", "fp8"}}),
            "'quantization_config.quant_method' is 'fp8'" + expected);
  EXPECT_EQ(error({{"quantization_config", {{"load_in_4bit", true}}}}),
            "'quantization_config.quant_method' is missing" + expected);
}

TEST_F(QuantizationConfigTest, FormsThatAreNotReadAreNamed) {
  EXPECT_EQ(refusal({{"bits", 2}}), "'quantization_config.bits' is 2, expected 4 or 8.");
  EXPECT_EQ(refusal({{"bits", 3}}), "'quantization_config.bits' is 3, expected 4 or 8.");
  EXPECT_EQ(refusal({{"bits", nullptr}}), "'quantization_config.bits' is missing.");
  EXPECT_EQ(refusal({{"group_size", nullptr}}), "'quantization_config.group_size' is missing.");
  EXPECT_EQ(refusal({{"group_size", 0}}),
            "'quantization_config.group_size' is 0, expected at least 1, or -1 for one group.");
  EXPECT_EQ(refusal({{"checkpoint_format", "marlin"}}),
            "'quantization_config.checkpoint_format' is 'marlin', expected gptq or gptq_v2.");
  EXPECT_EQ(refusal({{"format", "gptq_p"}}),
            "'quantization_config.format' is 'gptq_p', expected gptq or gptq_v2.");
  EXPECT_EQ(refusal({{"is_marlin_format", true}}),
            "'quantization_config.is_marlin_format' is true, expected false.");
  EXPECT_EQ(refusal({{"pack_dtype", "int16"}}),
            "'quantization_config.pack_dtype' is 'int16', expected int32.");
  EXPECT_EQ(
      refusal({{"dynamic", {{"+:.*down_proj", {{"bits", 8}}}}}}),
      "'quantization_config.dynamic.+:.*down_proj' is {\"bits\":8}, expected none: all layers "
      "quantised alike.");
  EXPECT_EQ(refusal({{"quant_method", "awq"}, {"bits", 8}}),
            "'quantization_config.bits' is 8, expected 4.");
  EXPECT_EQ(refusal({{"quant_method", "awq"}, {"version", "gemv"}}),
            "'quantization_config.version' is 'gemv', expected gemm. Quantise the model again "
            "with this version.");
  EXPECT_EQ(refusal({{"quant_method", "awq"}, {"format", "gemv_fast"}}),
            "'quantization_config.format' is 'gemv_fast', expected gemm. Quantise the model "
            "again with this version.");
}

TEST_F(ModelConfigTest, FilesThatAreNotThereOrNotJsonAreNamed) {
  EXPECT_THAT(message_of([&] { read_model_config(folder_); }),
              HasSubstr("config.json: cannot be read: No such file or directory."));
  EXPECT_THAT(error_of("{\"a\":1"),
              HasSubstr("is not valid JSON: parse error at line 1, column 7"));
  EXPECT_EQ(error_of(R"({"model_type":"llama","model_type":"mistral"})"),
            "'model_type' is there twice, expected once.");
  EXPECT_THAT(error_of("{\"a\":1e999}"), HasSubstr("is not valid JSON: number overflow"));
}

TEST(GgufModelConfigFixture, KeysOfLlamaCppAreRead) {
  const auto read = [](const char* name) {
    return read_model_config(*GgufFile::open(fixture("gguf") / name));
  };
  auto config = read("llama_gqa_f32.gguf");
  EXPECT_EQ(config.source, "llama_gqa_f32.gguf");
  config.stored_dtype = "float32";
  config.rms_norm_eps = static_cast<float>(1e-5);
  auto expected = read_model_config(fixture("models/llama_gqa"));
  expected.rms_norm_eps = config.rms_norm_eps;
  EXPECT_EQ(text_of(config), text_of(expected));

  const auto mixed = read("llama_mixed.gguf");
  EXPECT_EQ(mixed.head_dim, 16);
  EXPECT_EQ(mixed.rope.type, "default");
  EXPECT_EQ(mixed.rope.frequency_divisors.size(), 8u);
  EXPECT_EQ(mixed.rope.frequency_divisors.front(), 1.0f);
  EXPECT_EQ(mixed.rope.frequency_divisors.back(), 8.0f);
  EXPECT_FALSE(mixed.tie_word_embeddings);
  EXPECT_TRUE(read("llama_tied_q4_1.gguf").tie_word_embeddings);
}

class GgufModelConfigTest : public ScratchFolder {
 protected:
  static GgufBuilder small() {
    GgufBuilder builder;
    builder.add_text("general.architecture", "llama").add_uint("llama.embedding_length", 32);
    builder.add_uint("llama.block_count", 2).add_uint("llama.feed_forward_length", 48);
    builder.add_uint("llama.attention.head_count", 4).add_uint("llama.context_length", 128);
    builder.add_float("llama.attention.layer_norm_rms_epsilon", 0.5f);
    return builder;
  }
  static GgufBuilder whole() { return small().add_uint("llama.vocab_size", 96); }

  ModelConfig read(const GgufBuilder& builder) const {
    return read_model_config(*GgufFile::open(write("x.gguf", builder.build())));
  }

  std::string error(const GgufBuilder& builder) const {
    const std::string place = fmt::format("[model_config] {}: ", (folder_ / "x.gguf").string());
    const std::string message = message_of([&] { read(builder); });
    EXPECT_TRUE(message.starts_with(place)) << message;
    return message.substr(std::min(place.size(), message.size()));
  }

  // Adds rope_freqs.weight of these numbers.
  static GgufBuilder with_divisors(uint32_t type, const std::vector<float>& divisors) {
    GgufBuilder builder = whole().add_info("rope_freqs.weight", {divisors.size()}, type, 0);
    for (const float divisor : divisors) builder.data += raw(divisor);
    return builder;
  }
};

TEST_F(GgufModelConfigTest, AbsentKeysTakeTheDefaultsOfLlamaCpp) {
  EXPECT_EQ(text_of(read(whole())),
            "llama 96 32 48 2 4 4 8 128 0.5 0 false false true | 10000 default 1 1 4 8192 |  -1 "
            "-1");
}

TEST_F(GgufModelConfigTest, BiasesHeadSizeWindowAndTokensAreRead) {
  GgufBuilder builder = small();
  builder.add_texts("tokenizer.ggml.tokens", {"a", "b", "c"}).add_uint("llama.vocab_size", 96);
  builder.add_uint("tokenizer.ggml.bos_token_id", 1).add_uint("tokenizer.ggml.eos_token_id", 2);
  builder.add_uint("llama.attention.key_length", 16).add_uint("llama.attention.value_length", 16);
  builder.add_uint("llama.attention.head_count_kv", 2);
  builder.add_uint("llama.attention.sliding_window", 7).add_float("llama.rope.freq_base", 500.0f);
  builder.add_info("blk.0.attn_q.bias", {1}, 0, 0).add_info("blk.0.ffn_up.bias", {1}, 0, 32);
  builder.add_info("output.weight", {1}, 0, 64);
  builder.data.resize(96);
  EXPECT_EQ(text_of(read(builder)),
            "llama 3 32 48 2 4 2 16 128 0.5 7 true true false | 500 default 1 1 4 8192 |  1 2");
}

TEST_F(GgufModelConfigTest, LinearScalingHasAnOldAndANewKey) {
  const auto type_and_factor = [&](const GgufBuilder& builder) {
    const auto rope = read(builder).rope;
    return fmt::format("{} {}", rope.type, rope.factor);
  };
  EXPECT_EQ(type_and_factor(whole().add_float("llama.rope.scale_linear", 2.0f)), "linear 2");
  EXPECT_EQ(type_and_factor(whole()
                                .add_text("llama.rope.scaling.type", "linear")
                                .add_float("llama.rope.scaling.factor", 4.0f)),
            "linear 4");
  EXPECT_EQ(type_and_factor(whole()
                                .add_text("llama.rope.scaling.type", "none")
                                .add_float("llama.rope.scaling.factor", 4.0f)),
            "default 1");
  EXPECT_EQ(type_and_factor(whole().add_float("llama.rope.scaling.factor", 0.0f)), "default 1");
}

TEST_F(GgufModelConfigTest, FrequencyDivisorsAreReadAndChecked) {
  EXPECT_THAT(read(with_divisors(0, {1.0f, 2.0f, 4.0f, 8.0f})).rope.frequency_divisors,
              ElementsAre(1.0f, 2.0f, 4.0f, 8.0f));
  EXPECT_EQ(error(with_divisors(0, {1.0f, 2.0f})),
            "'rope_freqs.weight' is F32 [2], expected F32 [4].");
  EXPECT_EQ(error(with_divisors(1, {1.0f, 2.0f, 3.0f, 4.0f})),
            "'rope_freqs.weight' is F16 [4], expected F32 [4].");
  EXPECT_EQ(error(with_divisors(0, {1.0f, 0.0f, 4.0f, 8.0f})),
            "'rope_freqs.weight' holds 0, expected numbers above 0.");
}

TEST_F(GgufModelConfigTest, WhatIsMissingOrNotComputedIsNamed) {
  EXPECT_EQ(error(GgufBuilder()), "'general.architecture' is missing.");
  EXPECT_EQ(error(GgufBuilder().add_text("general.architecture", "qwen2")),
            "'general.architecture' is 'qwen2', expected 'llama' (Llama and Mistral).");
  EXPECT_EQ(error(GgufBuilder().add_text("general.architecture", "llama")),
            "'llama.vocab_size' is missing.");
  EXPECT_EQ(error(small()), "'llama.vocab_size' is missing.");
  EXPECT_EQ(error(GgufBuilder()
                      .add_text("general.architecture", "llama")
                      .add_uint("llama.expert_count", 8)),
            "'llama.expert_count' is 8, expected 0 (mixtures of experts are not computed).");
  EXPECT_EQ(error(whole().add_text("llama.rope.scaling.type", "yarn")),
            "'llama.rope.scaling.type' is 'yarn', expected 'none' or 'linear'.");
  EXPECT_EQ(error(whole().add_uint("llama.rope.dimension_count", 4)),
            "'llama.rope.dimension_count' is 4, expected 8 (the head size).");
  EXPECT_EQ(error(whole().add_uint("llama.attention.value_length", 4)),
            "'llama.attention.value_length' is 4, expected 8 (llama.attention.key_length).");
  EXPECT_EQ(error(whole().add_uint("llama.attention.head_count_kv", 3)),
            "'llama.attention.head_count_kv' is 3, expected a divisor of "
            "'llama.attention.head_count' (4).");
  EXPECT_EQ(error(whole().add_uint("llama.attention.key_length", 0)),
            "'llama.embedding_length' is 32, expected a multiple of 'llama.attention.head_count' "
            "(4), or 'llama.attention.key_length' to be given.");
  EXPECT_EQ(error(whole().add_float("llama.rope.freq_base", -1.0f)),
            "'llama.rope.freq_base' is -1, expected more than 0.");
  EXPECT_EQ(error(whole().add_float("llama.rope.scaling.factor", -2.0f)),
            "'llama.rope.scaling.factor' is -2, expected more than 0.");
}

GgufBuilder& add_sizes(GgufBuilder& builder, const char* key, const std::vector<int32_t>& sizes) {
  std::string bytes = raw(uint32_t{5}) + raw(uint64_t{sizes.size()});
  for (const int32_t size : sizes) bytes += raw(size);
  return builder.add(key, 9, bytes);
}

TEST_F(GgufModelConfigTest, SizesMayBeGivenForEachLayer) {
  auto builder = whole();
  add_sizes(builder, "llama.attention.head_count_kv", {2, 2});
  EXPECT_EQ(read(builder).num_key_value_heads, 2);
  auto unequal = whole();
  add_sizes(unequal, "llama.attention.head_count_kv", {2, 4});
  EXPECT_EQ(error(unequal),
            "'llama.attention.head_count_kv' holds 2 and 4, expected one number for all layers.");
  auto empty = whole();
  add_sizes(empty, "llama.attention.head_count_kv", {});
  EXPECT_EQ(read(empty).num_key_value_heads, 4);
}

TEST_F(GgufModelConfigTest, EndsAreThoseThatTheFileNamesOrSpells) {
  auto builder = small();
  builder.add_texts("tokenizer.ggml.tokens", {"a", "<|eot_id|>", "b", "c"});
  builder.add_uint("tokenizer.ggml.eos_token_id", 3).add_uint("tokenizer.ggml.eot_token_id", 2);
  EXPECT_THAT(read(builder).stop_token_ids, ElementsAre(3, 2, 1));
  EXPECT_EQ(read(builder).eos_token_id, 3);
}

TEST_F(GgufModelConfigTest, TokenIdsOutsideTheVocabularyStandForNone) {
  const auto config = read(whole()
                               .add_uint("tokenizer.ggml.eos_token_id", 96)
                               .add_uint("tokenizer.ggml.bos_token_id", 95));
  EXPECT_EQ(config.eos_token_id, std::nullopt);
  EXPECT_EQ(config.bos_token_id, 95);
  EXPECT_TRUE(config.stop_token_ids.empty());
}

TEST_F(GgufModelConfigTest, FrequencyDivisorsOfATypeThatIsNotReadAreNamed) {
  EXPECT_EQ(error(with_divisors(17, {1.0f, 2.0f, 3.0f, 4.0f})),
            "'rope_freqs.weight' is IQ2_XS (type 17) [4], expected F32 [4].");
}

}  // namespace model_config_test
}  // namespace cpx::formats
