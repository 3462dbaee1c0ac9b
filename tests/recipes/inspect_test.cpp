// SPDX-License-Identifier: Apache-2.0
#include "src/recipes/inspect.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/tokenizer/load.h"

namespace cpx::recipes {
namespace inspect_test {

class InspectTest : public testing::Test {
 protected:
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_ =
      tokenizer::load_tokenizer(CPX_SOURCE_DIR "/tests/fixtures/models/llama_gqa");
};

TEST_F(InspectTest, ColumnsOfPiecesIdsAndMaskAreAligned) {
  // Ids 0 and 2 are the control tokens <|endoftext|> and <|im_end|>.
  const std::vector<tokenizer::TokenId> ids = {0, 2};
  EXPECT_EQ(token_table(*tokenizer_, ids),
            "  pieces  <|endoftext|> <|im_end|>\n"
            "  ids     0             2\n"
            "  mask    0             1\n");
}

TEST_F(InspectTest, LongTextsWrapAndOnlyTheFirstTokenIsMasked) {
  const std::vector<tokenizer::TokenId> ids(6, 2);
  EXPECT_EQ(token_table(*tokenizer_, ids, /*width=*/45),
            "  pieces  <|im_end|> <|im_end|> <|im_end|>\n"
            "  ids     2          2          2\n"
            "  mask    0          1          1\n"
            "  pieces  <|im_end|> <|im_end|> <|im_end|>\n"
            "  ids     2          2          2\n"
            "  mask    1          1          1\n");
}

TEST_F(InspectTest, APairShowsItsPromptOnceAndTheAnswersMasks) {
  const data::EncodedPair pair = {.prompt = {1, 0},
                                  .is_prompt_cut = true,
                                  .answers = {{.ids = {0, 2}}, {.ids = {1}, .is_cut = true}}};
  EXPECT_EQ(pair_tables(*tokenizer_, pair),
            "prompt of all answers: 2 tokens, cut\n"
            "  pieces  <|im_start|> <|endoftext|>\n"
            "  ids     1            0\n"
            "  mask    0            0\n"
            "chosen: 2 tokens, 2 predicted\n"
            "  pieces  <|endoftext|> <|im_end|>\n"
            "  ids     0             2\n"
            "  mask    1             1\n"
            "rejected: 1 tokens, 1 predicted, cut\n"
            "  pieces  <|im_start|>\n"
            "  ids     1\n"
            "  mask    1\n");
}

TEST_F(InspectTest, WithoutAPromptTheFirstTokenIsMasked) {
  EXPECT_EQ(pair_tables(*tokenizer_, {.answers = {{.ids = {0, 2}}}}),
            "prompt of all answers: 0 tokens\n"
            "chosen: 2 tokens, 1 predicted\n"
            "  pieces  <|endoftext|> <|im_end|>\n"
            "  ids     0             2\n"
            "  mask    0             1\n");
}

TEST_F(InspectTest, OfSpansTheTokensInThemArePredicted) {
  const std::vector<tokenizer::TokenId> ids = {0, 2, 1, 2};
  const std::vector<data::PredictedSpan> predicted = {{.begin = 1, .end = 2},
                                                      {.begin = 3, .end = 4}};
  EXPECT_EQ(token_table(*tokenizer_, ids, predicted),
            "  pieces  <|endoftext|> <|im_end|> <|im_start|> <|im_end|>\n"
            "  ids     0             2          1            2\n"
            "  mask    0             1          0            1\n");
}

TEST_F(InspectTest, NoTokensGiveNoTable) { EXPECT_EQ(token_table(*tokenizer_, {}), ""); }

}  // namespace inspect_test
}  // namespace cpx::recipes
