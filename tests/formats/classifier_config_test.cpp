// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/classifier_config.h"

#include <gmock/gmock.h>
#include <variant>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace classifier_config_test {

using nlohmann::json;
using testing::ElementsAre;
using testing_support::ScratchFolderTest;

class ClassifierConfigTest : public ScratchFolderTest {
 protected:
  ClassifierConfig read(const json& changes = json::object(),
                        const std::string& tokenizer_config = "") const {
    json config = {{"model_type", "roberta"}, {"max_position_embeddings", 514}};
    if (!changes.is_null()) config.update(changes);
    write("config.json", config.dump());
    if (!tokenizer_config.empty()) write("tokenizer_config.json", tokenizer_config);
    return read_classifier_config(folder_);
  }

  // The message without the folder's name.
  std::string error(const json& changes, const std::string& tokenizer_config = "") const {
    return data_error_of([&] { read(changes, tokenizer_config); });
  }
};

TEST_F(ClassifierConfigTest, WhatIsNotThereIsAsInTransformers) {
  const ClassifierConfig config = read();
  const auto& body = std::get<EncoderConfig>(config.body);
  EXPECT_EQ(body.family, EncoderFamily::kRoberta);
  EXPECT_EQ(body.vocab_size, 50265);
  EXPECT_EQ(body.hidden_size, 768);
  EXPECT_EQ(body.intermediate_size, 3072);
  EXPECT_EQ(body.num_hidden_layers, 12);
  EXPECT_EQ(body.num_attention_heads, 12);
  EXPECT_EQ(body.type_vocab_size, 2);
  EXPECT_EQ(body.pad_token_id, 1);
  EXPECT_EQ(body.first_position, 2);
  EXPECT_EQ(body.layer_norm_eps, 1e-12);
  EXPECT_EQ(config.labels, (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
  EXPECT_EQ(config.label_kind, LabelKind::kOneOf);
  EXPECT_EQ(config.max_tokens, 512);
}

TEST_F(ClassifierConfigTest, FamiliesHaveTheirOwnKeysAndDefaults) {
  const auto body = [this](const json& changes) {
    return std::get<EncoderConfig>(read(changes).body);
  };
  const EncoderConfig bert = body({{"model_type", "bert"}, {"max_position_embeddings", nullptr}});
  EXPECT_EQ(bert.vocab_size, 30522);
  EXPECT_EQ(bert.first_position, 0);
  EXPECT_EQ(bert.max_tokens, 512);
  EXPECT_EQ(bert.type_vocab_size, 2);
  const EncoderConfig distilbert = body({{"model_type", "distilbert"},
                                         {"dim", 32},
                                         {"n_heads", 4},
                                         {"n_layers", 3},
                                         {"hidden_dim", 48}});
  EXPECT_EQ(distilbert.hidden_size, 32);
  EXPECT_EQ(distilbert.num_attention_heads, 4);
  EXPECT_EQ(distilbert.num_hidden_layers, 3);
  EXPECT_EQ(distilbert.intermediate_size, 48);
  EXPECT_EQ(distilbert.type_vocab_size, 0);
  EXPECT_EQ(body({{"model_type", "distilbert"}}).num_hidden_layers, 6);
  EXPECT_EQ(body({{"model_type", "xlm-roberta"}}).first_position, 2);
}

TEST_F(ClassifierConfigTest, ADecoderIsOneToo) {
  const json decoder = {
      {"model_type", "mistral"},  {"architectures", {"MistralForSequenceClassification"}},
      {"vocab_size", 10},         {"hidden_size", 8},
      {"intermediate_size", 8},   {"num_hidden_layers", 1},
      {"num_attention_heads", 2}, {"num_key_value_heads", 1},
      {"pad_token_id", 3},        {"num_labels", 1}};
  const ClassifierConfig config = read(decoder);
  EXPECT_EQ(std::get<ModelConfig>(config.body).architecture, "mistral");
  EXPECT_EQ(std::get<ModelConfig>(config.body).pad_token_id, 3);
  EXPECT_EQ(config.max_tokens, 514);
  EXPECT_EQ(config.labels.size(), 1);
}

TEST_F(ClassifierConfigTest, LabelsStandInTheOrderOfTheirIndices) {
  json names;
  for (int i = 0; i < 11; ++i) names[std::to_string(i)] = "name " + std::to_string(i);
  const auto labels = read({{"id2label", names}}).labels;
  ASSERT_EQ(labels.size(), 11);
  EXPECT_EQ(labels[2], "name 2");
  EXPECT_EQ(labels[10], "name 10");
  EXPECT_EQ(read({{"num_labels", 3}}).labels.back(), "LABEL_2");
}

TEST_F(ClassifierConfigTest, TheLimitIsTheTokenizersWhereItIsLess) {
  EXPECT_EQ(read({}, R"({"model_max_length": 128})").max_tokens, 128);
  EXPECT_EQ(read({}, R"({"model_max_length": 1000000000000000019884624838656})").max_tokens, 512);
  EXPECT_EQ(read({{"pad_token_id", 3}}).max_tokens, 510);
}

TEST_F(ClassifierConfigTest, TheProblemTypeTellsWhatLabelsAre) {
  EXPECT_EQ(read({{"problem_type", "multi_label_classification"}}).label_kind,
            LabelKind::kIndependent);
  EXPECT_EQ(read({{"problem_type", "single_label_classification"}}).label_kind, LabelKind::kOneOf);
  EXPECT_EQ(read({{"problem_type", "regression"}}).label_kind, LabelKind::kValues);
  EXPECT_EQ(read({{"num_labels", 1}}).label_kind, LabelKind::kIndependent);
  EXPECT_EQ(error({{"problem_type", "odd"}}),
            "[classifier_config] config.json: 'problem_type' is 'odd', expected "
            "single_label_classification, multi_label_classification or regression.");
}

using BadConfig = testing_support::BadInput<json>;

class OtherModel : public ClassifierConfigTest, public testing::WithParamInterface<BadConfig> {};

TEST_P(OtherModel, IsRefused) { EXPECT_EQ(error(GetParam().input), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    All, OtherModel,
    testing::Values(
        BadConfig{"NoModelType",
                  {{"model_type", nullptr}},
                  "[classifier_config] config.json: 'model_type' is missing."},
        BadConfig{"AnotherModelType",
                  {{"model_type", "deberta-v2"}},
                  "[classifier_config] config.json: 'model_type' is 'deberta-v2', expected bert, "
                  "distilbert, roberta, xlm-roberta, llama or mistral (a class "
                  "...ForSequenceClassification)."},
        BadConfig{"AnotherClass",
                  {{"architectures", {"RobertaForMaskedLM"}}},
                  "[classifier_config] config.json: 'architectures' is [\"RobertaForMaskedLM\"], "
                  "expected "
                  "[\"RobertaForSequenceClassification\"], a classifier."},
        BadConfig{"AnotherActivation",
                  {{"hidden_act", "gelu_new"}},
                  "[encoder_config] config.json: 'hidden_act' is 'gelu_new', expected gelu."},
        BadConfig{
            "RelativePositions",
            {{"position_embedding_type", "relative_key"}},
            "[encoder_config] config.json: 'position_embedding_type' is 'relative_key', expected "
            "absolute."},
        BadConfig{"ADecoder",
                  {{"is_decoder", true}},
                  "[encoder_config] config.json: 'is_decoder' is true, expected false."},
        BadConfig{"Quantised",
                  {{"quantization_config", {{"bits", 4}}}},
                  "[encoder_config] config.json: 'quantization_config' is {\"bits\":4}, expected "
                  "none: cpx reads unquantised encoders."}),
    testing_support::by_value);

TEST_F(ClassifierConfigTest, TheModelTypeDecidesHoweverTheClassIsSpelled) {
  for (const json& classes : {json({"ROBERTAForSequenceClassification"}), json("x"), json(nullptr),
                              json({"Mine"}), json::array(), json({1})}) {
    EXPECT_EQ(read({{"architectures", classes}}).labels.size(), 2u) << classes;
  }
}

// Some files number their labels; label2id is not needed.
TEST_F(ClassifierConfigTest, LabelsMayBeNumbers) {
  EXPECT_THAT(read({{"id2label", {{"0", 0}, {"1", 1}}}, {"label2id", {{"0", 0}, {"1", 1}}}}).labels,
              ElementsAre("0", "1"));
  EXPECT_THAT(read({{"id2label", {{"1", true}, {"0", 0.5}}}, {"label2id", nullptr}}).labels,
              ElementsAre("0.5", "true"));
  EXPECT_THAT(read({{"id2label", nullptr}, {"label2id", {0, 1}}}).labels,
              ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_EQ(error({{"id2label", {{"0", {1}}}}}),
            "[classifier_config] config.json: 'id2label.0' is [1], expected a label's name.");
}

TEST_F(ClassifierConfigTest, SizesThatCannotBeAreRefused) {
  EXPECT_EQ(error({{"num_attention_heads", 7}}),
            "[encoder_config] config.json: 'num_attention_heads' is 7, expected a divisor of "
            "'hidden_size' (768).");
  EXPECT_EQ(error({{"hidden_size", 0}}),
            "[encoder_config] config.json: 'hidden_size' is 0, expected 1 to 16777216.");
  EXPECT_EQ(
      error({{"max_position_embeddings", 4}}),
      "[encoder_config] config.json: 'max_position_embeddings' is 4, expected 5 to 16777216.");
  EXPECT_EQ(error({{"layer_norm_eps", 0.0}}),
            "[encoder_config] config.json: 'layer_norm_eps' is 0.0, expected more than 0.");
  EXPECT_EQ(error({{"num_labels", 0}}),
            "[classifier_config] config.json: 'num_labels' is 0, expected 1 to 100000.");
}

TEST_F(ClassifierConfigTest, LabelsThatCannotBeAreRefused) {
  EXPECT_EQ(error({{"id2label", {{"0", "a"}, {"2", "b"}}}}),
            "[classifier_config] config.json: 'id2label.1' is missing.");
  EXPECT_EQ(error({{"id2label", json::object()}}),
            "[classifier_config] config.json: 'id2label' is {}, expected at least one label.");
}

TEST_F(ClassifierConfigTest, ATokenizerThatCutsElsewhereIsRefused) {
  EXPECT_EQ(error({}, R"({"truncation_side": "left"})"),
            "[encoder_config] tokenizer_config.json: 'truncation_side' is 'left', expected "
            "right.");
  EXPECT_EQ(error({}, R"({"model_max_length": 2})"),
            "[encoder_config] tokenizer_config.json: 'model_max_length' is 2, expected 3 or more.");
}

}  // namespace classifier_config_test
}  // namespace cpx::formats
