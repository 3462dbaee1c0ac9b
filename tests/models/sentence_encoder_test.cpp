// SPDX-License-Identifier: Apache-2.0
// Sentence encoders against transformers and the pooling of sentence-transformers
// (scripts/fixtures/make_classifiers.py).
#include <filesystem>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "cpx/models/text_scorer.h"
#include "tests/models/model_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace sentence_encoder_test {

namespace fs = std::filesystem;

using nlohmann::json;
using testing_support::is_close;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

constexpr const char* kSentences = "bert_sentences";

struct Expected {
  int64_t max_tokens;
  std::vector<std::string> texts;
  torch::Tensor mean;   // [N, D]
  torch::Tensor first;  // [N, D]
};

Expected read_expected() {
  const auto file = model_folder(kSentences) / "expected" / "vectors.json";
  const json stored = json::parse(read_text_file(file));
  const auto matrix = [&](const char* key) {
    std::vector<float> values;
    for (const auto& row : stored.at(key)) values.insert(values.end(), row.begin(), row.end());
    return at::tensor(values).view({std::ssize(stored.at(key)), -1});
  };
  return {.max_tokens = stored.at("max_tokens"),
          .texts = stored.at("texts"),
          .mean = matrix("mean"),
          .first = matrix("first")};
}

std::shared_ptr<nn::SentenceEncoder> load(const fs::path& folder, int64_t batch_tokens = 2048) {
  return load_sentence_encoder(folder, torch::kCPU, batch_tokens);
}

TEST(SentenceEncoder, VectorsEqualThePeer) {
  const Expected expected = read_expected();
  const auto encoder = load(model_folder(kSentences));
  EXPECT_EQ(encoder->max_tokens(), expected.max_tokens);
  EXPECT_EQ(encoder->size(), 16);
  const auto vectors = encoder->embed(expected.texts);
  EXPECT_EQ(vectors.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(is_close(vectors, expected.mean));
}

TEST(SentenceEncoder, VectorsHaveLengthOne) {
  const auto vectors = load(model_folder(kSentences))->embed(read_expected().texts);
  EXPECT_LE((vectors.norm(2, 1) - 1.0).abs().max().item<double>(), 1e-6);
}

TEST(SentenceEncoder, BatchesChangeNothing) {
  const Expected expected = read_expected();
  for (const int64_t batch_tokens : {1, 40}) {
    const auto vectors = load(model_folder(kSentences), batch_tokens)->embed(expected.texts);
    EXPECT_TRUE(is_close(vectors, expected.mean)) << batch_tokens;
  }
}

TEST(SentenceEncoder, ThereMayBeNoTexts) {
  EXPECT_EQ(load(model_folder(kSentences))->embed({}).sizes(), torch::IntArrayRef({0, 16}));
}

// Of each family: its head is not looked at, and its names are found.
TEST(SentenceEncoder, TheBodyOfAClassifierIsOne) {
  const std::vector<std::string> texts = {"a fine day", "a fine day", "far too long for this"};
  for (const char* name :
       {"bert_emotions", "distilbert_cased", "roberta_two_labels", "xlm_roberta"}) {
    testing::internal::CaptureStderr();
    const auto vectors = load(model_folder(name))->embed(texts);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << name;
    EXPECT_NEAR(at::dot(vectors[0], vectors[1]).item<double>(), 1.0, 1e-5) << name;
    EXPECT_LT(at::dot(vectors[0], vectors[2]).item<double>(), 0.999) << name;
  }
}

// ---- other folders ------------------------------------------------------------------------------

class SentenceFolder : public ScratchFolderTest {
 protected:
  void SetUp() override {
    fs::copy(model_folder(kSentences), folder_,
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }

  std::string error() const {
    return data_error_of([this] { load(folder_); });
  }
};

TEST_F(SentenceFolder, TheFirstTokenIsTheOtherPooling) {
  write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true})");
  const Expected expected = read_expected();
  EXPECT_TRUE(is_close(load(folder_)->embed(expected.texts), expected.first));
}

TEST_F(SentenceFolder, WithoutModulesTheMeanOfAllTokensIsTaken) {
  fs::remove(folder_ / "modules.json");
  fs::remove_all(folder_ / "1_Pooling");
  const Expected expected = read_expected();
  EXPECT_TRUE(is_close(load(folder_)->embed(expected.texts), expected.mean));
}

TEST_F(SentenceFolder, WithoutAVocabularyItTellsWhatIsExpected) {
  fs::remove(folder_ / "vocab.txt");
  EXPECT_EQ(message_of<DataError>([this] { load(folder_); }),
            "[load_tokenizer] " + folder_.string() +
                ": no tokenizer found, expected tokenizer.json, or vocab.txt, in this folder.");
}

TEST_F(SentenceFolder, ADecoderIsNone) {
  write("config.json", R"({"model_type": "llama"})");
  EXPECT_EQ(error(),
            "[encoder_config] config.json: 'model_type' is 'llama', expected bert, distilbert, "
            "roberta or xlm-roberta.");
}

TEST(SentenceEncoder, NoFolderIsToldAsSuch) {
  EXPECT_EQ(message_of<DataError>([] { load("nowhere"); }),
            "[load_sentence_encoder] nowhere: no such folder, expected a sentence encoder's "
            "folder.");
}

}  // namespace sentence_encoder_test
}  // namespace cpx::models
