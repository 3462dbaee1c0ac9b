// SPDX-License-Identifier: Apache-2.0
// Classifiers against transformers (scripts/fixtures/make_roberta.py, make_classifiers.py), and
// what users may hand over instead of one.
#include "cpx/models/text_scorer.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/formats/encoder_config.h"
#include "cpx/formats/safetensors.h"
#include "src/models/load_encoder.h"
#include "tests/models/model_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace text_scorer_test {

namespace fs = std::filesystem;

using nlohmann::json;
using testing_support::is_close;
using testing_support::message_of;
using testing_support::ScratchFolderTest;
using tokenizer::TokenId;

constexpr const char* kTwoLabels = "roberta_two_labels";

// What transformers makes of the texts.
struct Expected {
  int64_t max_tokens;
  std::vector<std::string> labels;
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> ids;
  torch::Tensor logits;  // [N, C]
};

Expected read_expected(const std::string& name) {
  const json stored = json::parse(read_text_file(model_folder(name) / "expected" / "scores.json"));
  const auto rows = stored.at("logits").get<std::vector<std::vector<float>>>();
  std::vector<float> logits;
  for (const auto& row : rows) logits.insert(logits.end(), row.begin(), row.end());
  return {.max_tokens = stored.at("max_tokens"),
          .labels = stored.at("labels"),
          .texts = stored.at("texts"),
          .ids = stored.at("ids"),
          .logits = at::tensor(logits).view({std::ssize(rows), -1})};
}

std::shared_ptr<ModelScorer> load(const std::string& name, int64_t batch_tokens = 2048) {
  return load_text_scorer(model_folder(name), torch::kCPU, batch_tokens);
}

std::shared_ptr<Encoder> load_two_labels() {
  const auto folder = model_folder(kTwoLabels);
  return load_encoder(folder, formats::read_encoder_config(folder), 2, torch::kCPU);
}

// max|a - b| relative to max|b|.
double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

class EveryClassifier : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, EveryClassifier,
                         testing::Values("roberta_two_labels", "roberta_sharded_f16",
                                         "bert_emotions", "bert_vocab_txt", "distilbert_cased",
                                         "xlm_roberta", "llama_reward", "mistral_classes"),
                         testing_support::by_value);

TEST_P(EveryClassifier, IdsEqualThePeerAlsoWhereTheyAreCut) {
  const Expected expected = read_expected(GetParam());
  const auto scorer = load(GetParam());
  EXPECT_EQ(scorer->max_tokens(), expected.max_tokens);
  size_t num_cut = 0;
  for (size_t i = 0; i < expected.texts.size(); ++i) {
    EXPECT_EQ(scorer->encode(expected.texts[i]), expected.ids[i]) << json(expected.texts[i]);
    num_cut += std::ssize(expected.ids[i]) == expected.max_tokens ? 1 : 0;
  }
  EXPECT_GE(num_cut, 5);
}

