// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/roberta_config.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace roberta_config_test {

using nlohmann::json;
using testing::ElementsAre;
using testing_support::ScratchFolderTest;

class RobertaConfigTest : public ScratchFolderTest {
 protected:
  RobertaConfig read(const json& changes = json::object(),
                     const std::string& tokenizer_config = "") const {
    json config = {{"model_type", "roberta"}, {"max_position_embeddings", 514}};
    if (!changes.is_null()) config.update(changes);
    write("config.json", config.dump());
    if (!tokenizer_config.empty()) write("tokenizer_config.json", tokenizer_config);
    return read_roberta_config(folder_);
  }

  // The message without the folder's name.
  std::string error(const json& changes, const std::string& tokenizer_config = "") const {
    return data_error_of([&] { read(changes, tokenizer_config); });
  }
};

TEST_F(RobertaConfigTest, WhatIsNotThereIsAsInTransformers) {
  const RobertaConfig config = read();
  EXPECT_EQ(config.vocab_size, 50265);
  EXPECT_EQ(config.hidden_size, 768);
  EXPECT_EQ(config.intermediate_size, 3072);
  EXPECT_EQ(config.num_hidden_layers, 12);
  EXPECT_EQ(config.num_attention_heads, 12);
  EXPECT_EQ(config.type_vocab_size, 2);
  EXPECT_EQ(config.pad_token_id, 1);
  EXPECT_EQ(config.layer_norm_eps, 1e-12);
  EXPECT_EQ(config.labels, (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
  EXPECT_EQ(config.label_kind, LabelKind::kOneOf);
  EXPECT_EQ(config.max_tokens, 512);
}

TEST_F(RobertaConfigTest, LabelsStandInTheOrderOfTheirIndices) {
  json names;
  for (int i = 0; i < 11; ++i) names[std::to_string(i)] = "name " + std::to_string(i);
  const auto labels = read({{"id2label", names}}).labels;
  ASSERT_EQ(labels.size(), 11);
  EXPECT_EQ(labels[2], "name 2");
  EXPECT_EQ(labels[10], "name 10");
  EXPECT_EQ(read({{"num_labels", 3}}).labels.back(), "LABEL_2");
}

TEST_F(RobertaConfigTest, TheLimitIsTheTokenizersWhereItIsLess) {
  EXPECT_EQ(read({}, R"({"model_max_length": 128})").max_tokens, 128);
  EXPECT_EQ(read({}, R"({"model_max_length": 1000000000000000019884624838656})").max_tokens, 512);
  EXPECT_EQ(read({{"pad_token_id", 3}}).max_tokens, 510);
}

TEST_F(RobertaConfigTest, TheProblemTypeTellsWhatLabelsAre) {
  EXPECT_EQ(read({{"problem_type", "multi_label_classification"}}).label_kind,
            LabelKind::kIndependent);
  EXPECT_EQ(read({{"problem_type", "single_label_classification"}}).label_kind, LabelKind::kOneOf);
  EXPECT_EQ(read({{"problem_type", "regression"}}).label_kind, LabelKind::kValues);
  EXPECT_EQ(read({{"num_labels", 1}}).label_kind, LabelKind::kIndependent);
  EXPECT_EQ(error({{"problem_type", "odd"}}),
            "[roberta_config] config.json: 'problem_type' is 'odd', expected "
            "single_label_classification, multi_label_classification or regression.");
}

using BadConfig = testing_support::BadInput<json>;

class OtherModel : public RobertaConfigTest, public testing::WithParamInterface<BadConfig> {};

TEST_P(OtherModel, IsRefused) {
  EXPECT_EQ(error(GetParam().input), "[roberta_config] config.json: " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, OtherModel,
    testing::Values(
        BadConfig{"NoModelType", {{"model_type", nullptr}}, "'model_type' is missing."},
        BadConfig{"AnotherClass",
                  {{"architectures", {"RobertaForMaskedLM"}}},
                  "'architectures' is [\"RobertaForMaskedLM\"], expected "
                  "[\"RobertaForSequenceClassification\"], a classifier."},
        BadConfig{"AnotherActivation",
                  {{"hidden_act", "gelu_new"}},
                  "'hidden_act' is 'gelu_new', expected gelu."},
        BadConfig{"RelativePositions",
                  {{"position_embedding_type", "relative_key"}},
                  "'position_embedding_type' is 'relative_key', expected "
                  "absolute."},
        BadConfig{"ADecoder", {{"is_decoder", true}}, "'is_decoder' is true, expected false."},
        BadConfig{"Quantised",
                  {{"quantization_config", {{"bits", 4}}}},
                  "'quantization_config' is {\"bits\":4}, expected none: "
                  "cpx reads unquantised classifiers."}),
    testing_support::by_value);

TEST_F(RobertaConfigTest, TheModelTypeDecidesHoweverTheClassIsSpelled) {
  for (const json& classes : {json({"ROBERTAForSequenceClassification"}), json("x"), json(nullptr),
                              json({"Mine"}), json::array(), json({1})}) {
    EXPECT_EQ(read({{"architectures", classes}}).labels.size(), 2u) << classes;
  }
}

// Some files number their labels; label2id is not needed.
TEST_F(RobertaConfigTest, LabelsMayBeNumbers) {
  EXPECT_THAT(read({{"id2label", {{"0", 0}, {"1", 1}}}, {"label2id", {{"0", 0}, {"1", 1}}}}).labels,
              ElementsAre("0", "1"));
  EXPECT_THAT(read({{"id2label", {{"1", true}, {"0", 0.5}}}, {"label2id", nullptr}}).labels,
              ElementsAre("0.5", "true"));
  EXPECT_THAT(read({{"id2label", nullptr}, {"label2id", {0, 1}}}).labels,
              ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_EQ(error({{"id2label", {{"0", {1}}}}}),
            "[roberta_config] config.json: 'id2label.0' is [1], expected a label's name.");
}

TEST_F(RobertaConfigTest, SizesThatCannotBeAreRefused) {
  EXPECT_EQ(error({{"num_attention_heads", 7}}),
            "[roberta_config] config.json: 'num_attention_heads' is 7, expected a divisor of "
            "'hidden_size' (768).");
  EXPECT_EQ(error({{"hidden_size", 0}}),
            "[roberta_config] config.json: 'hidden_size' is 0, expected 1 to 16777216.");
  EXPECT_EQ(
      error({{"max_position_embeddings", 4}}),
      "[roberta_config] config.json: 'max_position_embeddings' is 4, expected 5 to 16777216.");
  EXPECT_EQ(error({{"layer_norm_eps", 0.0}}),
            "[roberta_config] config.json: 'layer_norm_eps' is 0.0, expected more than 0.");
  EXPECT_EQ(error({{"num_labels", 0}}),
            "[roberta_config] config.json: 'num_labels' is 0, expected 1 to 100000.");
}

TEST_F(RobertaConfigTest, LabelsThatCannotBeAreRefused) {
  EXPECT_EQ(error({{"id2label", {{"0", "a"}, {"2", "b"}}}}),
            "[roberta_config] config.json: 'id2label.1' is missing.");
  EXPECT_EQ(error({{"id2label", json::object()}}),
            "[roberta_config] config.json: 'id2label' is {}, expected at least one label.");
}

TEST_F(RobertaConfigTest, ATokenizerThatCutsElsewhereIsRefused) {
  EXPECT_EQ(error({}, R"({"truncation_side": "left"})"),
            "[roberta_config] tokenizer_config.json: 'truncation_side' is 'left', expected "
            "right.");
  EXPECT_EQ(error({}, R"({"model_max_length": 2})"),
            "[roberta_config] tokenizer_config.json: 'model_max_length' is 2, expected 3 or more.");
}

}  // namespace roberta_config_test
}  // namespace cpx::formats
