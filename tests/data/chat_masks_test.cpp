// SPDX-License-Identifier: Apache-2.0
// Conversations as transformers and TRL tokenize them: tests/fixtures/data/chat_masks.json, made by
// scripts/fixtures/make_chat_masks.py.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/data/supervised.h"
#include "cpx/tokenizer/load.h"
#include "tests/support/folders.h"

namespace cpx::data {
namespace chat_masks_test {

using nlohmann::json;
using Ids = std::vector<tokenizer::TokenId>;

const std::filesystem::path kFixtures = CPX_SOURCE_DIR "/tests/fixtures";

const json& fixture() {
  static const json content = json::parse(std::ifstream(kFixtures / "data" / "chat_masks.json"));
  return content;
}

TextEncoder encoder_with(const std::string& tokenizer, const std::string& chat_template) {
  return {tokenizer::load_tokenizer(kFixtures / "tokenizers" / tokenizer),
          {.max_tokens = 0, .chat_template = chat_template}};
}

std::vector<int> mask_of(const MaskedText& text) {
  std::vector<int> mask(text.ids.size(), 0);
  for (const PredictedSpan& span : text.predicted) {
    std::fill(mask.begin() + span.begin, mask.begin() + span.end, 1);
  }
  return mask;
}

class ChatMasks : public testing_support::ScratchFolderTest,
                  public testing::WithParamInterface<std::string> {
 protected:
  // The first of the predicted tokens may be the text's first, which follows none.
  void expect_masks(const std::string& form) const {
    int64_t num_learned = 0;
    for (const json& row : fixture().at("masks").at(GetParam())) {
      const json& messages = fixture().at("conversations").at(row.at("conversation").get<size_t>());
      SCOPED_TRACE(row.at("template").dump() + " " + messages.dump());
      const auto encoder =
          encoder_with(GetParam(), fixture().at("templates").at(row.at("template")).at(form));
      const std::vector<std::filesystem::path> files = {
          write("one.json", json::array({{{"messages", messages}}}).dump())};
      const SupervisedContent content = read_supervised(files, &encoder);
      ASSERT_TRUE(content.faults.empty()) << content.faults.begin()->text();
      const MaskedText text = SupervisedEncoder(encoder).encode(content.texts.at(0));
      auto mask = row.at("mask").get<std::vector<int>>();
      mask.front() = 0;
      EXPECT_EQ(text.ids, row.at("ids").get<Ids>());
      EXPECT_EQ(mask_of(text), mask);
      num_learned += text.num_predicted();
    }
    EXPECT_GT(num_learned, 100);
  }
};

TEST_P(ChatMasks, EqualTransformersWhereTheTemplateMarksThem) { expect_masks("marked"); }

TEST_P(ChatMasks, EqualTransformersByPrefixesOfTheSameTemplateWithoutMarks) {
  expect_masks("plain");
}

TEST_P(ChatMasks, PairsAreSplitAsTrlSplitsThem) {
  for (const json& row : fixture().at("splits").at(GetParam())) {
    const json& pair = fixture().at("pairs").at(row.at("pair").get<size_t>());
    SCOPED_TRACE(row.at("template").dump() + " " + pair.dump());
    const auto chat =
        encoder_with(GetParam(), fixture().at("templates").at(row.at("template")).at("plain"));
    const std::vector<std::filesystem::path> files = {
        write("one.json", json::array({pair}).dump())};
    const PreferenceContent content = read_preferences(files, "{input}", &chat);
    ASSERT_TRUE(content.faults.empty()) << content.faults.begin()->text();
    const PreferenceItem& item = content.items.at(0);
    const PairEncoder encoder(chat, /*max_prompt_tokens=*/0);
    const std::array<std::string, 2> answers = {item.chosen.at(0), item.rejected.at(0)};
    const EncodedPair encoded = encoder.encode(item.prompt, answers, item.frame);
    EXPECT_EQ(encoded.prompt, row.at("prompt").get<Ids>());
    EXPECT_EQ(encoded.answers.at(0).ids, row.at("chosen").get<Ids>());
    EXPECT_EQ(encoded.answers.at(1).ids, row.at("rejected").get<Ids>());
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ChatMasks,
                         testing::Values("gpt2", "llama3", "smollm2", "llama2"),
                         [](const auto& tokenizer) { return tokenizer.param; });

}  // namespace chat_masks_test
}  // namespace cpx::data
