// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/sentence_config.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/folders.h"

namespace cpx::formats {
namespace sentence_config_test {

using nlohmann::json;
using testing_support::ScratchFolderTest;

// A folder as sentence-transformers writes it.
class SentenceConfigTest : public ScratchFolderTest {
 protected:
  SentenceConfigTest() {
    write("config.json", json{{"model_type", "bert"}}.dump());
    write_modules({{"", "Transformer"}, {"1_Pooling", "Pooling"}, {"2_Normalize", "Normalize"}});
    write_pooling({{"pooling_mode_mean_tokens", true}});
  }

  void write_modules(const std::vector<std::pair<std::string, std::string>>& modules) const {
    json list = json::array();
    for (const auto& [path, name] : modules) {
      list.push_back({{"path", path}, {"type", "sentence_transformers.models." + name}});
    }
    write("modules.json", list.dump());
  }

  void write_pooling(const json& modes) const {
    json all = {{"word_embedding_dimension", 768}, {"pooling_mode_cls_token", false}};
    all.update(modes);
    write("1_Pooling/config.json", all.dump());
  }

  std::string error() const {
    return data_error_of([&] { read_sentence_config(folder_); });
  }
};

TEST_F(SentenceConfigTest, ModulesNameTheEncoderAndItsPooling) {
  const SentenceConfig config = read_sentence_config(folder_);
  EXPECT_EQ(config.encoder.family, EncoderFamily::kBert);
  EXPECT_EQ(config.pooling, SentencePooling::kMean);
  EXPECT_EQ(config.max_tokens, 512);
  write_pooling({{"pooling_mode_cls_token", true}});
  EXPECT_EQ(read_sentence_config(folder_).pooling, SentencePooling::kFirstToken);
}

TEST_F(SentenceConfigTest, TheEncoderMayLieInAFolderOfItsOwn) {
  write("0_Transformer/config.json", json{{"model_type", "distilbert"}}.dump());
  write("0_Transformer/sentence_bert_config.json", R"({"max_seq_length": 128})");
  write_modules({{"0_Transformer", "Transformer"}, {"1_Pooling", "Pooling"}});
  const SentenceConfig config = read_sentence_config(folder_);
  EXPECT_EQ(config.encoder_folder, folder_ / "0_Transformer");
  EXPECT_EQ(config.encoder.family, EncoderFamily::kDistilBert);
  EXPECT_EQ(config.max_tokens, 128);
}

TEST_F(SentenceConfigTest, AnEncoderAloneIsPooledByTheMean) {
  std::filesystem::remove(folder_ / "modules.json");
  EXPECT_EQ(read_sentence_config(folder_).pooling, SentencePooling::kMean);
}

TEST_F(SentenceConfigTest, NewerFilesNameTheMode) {
  write_pooling({{"pooling_mode", "cls"}});
  EXPECT_EQ(read_sentence_config(folder_).pooling, SentencePooling::kFirstToken);
  write_pooling({{"pooling_mode", "lasttoken"}});
  EXPECT_EQ(error(),
            "[sentence_config] 1_Pooling/config.json: 'pooling_mode' is 'lasttoken', expected mean "
            "or cls.");
}

TEST_F(SentenceConfigTest, AnotherPoolingIsAnError) {
  write_pooling({{"pooling_mode_max_tokens", true}});
  EXPECT_EQ(error(),
            "[sentence_config] 1_Pooling/config.json: 'pooling_mode_max_tokens' is true, expected "
            "pooling_mode_mean_tokens or pooling_mode_cls_token alone.");
}

TEST_F(SentenceConfigTest, TwoPoolingsAreAnError) {
  write_pooling({{"pooling_mode_mean_tokens", true}, {"pooling_mode_cls_token", true}});
  EXPECT_EQ(error(),
            "[sentence_config] 1_Pooling/config.json: 'pooling_mode_mean_tokens' is true, expected "
            "pooling_mode_mean_tokens or pooling_mode_cls_token alone.");
}

TEST_F(SentenceConfigTest, AnotherModuleIsAnError) {
  write_modules({{"", "Transformer"}, {"1_Pooling", "Pooling"}, {"2_Dense", "Dense"}});
  EXPECT_EQ(error(),
            "[sentence_config] modules.json: '[2].type' is 'sentence_transformers.models.Dense', "
            "expected Transformer, Pooling or Normalize (of sentence_transformers).");
}

TEST_F(SentenceConfigTest, AnotherArchitectureIsAnError) {
  write("config.json", json{{"model_type", "mpnet"}}.dump());
  EXPECT_EQ(error(),
            "[encoder_config] config.json: 'model_type' is 'mpnet', expected bert, distilbert, "
            "roberta or xlm-roberta.");
}

TEST_F(SentenceConfigTest, LimitsThatCannotBeAreErrors) {
  write("sentence_bert_config.json", R"({"max_seq_length": 2})");
  EXPECT_EQ(error(),
            "[sentence_config] sentence_bert_config.json: 'max_seq_length' is 2, expected 3 or "
            "more.");
  write("sentence_bert_config.json", R"({"do_lower_case": true})");
  EXPECT_EQ(error(),
            "[sentence_config] sentence_bert_config.json: 'do_lower_case' is true, expected "
            "false.");
}

}  // namespace sentence_config_test
}  // namespace cpx::formats
