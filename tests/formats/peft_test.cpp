// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/peft.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace peft_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

const char* const kAdapters[] = {"llama_gqa", "llama_tied_llama3", "llama_bias_linear",
                                 "mistral_window"};

fs::path adapter_of(const std::string& model) { return fixture("models") / model / "adapter"; }

class PeftTest : public ScratchFolderTest {
 protected:
  // The config of llama_gqa's adapter with some keys set anew; a null removes its key.
  void write_config(const Json& changes) const {
    Json config = Json::parse(read_text_file(adapter_of("llama_gqa") / "adapter_config.json"));
    config.merge_patch(changes);
    write("adapter_config.json", config.dump());
  }

  std::string config_error(const Json& changes) const {
    write_config(changes);
    return without_place(message_of<DataError>([&] { read_peft_config(folder_); }),
                         "adapter_config.json");
  }

  void write_weights(const std::vector<NamedTensor>& tensors) const {
    write_safetensors(folder_ / "adapter_model.safetensors", tensors);
  }

  // The error of a folder with these tensors and llama_gqa's config (rank 4).
  std::string weights_error(const std::vector<NamedTensor>& tensors) const {
    write_config(Json::object());
    write_weights(tensors);
    return without_place(message_of<DataError>([&] { read_peft(folder_); }),
                         "adapter_model.safetensors");
  }

  std::string without_place(const std::string& message, const char* file) const {
    const std::string place = fmt::format("[peft] {}: ", (folder_ / file).string());
    EXPECT_TRUE(message.starts_with(place)) << message;
    return message.substr(std::min(place.size(), message.size()));
  }
};

