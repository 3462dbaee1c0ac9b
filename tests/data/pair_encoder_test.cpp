// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/pair_encoder.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "piece_tokenizer.h"
#include "tests/support/errors.h"

namespace cpx::data {
namespace pair_encoder_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::message_of;
using tokenizer::PromptTemplate;
using tokenizer::TokenId;

constexpr auto kBos = ByteTokenizer::kBos;
constexpr auto kEos = ByteTokenizer::kEos;
constexpr TokenId kPiece = PieceTokenizer::kFirstPiece;

struct Settings {
  std::vector<std::string> pieces = {};
  bool adds_bos = true;
  bool adds_eos = false;
  EncodeOptions encode = {.max_tokens = 0};
  int64_t max_prompt_tokens = 0;
};

PairEncoder make(const Settings& settings) {
  auto tokenizer = std::make_shared<PieceTokenizer>(settings.pieces);
  tokenizer->adds_bos = settings.adds_bos;
  tokenizer->adds_eos = settings.adds_eos;
  return {TextEncoder(std::move(tokenizer), settings.encode), settings.max_prompt_tokens};
}

EncodedPair encode(const Settings& settings, const std::string& prompt,
                   const std::vector<std::string>& answers) {
  return make(settings).encode(prompt, answers);
}

std::string decoded(const Settings& settings, const std::vector<TokenId>& ids) {
  return make(settings).tokenizer().decode(ids, /*skip_special_tokens=*/false);
}

TEST(PairEncoder, PromptAndAnswersAreSplitWhereThePromptEnds) {
  const EncodedPair pair = encode({}, "ab", {"c", "de"});
  EXPECT_THAT(pair.prompt, ElementsAre(kBos, 'a', 'b'));
  ASSERT_EQ(pair.answers.size(), 2);
  EXPECT_THAT(pair.answers[0].ids, ElementsAre('c', kEos));
  EXPECT_THAT(pair.answers[1].ids, ElementsAre('d', 'e', kEos));
  EXPECT_FALSE(pair.is_prompt_cut);
  EXPECT_FALSE(pair.answers[0].is_cut);
  EXPECT_THAT(pair.whole_text(1), ElementsAre(kBos, 'a', 'b', 'd', 'e', kEos));
  EXPECT_EQ(pair.num_predicted(0), 2);
  EXPECT_EQ(pair.num_predicted(1), 3);
}

// " Yes" (300) and " No" (301) take the space that ends the prompt.
TEST(PairEncoder, TheSpaceAtThePromptsEndBelongsToTheAnswer) {
  const EncodedPair pair = encode({.pieces = {" Yes", " No"}}, "a: ", {"Yes", "No"});
  EXPECT_THAT(pair.prompt, ElementsAre(kBos, 'a', ':'));
  EXPECT_THAT(pair.answers[0].ids, ElementsAre(kPiece, kEos));
  EXPECT_THAT(pair.answers[1].ids, ElementsAre(kPiece + 1, kEos));
}

// Only the rejected answer leaves the space a token of its own: the pair shares what is before it.
TEST(PairEncoder, AMergeInOneAnswerShortensThePromptOfAll) {
  const EncodedPair pair = encode({.pieces = {" Yes"}}, "a: ", {"Yes", "no", "\nx"});
  EXPECT_THAT(pair.prompt, ElementsAre(kBos, 'a', ':'));
  EXPECT_THAT(pair.answers[0].ids, ElementsAre(kPiece, kEos));
  EXPECT_THAT(pair.answers[1].ids, ElementsAre(' ', 'n', 'o', kEos));
  EXPECT_THAT(pair.answers[2].ids, ElementsAre(' ', '\n', 'x', kEos));
}

// "cd" (300) reaches past the prompt "abc"; "abcx" (301) changes all of the prompt's tokens.
TEST(PairEncoder, AMergeAcrossTheBoundaryMayReachFarBack) {
  const Settings settings = {.pieces = {"cd", "abcx"}};
  const EncodedPair one = encode(settings, "abc", {"d", "e"});
  EXPECT_THAT(one.prompt, ElementsAre(kBos, 'a', 'b'));
  EXPECT_THAT(one.answers[0].ids, ElementsAre(kPiece, kEos));
  EXPECT_THAT(one.answers[1].ids, ElementsAre('c', 'e', kEos));
  const EncodedPair other = encode(settings, "abc", {"e", "x"});
  EXPECT_THAT(other.prompt, ElementsAre(kBos));
  EXPECT_THAT(other.answers[0].ids, ElementsAre('a', 'b', 'c', 'e', kEos));
  EXPECT_THAT(other.answers[1].ids, ElementsAre(kPiece + 1, kEos));
}

// What the answers have in common behind the prompt stays theirs.
TEST(PairEncoder, AnswersThatBeginAlikeDoNotLengthenThePrompt) {
  const EncodedPair pair = encode({}, "a", {"bc", "bd"});
  EXPECT_THAT(pair.prompt, ElementsAre(kBos, 'a'));
  EXPECT_THAT(pair.answers[0].ids, ElementsAre('b', 'c', kEos));
}

TEST(PairEncoder, BosStandsOnceInFront) {
  EXPECT_THAT(encode({}, "<s>a", {"b"}).prompt, ElementsAre(kBos, 'a'));
  const Settings without_bos = {.adds_bos = false};
  EXPECT_THAT(encode(without_bos, "<s>a", {"b"}).prompt, ElementsAre(kBos, 'a'));
  EXPECT_THAT(encode(without_bos, "a", {"b"}).prompt, ElementsAre('a'));
}

TEST(PairEncoder, EosStandsOnceAtTheEnd) {
  const Settings with_eos = {.adds_eos = true};
  EXPECT_THAT(encode(with_eos, "a", {"b"}).answers[0].ids, ElementsAre('b', kEos));
  EXPECT_THAT(encode({}, "a", {"b</s>"}).answers[0].ids, ElementsAre('b', kEos));
  const Settings without_eos = {.encode = {.append_eos = false, .max_tokens = 0}};
  EXPECT_THAT(encode(without_eos, "a", {"b"}).answers[0].ids, ElementsAre('b'));
}

TEST(PairEncoder, TheEosOfThePromptIsNotTheAnswers) {
  const EncodedPair pair = encode({}, "a</s>", {"b", "c"});
  EXPECT_THAT(pair.prompt, ElementsAre(kBos, 'a', kEos));
  EXPECT_THAT(pair.answers[0].ids, ElementsAre('b', kEos));
}

TEST(PairEncoder, WithoutAPromptTheFirstTokenIsNotPredicted) {
  const EncodedPair pair = encode({.adds_bos = false}, "", {"ab", "c"});
  EXPECT_THAT(pair.prompt, IsEmpty());
  EXPECT_EQ(pair.num_predicted(0), 2);
  EXPECT_EQ(pair.num_predicted(1), 1);
  const EncodedPair with_bos = encode({}, "", {"ab", "c"});
  EXPECT_THAT(with_bos.prompt, ElementsAre(kBos));
  EXPECT_EQ(with_bos.num_predicted(0), 3);
}

// Prompt of 3 tokens; the answer "cde" has 4 with its EOS.
TEST(PairEncoder, MaxTokensCutsTheAnswerWithItsEos) {
  const auto cut = [](int64_t max_tokens) {
    return encode({.encode = {.max_tokens = max_tokens}}, "ab", {"cde"}).answers[0];
  };
  EXPECT_THAT(cut(7).ids, ElementsAre('c', 'd', 'e', kEos));
  EXPECT_FALSE(cut(7).is_cut);
  EXPECT_THAT(cut(6).ids, ElementsAre('c', 'd', 'e'));
  EXPECT_TRUE(cut(6).is_cut);
  EXPECT_THAT(cut(4).ids, ElementsAre('c'));
  EXPECT_THAT(cut(3).ids, IsEmpty());
  EXPECT_THAT(cut(1).ids, IsEmpty());
  EXPECT_TRUE(cut(1).is_cut);
}

TEST(PairEncoder, MaxPromptTokensCutsThePromptsBeginningButNotItsBos) {
  const EncodedPair pair = encode({.max_prompt_tokens = 3}, "abcd", {"e", "f"});
  EXPECT_THAT(pair.prompt, ElementsAre(kBos, 'c', 'd'));
  EXPECT_TRUE(pair.is_prompt_cut);
  EXPECT_THAT(pair.answers[0].ids, ElementsAre('e', kEos));
  EXPECT_FALSE(pair.answers[0].is_cut);
  const Settings without_bos = {.adds_bos = false, .max_prompt_tokens = 3};
  EXPECT_THAT(encode(without_bos, "abcd", {"e"}).prompt, ElementsAre('b', 'c', 'd'));
  EXPECT_FALSE(encode({.max_prompt_tokens = 5}, "abcd", {"e"}).is_prompt_cut);
}

// The cut prompt of 3 leaves two of five tokens.
TEST(PairEncoder, MaxTokensCountsTheCutPrompt) {
  const EncodedPair pair =
      encode({.encode = {.max_tokens = 5}, .max_prompt_tokens = 3}, "abcdefgh", {"xyz"});
  EXPECT_THAT(pair.prompt, ElementsAre(kBos, 'g', 'h'));
  EXPECT_THAT(pair.answers[0].ids, ElementsAre('x', 'y'));
}

TEST(PairEncoder, APublishedFrameHoldsThePrompt) {
  const Settings settings = {.encode = {.text_template = PromptTemplate::kLlama2, .max_tokens = 0}};
  const EncodedPair pair = encode(settings, "hello", {" you", " me"});
  EXPECT_EQ(decoded(settings, pair.prompt), "<s>[INST] Complete the following: hello [/INST]");
  EXPECT_EQ(decoded(settings, pair.answers[0].ids), " you</s>");
}

TEST(PairEncoder, UnderAChatTemplateTheAnswerBeginsBehindTheGenerationPrompt) {
  Settings settings = {.encode = {.text_template = PromptTemplate::kChat, .max_tokens = 0}};
  settings.encode.chat_template =
      "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ "
      "'<|user|>\n' + message['content'] + eos_token + '\n' }}{% else %}{{ '<|assistant|>\n' + "
      "message['content'] + eos_token + '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt "
      "%}{{ '<|assistant|>\n' }}{% endif %}";
  const EncodedPair pair = encode(settings, "hello", {"you", "me"});
  EXPECT_EQ(decoded(settings, pair.prompt), "<s><|user|>\nhello</s>\n<|assistant|>\n");
  EXPECT_EQ(decoded(settings, pair.answers[0].ids), "you</s>");
  EXPECT_EQ(decoded(settings, pair.answers[1].ids), "me</s>");
}

// The generation prompt opens a thought that a finished turn does not have.
TEST(PairEncoder, AChatAnswerBeginsWhereItsTextLeavesTheGenerationPrompt) {
  Settings settings = {.encode = {.text_template = PromptTemplate::kChat, .max_tokens = 0}};
  settings.encode.chat_template =
      "{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|user|>\n' + "
      "message['content'] }}{% else %}{{ '<|assistant|>\n' + message['content'] }}{% endif %}{% "
      "endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n<think>' }}{% endif %}";
  const EncodedPair pair = encode(settings, "q", {"a", "b"});
  EXPECT_EQ(decoded(settings, pair.prompt), "<|user|>\nq<|assistant|>\n");
  EXPECT_EQ(decoded(settings, pair.answers[1].ids), "b</s>");
}

TEST(PairEncoder, ADrawnPairIsTheChosenAnswerThenTheRejectedOnes) {
  const PreferenceItem item = {.prompt = "p", .chosen = {"a", "b"}, .rejected = {"x", "y", "z"}};
  const EncodedPair pair = make({}).encode(item, {.chosen = 1, .rejected = {2, 0}});
  ASSERT_EQ(pair.answers.size(), 3);
  EXPECT_THAT(pair.answers[0].ids, ElementsAre('b', kEos));
  EXPECT_THAT(pair.answers[1].ids, ElementsAre('z', kEos));
  EXPECT_THAT(pair.answers[2].ids, ElementsAre('x', kEos));
}

TEST(PairEncoder, ANegativePromptLimitIsAnError) {
  EXPECT_EQ(message_of<std::invalid_argument>([] { make({.max_prompt_tokens = -1}); }),
            "[pair_encoder] max_prompt_tokens: got -1, expected 0 or more.");
}

TEST(PairEncoder, APromptWithoutAnAnswerIsAnError) {
  EXPECT_EQ(message_of<std::invalid_argument>([] { encode({}, "p", {}); }),
            "[pair_encoder] got no answer, expected one or more.");
}

// Prompt "ab" and "abcdef" are 3 and 7 tokens with BOS, so that max_tokens 6 leaves the second
// without an answer, and the first with three tokens of it.
TEST(DropUnusable, EmptyAndEqualAnswersAreDroppedAndCounted) {
  std::vector<PreferenceItem> items = {
      {.prompt = "ab", .chosen = {"x", "abcd1"}, .rejected = {"y", "x", "abcd2"}, .where = "one"},
      {.prompt = "abcdef", .chosen = {"x"}, .rejected = {"y", "z"}, .where = "two"},
      {.prompt = "ab", .chosen = {"same"}, .rejected = {"same"}, .where = "three"}};
  const PairEncoder encoder = make({.encode = {.max_tokens = 6}});
  const AnswerCounts counts = drop_unusable(items, encoder);
  EXPECT_THAT(items[0].chosen, ElementsAre("x", "abcd1"));
  EXPECT_THAT(items[0].rejected, ElementsAre("y"));  // "abcd2" equals "abcd1" once both are cut
  EXPECT_THAT(items[1].chosen, IsEmpty());
  EXPECT_THAT(items[1].rejected, IsEmpty());
  EXPECT_THAT(items[2].chosen, ElementsAre("same"));
  EXPECT_THAT(items[2].rejected, IsEmpty());
  EXPECT_EQ(counts.prompts, 3);
  EXPECT_EQ(counts.answers, 10);
  EXPECT_EQ(counts.empty, 3);
  EXPECT_EQ(counts.equal, 3);
  EXPECT_EQ(counts.cut, 2);  // "abcd1" and the chosen "same"
  EXPECT_EQ(counts.cut_prompts, 0);
  EXPECT_EQ(counts.tokens, 5 + 6 + 5 + 6);
  EXPECT_EQ(counts.longest, 6);
  EXPECT_THAT(warning_lines(counts, encoder),
              ElementsAre("[preferences] 3 of 10 answers are left out: no token of theirs is left "
                          "behind their prompt within max_tokens 6 (first: two). Raise max_tokens, "
                          "or lower max_prompt_tokens (now 0; 0: no limit).",
                          "[preferences] 3 of 10 answers are left out: rejected, but equal to a "
                          "chosen one of the same prompt (first: one)."));
}

TEST(DropUnusable, PromptsThatAreCutAreCountedOnce) {
  std::vector<PreferenceItem> items = {
      {.prompt = "ab", .chosen = {"x"}, .rejected = {"y"}, .where = "one"},
      {.prompt = "abcdef", .chosen = {"x"}, .rejected = {"y", "z"}, .where = "two"}};
  const PairEncoder encoder = make({.encode = {.max_tokens = 6}, .max_prompt_tokens = 4});
  const AnswerCounts counts = drop_unusable(items, encoder);
  EXPECT_EQ(counts.cut_prompts, 1);
  EXPECT_EQ(items[1].rejected.size(), 2);
  EXPECT_THAT(warning_lines(counts, encoder),
              ElementsAre("[preferences] 1 of 2 prompts are longer than max_prompt_tokens 4 and "
                          "lose their beginning (first: two)."));
}

TEST(DropUnusable, DataWithoutFaultGivesNoLine) {
  std::vector<PreferenceItem> items = {{.prompt = "ab", .chosen = {"x"}, .rejected = {"y"}}};
  const PairEncoder encoder = make({});
  EXPECT_THAT(warning_lines(drop_unusable(items, encoder), encoder), IsEmpty());
}

// What is left gives pairs with predicted tokens alone, whatever merges: all pairings of prompts
// and answers over a small alphabet with merges, at every limit.
TEST(DropUnusable, EveryPairOfWhatIsLeftHasPredictedTokens) {
  const std::vector<std::string> answers = {"a", "b", "ab", "ba", "bb", "aab"};
  for (int64_t max_tokens = 1; max_tokens <= 6; ++max_tokens) {
    for (const bool adds_bos : {false, true}) {
      for (const char* prompt : {"", "a", "ab", "aaab"}) {
        std::vector<PreferenceItem> items = {
            {.prompt = prompt, .chosen = answers, .rejected = answers}};
        const PairEncoder encoder = make({.pieces = {"aa", "ab", "abab", "ba"},
                                          .adds_bos = adds_bos,
                                          .encode = {.append_eos = false, .max_tokens = max_tokens},
                                          .max_prompt_tokens = 2});
        items[0].rejected.push_back("c");
        drop_unusable(items, encoder);
        for (int64_t c = 0; c < std::ssize(items[0].chosen); ++c) {
          for (int64_t r = 0; r < std::ssize(items[0].rejected); ++r) {
            const EncodedPair pair = encoder.encode(items[0], {.chosen = c, .rejected = {r}});
            EXPECT_GT(pair.num_predicted(0), 0);
            EXPECT_GT(pair.num_predicted(1), 0);
            EXPECT_LE(std::ssize(pair.whole_text(0)), max_tokens);
          }
        }
      }
    }
  }
}

}  // namespace pair_encoder_test
}  // namespace cpx::data