TEST_P(EveryClassifier, LogitsEqualThePeer) {
  const Expected expected = read_expected(GetParam());
  const auto logits = load(GetParam())->logits(expected.texts);
  EXPECT_EQ(logits.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(is_close(logits, expected.logits));
}

TEST_P(EveryClassifier, TextsAloneOrTogetherScoreTheSame) {
  const auto texts = read_expected(GetParam()).texts;
  const auto together = load(GetParam())->logits(texts);
  const auto scorer = load(GetParam());
  std::vector<torch::Tensor> alone;
  for (const auto& text : texts) alone.push_back(scorer->logits({&text, 1}));
  EXPECT_LE(distance(at::cat(alone), together), 1e-6);
  for (const int64_t batch_tokens : {1, 50, 333}) {
    EXPECT_LE(distance(load(GetParam(), batch_tokens)->logits(texts), together), 1e-6)
        << batch_tokens;
  }
}

TEST_P(EveryClassifier, LabelsAreNamedByTheConfig) {
  EXPECT_EQ(load(GetParam())->labels(), read_expected(GetParam()).labels);
}

TEST(Classifier, ThereMayBeNoTexts) {
  EXPECT_EQ(load(kTwoLabels)->logits({}).sizes(), torch::IntArrayRef({0, 2}));
}

TEST(Classifier, KindOfLabelsIsTheProblemType) {
  EXPECT_EQ(load(kTwoLabels)->label_kind(), LabelKind::kOneOf);
  EXPECT_EQ(load("roberta_sharded_f16")->label_kind(), LabelKind::kIndependent);
}

TEST(Classifier, NothingIsTrained) {
  const auto model = load_two_labels();
  for (const auto& item : model->named_parameters()) {
    EXPECT_FALSE(item.value().requires_grad()) << item.key();
  }
}

TEST(Classifier, PacksBeyondThePositionsAreRefused) {
  const auto model = load_two_labels();
  EXPECT_NO_THROW(model->logits({at::full({40}, 5, at::kLong), {0, 40}}));
  EXPECT_THROW(model->logits({at::full({41}, 5, at::kLong), {0, 41}}), std::invalid_argument);
  EXPECT_THROW(model->logits({at::full({4}, 5, at::kLong), {0, 4, 4}}), std::invalid_argument);
  EXPECT_THROW(model->logits({at::full({4}, 5, at::kLong), {0, 5}}), std::invalid_argument);
}

// ---- other folders -----------------------------------------------------------------------------

// A folder with the files of a classifier, to be spoilt.
class ClassifierFolder : public ScratchFolderTest {
 protected:
  void SetUp() override { copy_fixture(kTwoLabels); }

  void copy_fixture(const std::string& name) const {
    for (const auto& entry : fs::directory_iterator(model_folder(name))) {
      if (entry.is_regular_file()) fs::copy(entry.path(), folder_ / entry.path().filename());
    }
  }

  // Sets keys of config.json.
  void configure(const json& changes) const {
    json config = json::parse(read_text_file(folder_ / "config.json"));
    config.update(changes);
    write("config.json", config.dump());
  }

  // Writes the weights again after `change`.
  void rewrite(const std::function<void(std::vector<formats::NamedTensor>&)>& change) const {
    const auto file = formats::SafetensorsFile::open(folder_ / "model.safetensors");
    std::vector<formats::NamedTensor> tensors;
    for (const auto& name : file->names()) tensors.push_back({name, file->tensor(name).clone()});
    change(tensors);
    write_safetensors(folder_ / "model.safetensors", tensors);
  }

  std::shared_ptr<ModelScorer> load_it() const { return load_text_scorer(folder_, torch::kCPU); }

  // The message with the folder's name as FOLDER.
  std::string error() const {
    auto message = message_of<DataError>([this] { load_it(); });
    for (size_t at; (at = message.find(folder_.string())) != std::string::npos;) {
      message.replace(at, folder_.string().size(), "FOLDER");
    }
    return message;
  }
};

TEST_F(ClassifierFolder, VocabularyAndMergesAreReadWithoutATokenizerJson) {
  const Expected expected = read_expected(kTwoLabels);
  fs::remove(folder_ / "tokenizer.json");
  const auto scorer = load_it();
  for (size_t i = 0; i < expected.texts.size(); ++i) {
    EXPECT_EQ(scorer->encode(expected.texts[i]), expected.ids[i]) << json(expected.texts[i]);
  }
}

TEST_F(ClassifierFolder, WithoutATokenizerItTellsWhatIsExpected) {
  fs::remove(folder_ / "tokenizer.json");
  fs::remove(folder_ / "merges.txt");
  EXPECT_EQ(error(),
            "[load_tokenizer] FOLDER: no tokenizer found, expected tokenizer.json, or vocab.json "
            "and merges.txt, in this folder.");
}

TEST_F(ClassifierFolder, ATokenizerWithoutRobertasSpecialTokensIsRefused) {
  json content = json::parse(read_text_file(folder_ / "tokenizer.json"));
  content["post_processor"] = nullptr;
  write("tokenizer.json", content.dump());
  EXPECT_EQ(error(),
            "[load_tokenizer] FOLDER: the tokenizer adds 0 tokens to a text, expected 2: <s> and "
            "</s> (tokenizer.json: post_processor).");
}

TEST_F(ClassifierFolder, OnlyATextWithATokenThatTheModelLacksIsAnError) {
  const std::vector<std::string> good = {"a fine day", "a < new > day"};
  const auto expected = load_it()->logits(good);
  write("added_tokens.json", R"({"<new>": 400})");
  const auto scorer = load_it();
  EXPECT_TRUE(torch::equal(scorer->logits(good), expected));
  const std::vector<std::string> bad = {"a fine day", "a <new> day"};
  EXPECT_EQ(message_of<DataError>([&] { scorer->logits(bad); }),
            "[text 2 of a batch] the text has the token '<new>' with id 400, expected ids below "
            "400 (config.json: vocab_size): the model has no row for it.");
}

TEST_F(ClassifierFolder, AnotherArchitectureIsToldAsSuch) {
  configure({{"model_type", "deberta-v2"}});
  EXPECT_EQ(error(),
            "[classifier_config] FOLDER/config.json: 'model_type' is 'deberta-v2', expected bert, "
            "distilbert, roberta, xlm-roberta, llama or mistral (a class "
            "...ForSequenceClassification).");
}

TEST_F(ClassifierFolder, NoFolderIsToldAsSuch) {
  EXPECT_EQ(message_of<DataError>([] { load_text_scorer("nowhere", torch::kCPU); }),
            "[load_text_scorer] nowhere: no such folder, expected a classifier's folder.");
}

TEST_F(ClassifierFolder, AModelWithoutAHeadIsToldAsSuch) {
  rewrite([](auto& tensors) {
    std::erase_if(tensors, [](const auto& entry) { return entry.name.starts_with("classifier."); });
  });
  EXPECT_EQ(error(),
            "[load_model] FOLDER: 4 tensors are missing: 'classifier.dense.weight', "
            "'classifier.dense.bias', 'classifier.out_proj.weight', 'classifier.out_proj.bias'. "
            "The folder holds RoBERTa without a classification head: is it a classifier's?");
}

TEST_F(ClassifierFolder, AWrongNumberOfLabelsIsToldWithItsKey) {
  configure({{"id2label", {{"0", "a"}, {"1", "b"}, {"2", "c"}}}});
  EXPECT_EQ(error(),
            "[load_model] FOLDER/model.safetensors: 'classifier.out_proj.weight' is [2, 32], "
            "expected [3, 32] (config.json: id2label with 3 labels).");
}

TEST_F(ClassifierFolder, EachSizeIsToldWithItsKey) {
  const auto size_error = [this](const char* key, int64_t size) {
    const std::string before = read_text_file(folder_ / "config.json");
    configure({{key, size}});
    const std::string message = error();
    write("config.json", before);
    return message;
  };
  const std::string file = "[load_model] FOLDER/model.safetensors: 'roberta.";
  EXPECT_EQ(size_error("vocab_size", 500),
            file +
                "embeddings.word_embeddings.weight' is [400, 32], expected [500, 32] "
                "(config.json: vocab_size 500).");
  EXPECT_EQ(size_error("max_position_embeddings", 60),
            file +
                "embeddings.position_embeddings.weight' is [42, 32], expected [60, 32] "
                "(config.json: max_position_embeddings 60).");
  EXPECT_EQ(size_error("type_vocab_size", 2),
            file +
                "embeddings.token_type_embeddings.weight' is [1, 32], expected [2, 32] "
                "(config.json: type_vocab_size 2).");
  EXPECT_EQ(size_error("intermediate_size", 64),
            file +
                "encoder.layer.0.intermediate.dense.weight' is [48, 32], expected [64, 32] "
                "(config.json: intermediate_size 64).");
  EXPECT_EQ(size_error("hidden_size", 64),
            file +
                "embeddings.word_embeddings.weight' is [400, 32], expected [400, 64] "
                "(config.json: hidden_size 64).");
}

TEST_F(ClassifierFolder, WhatAClassifierDoesNotUseIsPassedOver) {
  rewrite([](auto& tensors) {
    tensors.push_back({"roberta.pooler.dense.weight", at::zeros({32, 32})});
    tensors.push_back({"roberta.embeddings.position_ids", at::zeros({1, 42}, at::kLong)});
  });
  testing::internal::CaptureStderr();
  load_it();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(ClassifierFolder, APickleThatIsNoneIsNamed) {
  fs::remove(folder_ / "model.safetensors");
  write("pytorch_model.bin", "pickle");
  EXPECT_EQ(error(),
            "[torch_file] FOLDER/pytorch_model.bin: begins with 'pick', expected a zip archive of "
            "torch.save.");
}

// ---- other architectures ------------------------------------------------------------------------

class BertFolder : public ClassifierFolder {
 protected:
  void SetUp() override { copy_fixture("bert_emotions"); }
};

// As files that were made from TensorFlow's.
TEST_F(BertFolder, NormsMayHaveTheirOldNames) {
  const std::vector<std::string> texts = {"a fine day", "the dog"};
  const auto expected = load_it()->logits(texts);
  rewrite([](auto& tensors) {
    for (auto& entry : tensors) {
      for (const auto& [ending, old] :
           {std::pair{"LayerNorm.weight", "gamma"}, std::pair{"LayerNorm.bias", "beta"}}) {
        if (!entry.name.ends_with(ending)) continue;
        entry.name.replace(entry.name.rfind('.') + 1, std::string::npos, old);
      }
    }
  });
  EXPECT_TRUE(torch::equal(load_it()->logits(texts), expected));
}

TEST_F(BertFolder, AModelWithoutAHeadIsToldAsSuch) {
  rewrite([](auto& tensors) {
    std::erase_if(tensors, [](const auto& entry) { return entry.name.starts_with("classifier."); });
  });
  EXPECT_EQ(error(),
            "[load_model] FOLDER: 2 tensors are missing: 'classifier.weight', 'classifier.bias'. "
            "The folder holds BERT without a classification head: is it a classifier's?");
}

TEST_F(BertFolder, WithoutAVocabularyItTellsWhatIsExpected) {
  fs::remove(folder_ / "tokenizer.json");
  EXPECT_EQ(
      error(),
      "[load_tokenizer] FOLDER: no tokenizer found, expected tokenizer.json, or vocab.txt, in "
      "this folder.");
}

TEST_F(BertFolder, OnlyATextWithATokenThatTheModelLacksIsAnError) {
  write("added_tokens.json", R"({"<new>": 300})");
  const auto scorer = load_it();
  const std::vector<std::string> bad = {"a <new> day"};
  EXPECT_EQ(message_of<DataError>([&] { scorer->logits(bad); }),
            "[text 1 of a batch] the text has the token '<new>' with id 300, expected ids below "
            "300 (config.json: vocab_size): the model has no row for it.");
}

class DistilBertFolder : public ClassifierFolder {
 protected:
  void SetUp() override { copy_fixture("distilbert_cased"); }
};

TEST_F(DistilBertFolder, SizesAreToldWithTheFamilysNames) {
  configure({{"hidden_dim", 32}});
  EXPECT_EQ(
      error(),
      "[load_model] FOLDER/model.safetensors: 'distilbert.transformer.layer.0.ffn.lin1.weight' "
      "is [24, 16], expected [32, 16] (config.json: hidden_dim 32).");
}

class RewardFolder : public ClassifierFolder {
 protected:
  void SetUp() override { copy_fixture("llama_reward"); }
};

TEST_F(RewardFolder, ALanguageModelIsToldAsSuch) {
  rewrite([](auto& tensors) {
    std::erase_if(tensors, [](const auto& entry) { return entry.name.starts_with("score."); });
  });
  EXPECT_EQ(error(),
            "[load_model] FOLDER: 1 tensor is missing: 'score.weight'. The folder holds a language "
            "model without a classification head: is it a classifier's?");
  configure({{"architectures", {"LlamaForCausalLM"}}});
  EXPECT_EQ(error(),
            "[classifier_config] FOLDER/config.json: 'architectures' is [\"LlamaForCausalLM\"], "
            "expected [\"LlamaForSequenceClassification\"], a classifier.");
}

TEST_F(RewardFolder, AWrongNumberOfLabelsIsToldWithItsKey) {
  configure({{"id2label", {{"0", "a"}, {"1", "b"}}}});
  EXPECT_EQ(error(),
            "[load_model] FOLDER/model.safetensors: 'score.weight' is [1, 16], expected [2, 16] "
            "(config.json: id2label with 2 labels).");
}

TEST_F(RewardFolder, ATextWithoutATokenIsAnError) {
  json content = json::parse(read_text_file(folder_ / "tokenizer.json"));
  content["post_processor"] = nullptr;
  write("tokenizer.json", content.dump());
  const auto scorer = load_it();
  const std::vector<std::string> texts = {"a", ""};
  EXPECT_EQ(message_of<DataError>([&] { scorer->logits(texts); }),
            "[text 2 of a batch] got '' without a token, expected one or more.");
}

TEST_F(RewardFolder, ItsLabelKindIsThatOfOneLabel) {
  EXPECT_EQ(load_it()->label_kind(), LabelKind::kIndependent);
  configure({{"problem_type", "regression"}});
  EXPECT_EQ(load_it()->label_kind(), LabelKind::kValues);
}

}  // namespace text_scorer_test
}  // namespace cpx::models