TEST(PeftFixture, ConfigsOfPeftAreRead) {
  const auto gqa = read_peft_config(adapter_of("llama_gqa"));
  EXPECT_EQ(gqa.rank, 4);
  EXPECT_EQ(gqa.alpha, 8.0);
  EXPECT_EQ(gqa.dropout, 0.0);
  EXPECT_FALSE(gqa.rslora);
  EXPECT_THAT(gqa.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(gqa.base_model, "tests/fixtures/models/llama_gqa");
  const auto tied = read_peft_config(adapter_of("llama_tied_llama3"));
  EXPECT_TRUE(tied.rslora);
  EXPECT_THAT(tied.target_modules, ElementsAre("down_proj", "gate_proj", "k_proj", "lm_head",
                                               "o_proj", "q_proj", "up_proj", "v_proj"));
}

TEST(PeftFixture, FactorsHaveTheModelsOwnKeys) {
  const auto adapter = read_peft(adapter_of("llama_gqa"));
  ASSERT_EQ(adapter.factors.size(), 8u);
  EXPECT_EQ(adapter.factors[0].name, "model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(adapter.factors[0].value.sizes(), (at::IntArrayRef{4, 32}));
  EXPECT_TRUE(adapter.base_tensors.empty());
  EXPECT_EQ(adapter.folder, adapter_of("llama_gqa"));
  const auto file = SafetensorsFile::open(adapter_of("llama_gqa") / "adapter_model.safetensors");
  for (const auto& factor : adapter.factors) {
    EXPECT_TRUE(torch::equal(factor.value, file->tensor("base_model.model." + factor.name)));
  }
}

TEST(PeftFixture, BaseWeightOfTheHeadIsKeptApart) {
  const auto adapter = read_peft(adapter_of("llama_tied_llama3"));
  ASSERT_EQ(adapter.base_tensors.size(), 1u);
  EXPECT_EQ(adapter.base_tensors[0].name, "lm_head.base_layer.weight");
  EXPECT_EQ(adapter.factors.size(), 2u * (3 * 7 + 1));
}

TEST_F(PeftTest, WhatIsWrittenReadsBackEqual) {
  for (const char* name : kAdapters) {
    auto adapter = read_peft(adapter_of(name));
    adapter.config.alpha = 6.5;
    adapter.config.dropout = 0.1;
    write_peft(folder_, adapter.config, adapter.factors);
    const auto again = read_peft(folder_);
    EXPECT_EQ(again.config.rank, adapter.config.rank);
    EXPECT_EQ(again.config.alpha, 6.5);
    EXPECT_EQ(again.config.dropout, 0.1);
    EXPECT_EQ(again.config.rslora, adapter.config.rslora);
    EXPECT_EQ(again.config.target_modules, adapter.config.target_modules);
    EXPECT_EQ(again.config.base_model, adapter.config.base_model);
    ASSERT_EQ(again.factors.size(), adapter.factors.size());
    for (size_t i = 0; i < again.factors.size(); ++i) {
      EXPECT_EQ(again.factors[i].name, adapter.factors[i].name);
      EXPECT_TRUE(torch::equal(again.factors[i].value, adapter.factors[i].value));
    }
  }
}

TEST_F(PeftTest, TheRevisionOfTheBaseIsKept) {
  auto adapter = read_peft(adapter_of(kAdapters[0]));
  EXPECT_EQ(adapter.config.revision, "");
  adapter.config.base_model = "ann/tiny";
  adapter.config.revision = "v1";
  write_peft(folder_, adapter.config, adapter.factors);
  const Json json = Json::parse(read_text_file(folder_ / "adapter_config.json"));
  EXPECT_EQ(json.at("base_model_name_or_path"), "ann/tiny");
  EXPECT_EQ(json.at("revision"), "v1");
  EXPECT_EQ(read_peft(folder_).config.revision, "v1");
}

TEST_F(PeftTest, AllLinearIsWrittenAsTheNamesOfTheModules) {
  const std::vector<NamedTensor> factors = {
      {"model.layers.0.mlp.up_proj.lora_A.weight", torch::ones({2, 3})},
      {"model.layers.0.mlp.up_proj.lora_B.weight", torch::ones({4, 2})},
      {"model.layers.1.self_attn.q_proj.lora_A.weight", torch::ones({2, 3})},
      {"model.layers.1.self_attn.q_proj.lora_B.weight", torch::ones({3, 2})}};
  write_peft(folder_,
             {.rank = 2, .alpha = 16.0, .target_modules = {"all-linear"}, .base_model = ""},
             factors);
  const Json json = Json::parse(read_text_file(folder_ / "adapter_config.json"));
  EXPECT_EQ(json.at("target_modules"), (Json{"q_proj", "up_proj"}));
  EXPECT_TRUE(json.at("lora_alpha").is_number_integer());
  EXPECT_EQ(json.at("inference_mode"), true);
  EXPECT_TRUE(json.at("base_model_name_or_path").is_null());
}

TEST_F(PeftTest, KindsThatAreNotComputedAreRefusedByTheirKey) {
  EXPECT_EQ(config_error({{"peft_type", "IA3"}}), "'peft_type' is 'IA3', expected LORA.");
  EXPECT_EQ(config_error({{"peft_type", nullptr}}), "'peft_type' is missing, expected LORA.");
  EXPECT_EQ(config_error({{"bias", "all"}}), "'bias' is 'all', expected none.");
  for (const char* key : {"use_dora", "lora_bias", "use_qalora", "ensure_weight_tying"}) {
    EXPECT_EQ(config_error({{key, true}}), fmt::format("'{}' is true, expected false.", key));
  }
  for (const char* key : {"arrow_config", "use_bdlora", "kasa_config"}) {
    EXPECT_EQ(
        config_error({{key, {{"q_proj", 2}}}}),
        fmt::format("'{}' is {{\"q_proj\":2}}, expected nothing: cpx computes plain LoRA.", key));
  }
  for (const char* key : {"modules_to_save", "layer_replication", "target_parameters",
                          "trainable_token_indices", "alora_invocation_tokens"}) {
    EXPECT_EQ(config_error({{key, {1}}}),
              fmt::format("'{}' is [1], expected nothing: cpx computes plain LoRA.", key));
  }
}

// These keys said which layers were to be trained, or how: the tensors tell the rest.
TEST_F(PeftTest, KeysThatChoseLayersLeaveItToTheTensors) {
  const std::string q = "base_model.model.model.layers.1.self_attn.q_proj";
  const std::string up = "base_model.model.model.layers.0.mlp.up_proj";
  write_weights({{up + ".lora_A.weight", torch::ones({4, 32})},
                 {up + ".lora_B.weight", torch::ones({48, 4})},
                 {q + ".lora_A.weight", torch::ones({4, 32})},
                 {q + ".lora_B.weight", torch::ones({32, 4})}});
  const auto by_tensors =
      ElementsAre("model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj");
  for (const Json& changes :
       {Json{{"target_modules", ".*\\.(q|up)_proj"}}, Json{{"target_modules", "q_proj"}},
        Json{{"target_modules", nullptr}}, Json{{"target_modules", Json::array()}},
        Json{{"exclude_modules", "lm_head"}}, Json{{"exclude_modules", {"lm_head"}}},
        Json{{"layers_to_transform", 0}},
        Json{{"layers_to_transform", {0, 1}}, {"layers_pattern", "layers"}}}) {
    write_config(changes);
    EXPECT_THAT(read_peft(folder_).config.target_modules, by_tensors) << changes;
  }
  for (const Json& changes :
       {Json{{"megatron_config", {{"a", 1}}}}, Json{{"fan_in_fan_out", true}},
        Json{{"loftq_config", {{"bits", 4}}}}, Json{{"a_key_of_tomorrow", {1, 2}}},
        Json{{"exclude_modules", Json::array()}}, Json{{"task_type", nullptr}},
        Json{{"inference_mode", "x"}}, Json{{"base_model_name_or_path", 7}},
        Json{{"layers_to_transform", nullptr}}}) {
    write_config(changes);
    EXPECT_THAT(read_peft(folder_).config.target_modules, ElementsAre("q_proj", "v_proj"))
        << changes;
  }
}

// peft/utils/other.py, get_pattern_key(): the first key that is the whole name or, behind a dot,
// its end, as a regular expression.
TEST_F(PeftTest, PatternsGiveLayersARankAndAnAlphaOfTheirOwn) {
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj";
  const std::string v = "base_model.model.model.layers.1.self_attn.v_proj";
  write_weights({{q + ".lora_A.weight", torch::ones({2, 32})},
                 {q + ".lora_B.weight", torch::ones({32, 2})},
                 {v + ".lora_A.weight", torch::ones({4, 32})},
                 {v + ".lora_B.weight", torch::ones({16, 4})}});
  write_config({{"rank_pattern", {{"q_proj", 2}, {"k_proj", 64}}},
                {"alpha_pattern", {{"layers\\.1\\..*", 32}, {"o_proj", 0.5}, {"proj", 7}}}});
  const PeftConfig config = read_peft(folder_).config;
  const auto layer_of = [&](const std::string& module) {
    const PeftLayer layer = config.layer("model.layers." + module);
    return std::pair(layer.rank, layer.alpha);
  };
  EXPECT_EQ(config.own_layers.size(), 2u);
  EXPECT_EQ(layer_of("0.self_attn.q_proj"), std::pair(int64_t{2}, config.alpha));
  EXPECT_EQ(layer_of("1.self_attn.v_proj"), std::pair(int64_t{4}, 32.0));
  EXPECT_EQ(layer_of("1.self_attn.q_proj"), std::pair(int64_t{4}, config.alpha));
  // Of layers that are not there.
  write_weights(
      {{v + ".lora_A.weight", torch::ones({4, 32})}, {v + ".lora_B.weight", torch::ones({16, 4})}});
  write_config({{"rank_pattern", {{"q_proj", 2}}}, {"alpha_pattern", {{"k_proj", 1}}}});
  EXPECT_TRUE(read_peft(folder_).config.own_layers.empty());
}

TEST_F(PeftTest, PatternsThatDoNotFitAreNamed) {
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj";
  write_weights(
      {{q + ".lora_A.weight", torch::ones({4, 32})}, {q + ".lora_B.weight", torch::ones({32, 4})}});
  EXPECT_EQ(config_error({{"rank_pattern", {{"q_proj", 0}}}}),
            "'rank_pattern.q_proj' is 0, expected 1 to 1048576.");
  EXPECT_EQ(config_error({{"alpha_pattern", {{"q_proj", "x"}}}}),
            "'alpha_pattern.q_proj' is 'x', expected a number.");
  EXPECT_EQ(config_error({{"alpha_pattern", {{"q_(proj", 2}}}}),
            "'alpha_pattern.q_(proj' is 2, expected a layer's name or a regular expression as its "
            "key.");
  write_config({{"rank_pattern", {{"q_proj", 2}}}});
  EXPECT_EQ(without_place(message_of<DataError>([&] { read_peft(folder_); }),
                          "adapter_model.safetensors"),
            "'model.layers.0.self_attn.q_proj.lora_A.weight' is [4, 32], expected [2, inputs] "
            "(adapter_config.json: rank_pattern 2).");
}

TEST_F(PeftTest, InitialisationsThatChangeTheBaseAreRefused) {
  for (const char* kind :
       {"pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga", "mica"}) {
    EXPECT_EQ(
        config_error({{"init_lora_weights", kind}}),
        fmt::format(
            "'init_lora_weights' is '{}', expected true, false, gaussian, eva or "
            "orthogonal: other kinds change the base weights or freeze a factor. Save it with "
            "PEFT's path_initial_model_for_weight_conversion.",
            kind));
  }
  for (const Json& kind : {Json(false), Json("gaussian"), Json("eva"), Json("orthogonal")}) {
    write_config({{"init_lora_weights", kind}});
    EXPECT_EQ(read_peft_config(folder_).rank, 4) << kind;
  }
}

TEST_F(PeftTest, TargetModulesMayBeAListOfNames) {
  EXPECT_EQ(config_error({{"target_modules", {1}}}), "'target_modules[0]' is 1, expected a text.");
  write_config({{"target_modules", "all-linear"}});
  EXPECT_THAT(read_peft_config(folder_).target_modules, ElementsAre("all-linear"));
  write_config({{"target_modules", {"v_proj", "q_proj", "v_proj"}}});
  EXPECT_THAT(read_peft_config(folder_).target_modules, ElementsAre("q_proj", "v_proj"));
}

TEST_F(PeftTest, NumbersOutOfRangeAreNamed) {
  EXPECT_EQ(config_error({{"r", 0}}), "'r' is 0, expected 1 to 1048576.");
  EXPECT_EQ(config_error({{"r", int64_t{1} << 40}}),
            "'r' is 1099511627776, expected 1 to 1048576.");
  EXPECT_EQ(config_error({{"r", 4.5}}), "'r' is 4.5, expected an integer.");
  EXPECT_EQ(config_error({{"lora_alpha", 0}}), "'lora_alpha' is 0, expected more than 0.");
  EXPECT_EQ(config_error({{"lora_dropout", 1.0}}),
            "'lora_dropout' is 1.0, expected at least 0 and less than 1.");
}

const std::string kQuery = "base_model.model.model.layers.0.self_attn.q_proj";

torch::Tensor factor_a() { return torch::ones({4, 32}); }
torch::Tensor factor_b() { return torch::ones({32, 4}); }

using BadTensors = testing_support::BadInput<std::vector<NamedTensor>>;

class BadFactors : public PeftTest, public testing::WithParamInterface<BadTensors> {};

TEST_P(BadFactors, AreNamedWithTheReason) {
  EXPECT_EQ(weights_error(GetParam().input), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadFactors,
    testing::Values(
        BadTensors{
            "AWithoutB",
            {{kQuery + ".lora_A.weight", factor_a()}},
            fmt::format("'{}.lora_B.weight' is missing, but its other factor is there.", kQuery)},
        BadTensors{
            "BWithoutA",
            {{kQuery + ".lora_B.weight", factor_b()}},
            fmt::format("'{}.lora_A.weight' is missing, but its other factor is there.", kQuery)},
        BadTensors{
            "AOfAnotherRank",
            {{kQuery + ".lora_A.weight", torch::ones({8, 32})}},
            "'model.layers.0.self_attn.q_proj.lora_A.weight' is [8, 32], expected [4, inputs] "
            "(adapter_config.json: r 4)."},
        BadTensors{"BOfOneDimension",
                   {{kQuery + ".lora_B.weight", torch::ones({4})}},
                   "'model.layers.0.self_attn.q_proj.lora_B.weight' is [4], expected [outputs, 4] "
                   "(adapter_config.json: r 4)."},
        BadTensors{
            "AOfIntegers",
            {{kQuery + ".lora_A.weight", factor_a().to(torch::kInt32)}},
            "'model.layers.0.self_attn.q_proj.lora_A.weight' holds Int, expected floating point "
            "numbers."},
        BadTensors{
            "NameWithoutTheBeginning",
            {{"model.q_proj.lora_A.weight", factor_a()}},
            "'model.q_proj.lora_A.weight' is no tensor of a PEFT adapter, expected a name that "
            "begins with 'base_model.model.'."},
        BadTensors{
            "FactorsOfEmbeddings",
            {{"base_model.model.model.embed_tokens.lora_embedding_A", factor_a()}},
            "'base_model.model.model.embed_tokens.lora_embedding_A' belongs to a kind of adapter "
            "that cpx does not compute, expected names that end in .lora_A.weight or "
            ".lora_B.weight."},
        BadTensors{"NoFactors",
                   {{"base_model.model.lm_head.base_layer.weight", factor_a()}},
                   "holds no LoRA factors, expected names that end in .lora_A.weight and "
                   ".lora_B.weight."}),
    testing_support::by_value);

TEST_F(PeftTest, FilesThatAreMissingAreNamed) {
  EXPECT_THAT(message_of<DataError>([&] { read_peft(folder_); }),
              HasSubstr("adapter_config.json: cannot be read: No such file or directory."));
  write_config(Json::object());
  EXPECT_THAT(message_of<DataError>([&] { read_peft(folder_); }),
              HasSubstr("adapter_model.safetensors: cannot be opened: No such file or directory."));
  write("adapter_model.bin", "x");
  EXPECT_THAT(
      message_of<DataError>([&] { read_peft(folder_); }),
      HasSubstr("adapter_model.bin: begins with 'x', expected a zip archive of torch.save."));
}

TEST_F(PeftTest, WriterRefusesWhatIsNoFactorOfItsRank) {
  const auto refusal = [&](const std::vector<NamedTensor>& factors) -> std::string {
    return message_of<std::invalid_argument>([&] {
      write_peft(folder_, {.rank = 4, .target_modules = {"q_proj"}, .base_model = ""}, factors);
    });
  };
  EXPECT_EQ(refusal({}), "[write_peft] there are no factors to write.");
  EXPECT_EQ(refusal({{"q_proj.weight", torch::ones({4, 4})}}),
            "[write_peft] 'q_proj.weight' is no factor: expected '*.lora_A.weight' or "
            "'*.lora_B.weight'.");
  EXPECT_EQ(refusal({{"q_proj.lora_B.weight", torch::ones({4, 5})}}),
            "[write_peft] 'q_proj.lora_B.weight' does not fit rank 4.");
}

}  // namespace peft_test
}  // namespace cpx::formats
