// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/model_config.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "tests/formats/config_text.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace model_config_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

class ModelConfigTest : public ScratchFolderTest {
 protected:
  // The config of llama_gqa with some keys set anew; a null removes its key.
  ModelConfig changed(const Json& changes, const char* base = "llama_gqa") const {
    Json config = Json::parse(read_text_file(fixture("models") / base / "config.json"));
    config.merge_patch(changes);
    write("config.json", config.dump());
    return read_model_config(folder_);
  }

  // The message after the file's name.
  std::string error(const Json& changes, const char* base = "llama_gqa") const {
    return without_place(message_of<DataError>([&] { changed(changes, base); }));
  }

  std::string error_of(const std::string& content) const {
    write("config.json", content);
    return without_place(message_of<DataError>([&] { read_model_config(folder_); }));
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
    write("config.json", read_text_file(model / "config_v4.json"));
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

using BadConfig = testing_support::BadInput<Json>;

// Keys of llama_gqa's config that are set anew.
class BadSizes : public ModelConfigTest, public testing::WithParamInterface<BadConfig> {};

TEST_P(BadSizes, AreNamedWithTheirRange) { EXPECT_EQ(error(GetParam().input), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    All, BadSizes,
    testing::Values(
        BadConfig{"NoVocabulary", {{"vocab_size", nullptr}}, "'vocab_size' is missing."},
        BadConfig{
            "EmptyVocabulary", {{"vocab_size", 0}}, "'vocab_size' is 0, expected 1 to 16777216."},
        BadConfig{"HiddenSizeThatIsNoInteger",
                  {{"hidden_size", 1e9}},
                  "'hidden_size' is 1000000000.0, expected an integer."},
        BadConfig{"HiddenSizeTooLarge",
                  {{"hidden_size", int64_t{1} << 40}},
                  "'hidden_size' is 1099511627776, expected 1 to 16777216."},
        BadConfig{"HiddenSizeBeyond64Bits",
                  {{"hidden_size", ~uint64_t{0}}},
                  "'hidden_size' is 18446744073709551615, expected an integer."},
        BadConfig{"NegativeIntermediateSize",
                  {{"intermediate_size", -48}},
                  "'intermediate_size' is -48, expected 1 to 16777216."},
        BadConfig{"TooManyLayers",
                  {{"num_hidden_layers", 1'000'000}},
                  "'num_hidden_layers' is 1000000, expected 1 to 16384."},
        BadConfig{"NoHeads",
                  {{"num_attention_heads", 0}},
                  "'num_attention_heads' is 0, expected 1 to 16777216."},
        BadConfig{"KeyHeadsThatDoNotDivideTheHeads",
                  {{"num_key_value_heads", 3}},
                  "'num_key_value_heads' is 3, expected a divisor of 'num_attention_heads' (4)."},
        BadConfig{"MoreKeyHeadsThanHeads",
                  {{"num_key_value_heads", 8}},
                  "'num_key_value_heads' is 8, expected 1 to 4."},
        BadConfig{"OddHeadSize",
                  {{"head_dim", 7}},
                  "'head_dim' is 7, expected an even number (rotary positions turn pairs)."},
        BadConfig{"HeadSizeTooLarge",
                  {{"head_dim", 1 << 23}},
                  "'head_dim' is 8388608, expected 2 to 4194304."},
        BadConfig{
            "HiddenSizeThatNoHeadDivides",
            {{"head_dim", nullptr}, {"hidden_size", 33}},
            "'hidden_size' is 33, expected a multiple of 'num_attention_heads' (4), or 'head_dim' "
            "to be given."},
        BadConfig{"NoPositions",
                  {{"max_position_embeddings", 0}},
                  "'max_position_embeddings' is 0, expected 1 to 2147483647."},
        BadConfig{
            "EpsilonZero", {{"rms_norm_eps", 0.0}}, "'rms_norm_eps' is 0, expected more than 0."},
        BadConfig{"EosTokenThatIsAText",
                  {{"eos_token_id", {"x"}}},
                  "'eos_token_id' is [\"x\"], expected an integer or a list of them."},
        BadConfig{"TiedEmbeddingsThatAreANumber",
                  {{"tie_word_embeddings", 1}},
                  "'tie_word_embeddings' is 1, expected true or false."}),
    testing_support::by_value);

TEST_F(ModelConfigTest, ANegativeWindowIsNamed) {
  EXPECT_EQ(error({{"sliding_window", -1}}, "mistral_window"),
            "'sliding_window' is -1, expected 0 to 2147483647.");
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
  EXPECT_EQ(message_of<DataError>([&] { changed(Json::object()); }),
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

class UnreadQuantization : public QuantizationConfigTest,
                           public testing::WithParamInterface<BadConfig> {};

TEST_P(UnreadQuantization, IsNamed) { EXPECT_EQ(refusal(GetParam().input), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    All, UnreadQuantization,
    testing::Values(
        BadConfig{"TwoBits", {{"bits", 2}}, "'quantization_config.bits' is 2, expected 4 or 8."},
        BadConfig{"ThreeBits", {{"bits", 3}}, "'quantization_config.bits' is 3, expected 4 or 8."},
        BadConfig{"NoBits", {{"bits", nullptr}}, "'quantization_config.bits' is missing."},
        BadConfig{"NoGroupSize",
                  {{"group_size", nullptr}},
                  "'quantization_config.group_size' is missing."},
        BadConfig{
            "GroupsOfNone",
            {{"group_size", 0}},
            "'quantization_config.group_size' is 0, expected at least 1, or -1 for one group."},
        BadConfig{"Marlin",
                  {{"checkpoint_format", "marlin"}},
                  "'quantization_config.checkpoint_format' is 'marlin', expected gptq or gptq_v2."},
        BadConfig{"OtherFormat",
                  {{"format", "gptq_p"}},
                  "'quantization_config.format' is 'gptq_p', expected gptq or gptq_v2."},
        BadConfig{"MarlinByItsFlag",
                  {{"is_marlin_format", true}},
                  "'quantization_config.is_marlin_format' is true, expected false."},
        BadConfig{"OtherPackType",
                  {{"pack_dtype", "int16"}},
                  "'quantization_config.pack_dtype' is 'int16', expected int32."},
        BadConfig{"LayersQuantisedDifferently",
                  {{"dynamic", {{"+:.*down_proj", {{"bits", 8}}}}}},
                  "'quantization_config.dynamic.+:.*down_proj' is {\"bits\":8}, expected none: all "
                  "layers "
                  "quantised alike."},
        BadConfig{"AwqOf8Bits",
                  {{"quant_method", "awq"}, {"bits", 8}},
                  "'quantization_config.bits' is 8, expected 4."},
        BadConfig{
            "AwqGemv",
            {{"quant_method", "awq"}, {"version", "gemv"}},
            "'quantization_config.version' is 'gemv', expected gemm. Quantise the model again "
            "with this version."},
        BadConfig{"AwqGemvFast",
                  {{"quant_method", "awq"}, {"format", "gemv_fast"}},
                  "'quantization_config.format' is 'gemv_fast', expected gemm. Quantise the model "
                  "again with this version."}),
    testing_support::by_value);

TEST_F(ModelConfigTest, FilesThatAreNotThereOrNotJsonAreNamed) {
  EXPECT_THAT(message_of<DataError>([&] { read_model_config(folder_); }),
              HasSubstr("config.json: cannot be read: No such file or directory."));
  EXPECT_THAT(error_of("{\"a\":1"),
              HasSubstr("is not valid JSON: parse error at line 1, column 7"));
  EXPECT_EQ(error_of(R"({"model_type":"llama","model_type":"mistral"})"),
            "'model_type' is there twice, expected once.");
  EXPECT_THAT(error_of("{\"a\":1e999}"), HasSubstr("is not valid JSON: number overflow"));
}

}  // namespace model_config_test
}  // namespace cpx::formats
