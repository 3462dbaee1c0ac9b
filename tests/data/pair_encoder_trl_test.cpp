// SPDX-License-Identifier: Apache-2.0
// What TRL's DPO trainer makes of preferences: tests/fixtures/data/preferences.json.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/data/pair_encoder.h"
#include "cpx/tokenizer/load.h"
#include "tests/support/names.h"

namespace cpx::data {
namespace pair_encoder_trl_test {

using nlohmann::json;
using tokenizer::TokenId;
using Ids = std::vector<TokenId>;

const std::filesystem::path kFixtures = CPX_SOURCE_DIR "/tests/fixtures";

const json& fixture() {
  static const json content = json::parse(std::ifstream(kFixtures / "data" / "preferences.json"));
  return content;
}

Ids concatenated(Ids first, const Ids& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

class TrlParity : public testing::TestWithParam<std::string> {
 protected:
  PairEncoder encoder(int64_t max_tokens) const {
    return {TextEncoder(tokenizer::load_tokenizer(kFixtures / "tokenizers" / GetParam()),
                        {.max_tokens = max_tokens}),
            /*max_prompt_tokens=*/0};
  }
  EncodedPair encode(size_t pair, int64_t max_tokens) const {
    const json& texts = fixture().at("pairs").at(pair);
    const std::vector<std::string> answers = {texts.at("chosen"), texts.at("rejected")};
    return encoder(max_tokens).encode(texts.at("prompt"), answers);
  }
  const json& expected() const { return fixture().at("tokenizers").at(GetParam()); }
};

// Both tokenize prompt and answer as one text, so the whole texts are equal in any case; the split
// is where TRL's is not shorter than what the offsets give.
TEST_P(TrlParity, TokensAndSplitAreTrlsWhereItKeepsTheWholePrompt) {
  size_t num_equal_splits = 0;
  for (size_t i = 0; i < fixture().at("pairs").size(); ++i) {
    SCOPED_TRACE(fixture().at("pairs").at(i).dump());
    const json& row = expected().at("pairs").at(i);
    const auto prompt = row.at("prompt").get<Ids>();
    const EncodedPair pair = encode(i, /*max_tokens=*/0);
    EXPECT_EQ(pair.whole_text(0), concatenated(prompt, row.at("chosen")));
    EXPECT_EQ(pair.whole_text(1), concatenated(prompt, row.at("rejected")));
    EXPECT_EQ(pair.prompt.size(), row.at("prompt_by_offsets").get<size_t>());
    if (row.at("prompt_by_offsets") != prompt.size()) continue;
    EXPECT_EQ(pair.prompt, prompt);
    EXPECT_EQ(pair.answers.at(0).ids, row.at("chosen").get<Ids>());
    EXPECT_EQ(pair.answers.at(1).ids, row.at("rejected").get<Ids>());
    ++num_equal_splits;
  }
  EXPECT_GE(num_equal_splits, fixture().at("pairs").size() * 3 / 4);
}

TEST_P(TrlParity, CutTextsAreThoseOfTrlsCollator) {
  const auto max_tokens = fixture().at("max_length").get<int64_t>();
  size_t num_cut = 0;
  for (const json& row : expected().at("cut")) {
    const auto number = row.at("pair").get<size_t>();
    SCOPED_TRACE(fixture().at("pairs").at(number).dump());
    const EncodedPair pair = encode(number, max_tokens);
    EXPECT_EQ(pair.whole_text(0), row.at("chosen").at("ids").get<Ids>());
    EXPECT_EQ(pair.whole_text(1), row.at("rejected").at("ids").get<Ids>());
    EXPECT_GE(pair.prompt.size(), row.at("chosen").at("num_prompt").get<size_t>());
    num_cut += pair.answers[0].is_cut || pair.answers[1].is_cut ? 1 : 0;
  }
  EXPECT_GT(num_cut, 0);
}

// TRL drops a pair whose prompt alone fills the limit; here its answers are empty.
TEST_P(TrlParity, PairsThatTrlDropsHaveEmptyAnswers) {
  const auto max_tokens = fixture().at("max_length").get<int64_t>();
  std::vector<bool> is_kept(fixture().at("pairs").size(), false);
  for (const json& row : expected().at("cut")) is_kept.at(row.at("pair").get<size_t>()) = true;
  for (size_t i = 0; i < is_kept.size(); ++i) {
    SCOPED_TRACE(fixture().at("pairs").at(i).dump());
    EXPECT_EQ(encode(i, max_tokens).num_predicted(0) > 0, is_kept[i]);
  }
}

// No peer gives offsets for these: what must hold is that the prompt's tokens spell its beginning,
// and that the next token of an answer reaches past it or is not the other answer's.
TEST(PairEncoderSplit, SentencePieceTokensAreSplitWhereThePromptEnds) {
  for (const char* name :
       {"sentencepiece_legacy", "sentencepiece_new", "sentencepiece_no_prefix"}) {
    const auto tokenizer = tokenizer::load_tokenizer(kFixtures / "tokenizers" / name);
    const PairEncoder encoder(TextEncoder(tokenizer, {.max_tokens = 0}), /*max_prompt_tokens=*/0);
    for (const json& texts : fixture().at("pairs")) {
      SCOPED_TRACE(std::string(name) + " " + texts.dump());
      const auto prompt = texts.at("prompt").get<std::string>();
      const std::vector<std::string> answers = {texts.at("chosen"), texts.at("rejected")};
      const EncodedPair pair = encoder.encode(prompt, answers);
      const auto spelled = [&](Ids ids) {
        return tokenizer->decode(ids, /*skip_special_tokens=*/true);
      };
      EXPECT_TRUE(prompt.starts_with(spelled(pair.prompt)));
      EXPECT_EQ(spelled(pair.whole_text(0)), prompt + answers[0]);
      EXPECT_EQ(spelled(pair.whole_text(1)), prompt + answers[1]);
      const TokenId next = pair.answers.at(0).ids.front();
      const bool reaches_past = spelled(concatenated(pair.prompt, {next})).size() > prompt.size();
      EXPECT_TRUE(reaches_past || next != pair.answers.at(1).ids.front());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, TrlParity,
                         testing::Values("gpt2", "llama3", "smollm2", "llama2", "metaspace_never"),
                         testing_support::by_value);

}  // namespace pair_encoder_trl_test
}  // namespace cpx::data
