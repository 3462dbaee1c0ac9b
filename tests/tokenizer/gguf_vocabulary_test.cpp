// SPDX-License-Identifier: Apache-2.0
// What a GGUF's keys make of its vocabulary. Pieces equal those of the tokenizers package
// (scripts/fixtures/make_gguf_pre_types.py).
#include "cpx/tokenizer/gguf_vocabulary.h"

#include <fstream>
#include <gmock/gmock.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/tokenizer/load.h"
#include "fixture.h"
#include "src/tokenizer/gguf_pre_types.h"
#include "tests/support/names.h"

namespace cpx::tokenizer {
namespace gguf_vocabulary_test {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

json read_fixture(const std::string& name) {
  std::ifstream stream(fixture_folder(name));
  return json::parse(stream);
}

// ---- Words --------------------------------------------------------------------------------------

// A byte of the text is a character of the byte alphabet.
std::vector<size_t> sizes_of_pieces(const PreTokenizer& pre_tokenizer, const std::string& text) {
  PieceList pieces{AlignedText(text)};
  pre_tokenizer(pieces);
  std::vector<size_t> sizes;
  for (const auto& piece : pieces.pieces()) {
    const auto view = pieces.text().view(piece.range);
    sizes.push_back(static_cast<size_t>(std::count_if(view.begin(), view.end(), [](char c) {
      return (static_cast<uint8_t>(c) & 0xC0) != 0x80;
    })));
  }
  return sizes;
}

class GgufPreTypes : public testing::TestWithParam<const char*> {};

TEST_P(GgufPreTypes, CutTheHardTextsAsTheModelsTokenizerDoes) {
  static const json texts = read_fixture("texts.json");
  static const json expected = read_fixture("gguf_pre_types.json");
  const auto type = find_gguf_pre_type(GetParam());
  ASSERT_TRUE(type);
  const json& sizes = expected.at(GetParam());
  ASSERT_EQ(sizes.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(sizes_of_pieces(type->pre_tokenizer, texts[i]), sizes[i].get<std::vector<size_t>>())
        << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Names, GgufPreTypes,
                         testing::Values("gpt-2", "smollm", "llama-bpe", "smaug-bpe", "tekken",
                                         "gpt-4o", "qwen2", "qwen35", "deepseek-llm",
                                         "deepseek-coder", "deepseek-v3", "falcon", "bloom",
                                         "viking", "jais-2", "seed-coder", "bailingmoe",
                                         "minicpm5"),
                         testing_support::by_value);

TEST(GgufPreTypeNames, EachListedNameIsKnownAndNoOther) {
  std::istringstream names(known_gguf_pre_types());
  int num_names = 0;
  for (std::string name; names >> name; ++num_names) {
    if (name.back() == ',') name.pop_back();
    EXPECT_TRUE(find_gguf_pre_type(name)) << name;
  }
  EXPECT_GT(num_names, 40);
  for (const char* name : {"", " ", ",", "gpt", "gpt-2,", "superbpe", "gpt-2, mpt"}) {
    EXPECT_FALSE(find_gguf_pre_type(name)) << name;
  }
}

TEST(GgufPreTypeNames, SomeTakeWholeWordsAndPutBosFirst) {
  const auto flags = [](const char* name) {
    const auto type = find_gguf_pre_type(name);
    return fmt::format("{} {}", type->ignores_merges, type->adds_bos);
  };
  EXPECT_EQ(flags("llama-bpe"), "true true");
  EXPECT_EQ(flags("pixtral"), "true true");
  EXPECT_EQ(flags("tekken"), "true true");
  EXPECT_EQ(flags("minicpm5"), "true false");
  EXPECT_EQ(flags("smaug-bpe"), "false false");
  EXPECT_EQ(flags("qwen2"), "false false");
}

TEST(GgufPreTypeNames, OneThatIsMissingIsWarnedOfAndIsTheDefault) {
  GgufVocabulary vocabulary = read_gguf_vocabulary("gguf_gpt2");
  vocabulary.pre = "default";
  const auto expected = make_tokenizer(vocabulary)->encode("the 12345 (words)").ids;
  vocabulary.pre = "";
  testing::internal::CaptureStderr();
  const auto tokenizer = make_tokenizer(vocabulary);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("[tokenizer] gguf_gpt2.gguf: has no 'tokenizer.ggml.pre', 'default' is "
                        "taken as in llama.cpp. Texts may be cut into other tokens than those that "
                        "the model was trained on."));
  EXPECT_EQ(tokenizer->encode("the 12345 (words)").ids, expected);
}

// ---- Ends ---------------------------------------------------------------------------------------

GgufVocabulary with_tokens(const std::vector<std::string>& tokens) {
  GgufVocabulary vocabulary;
  vocabulary.tokens = tokens;
  return vocabulary;
}

TEST(GgufEnds, AreTheIdsThatTheFileNames) {
  GgufVocabulary vocabulary = with_tokens({"a", "b", "c", "d", "e", "f"});
  EXPECT_THAT(end_of_generation_ids(vocabulary), IsEmpty());
  vocabulary.eos_id = 3;
  vocabulary.eot_id = 1;
  vocabulary.eom_id = 2;
  EXPECT_THAT(end_of_generation_ids(vocabulary), ElementsAre(3, 1, 2));
  vocabulary.fim_pad_id = 0;
  vocabulary.fim_repository_id = 4;
  vocabulary.fim_file_id = 5;
  EXPECT_THAT(end_of_generation_ids(vocabulary), ElementsAre(3, 1, 2, 0, 4, 5));
  vocabulary.eot_id = 3;
  EXPECT_THAT(end_of_generation_ids(vocabulary), ElementsAre(3, 2, 0, 4, 5));
}

TEST(GgufEnds, AreFoundByTheirSpelling) {
  EXPECT_THAT(end_of_generation_ids(with_tokens({"a", "<|eot_id|>", "<|im_end|>", "</s>", "<s>"})),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(
      end_of_generation_ids(with_tokens({"<end_of_turn>", "<|im_start|>", "<|endoftext|>"})),
      ElementsAre(0, 2));
  EXPECT_THAT(
      end_of_generation_ids(with_tokens({"<\xEF\xBD\x9C"
                                         "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
                                         "<|eom_id|>", "[EOS]", "im_end"})),
      ElementsAre(0, 1, 2));
  // Of a code model: by their spelling unless the file has an id.
  GgufVocabulary code = with_tokens({"<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "x"});
  EXPECT_THAT(end_of_generation_ids(code), ElementsAre(0, 1, 2));
  code.fim_pad_id = 3;
  EXPECT_THAT(end_of_generation_ids(code), ElementsAre(3, 1, 2));
}

TEST(GgufEnds, OfModelsThatGoOnBehindOneAreTheOthers) {
  EXPECT_THAT(end_of_generation_ids(with_tokens({"<|end|>", "<|return|>", "<|call|>"})),
              ElementsAre(1, 2));
  EXPECT_THAT(end_of_generation_ids(with_tokens({"<|end|>", "<|flush|>", "<|calls|>"})),
              ElementsAre(1, 2));
  EXPECT_THAT(end_of_generation_ids(with_tokens({"<|end|>", "<|return|>"})), ElementsAre(0, 1));
  EXPECT_THAT(end_of_generation_ids(with_tokens({"</s>", "<|tool_response>"})), ElementsAre(1));
}

TEST(GgufEnds, OutsideTheVocabularyAreLeftOut) {
  GgufVocabulary vocabulary = with_tokens({"a", "b"});
  vocabulary.eos_id = 2;
  vocabulary.eot_id = -1;
  vocabulary.eom_id = int64_t{1} << 40;
  EXPECT_THAT(end_of_generation_ids(vocabulary), IsEmpty());
  // Without a vocabulary nothing is known of its size.
  vocabulary.tokens.clear();
  EXPECT_THAT(end_of_generation_ids(vocabulary), ElementsAre(2, int64_t{1} << 40));
}

TEST(GgufEnds, AreSpecialWhateverTypeTheFileGivesThem) {
  GgufVocabulary vocabulary = read_gguf_vocabulary("gguf_gpt2");
  vocabulary.pre = "gpt-2";
  vocabulary.token_types.clear();  // all plain
  const auto tokenizer = make_tokenizer(vocabulary);
  const auto end = tokenizer->find("<|im_end|>");
  ASSERT_TRUE(end);
  EXPECT_TRUE(tokenizer->is_special(*end));
  EXPECT_FALSE(tokenizer->is_special(*tokenizer->find("<|im_start|>")));
  EXPECT_EQ(tokenizer->encode("<|im_end|>").ids, (std::vector<TokenId>{*end}));
}

// ---- What is not needed -------------------------------------------------------------------------

TEST(GgufVocabularyKeys, SpecialIdsOutsideTheVocabularyAreWarnedOfAndNotUsed) {
  GgufVocabulary vocabulary = read_gguf_vocabulary("gguf_gpt2");
  vocabulary.pre = "gpt-2";
  vocabulary.bos_id = 703;
  vocabulary.eos_id = -1;
  vocabulary.add_bos = vocabulary.add_eos = true;
  testing::internal::CaptureStderr();
  const auto tokenizer = make_tokenizer(vocabulary);
  const auto log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.bos_token_id' is 703 and "
                             "is not used: the vocabulary has 703 tokens."));
  EXPECT_THAT(log, HasSubstr("[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.eos_token_id' is -1 and "
                             "is not used: the vocabulary has 703 tokens."));
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer->eos_id(), std::nullopt);
  EXPECT_FALSE(tokenizer->encode("the").ids.empty());
}

TEST(GgufVocabularyKeys, MoreTypesAndScoresThanTokensAreNotLookedAt) {
  GgufVocabulary bytes = read_gguf_vocabulary("gguf_gpt2");
  bytes.pre = "gpt-2";
  const auto expected = make_tokenizer(bytes)->encode("the words").ids;
  bytes.token_types.push_back(1);
  bytes.scores = {1.0f};  // a byte-level vocabulary has no use for them
  EXPECT_EQ(make_tokenizer(bytes)->encode("the words").ids, expected);

  GgufVocabulary pieces = read_gguf_vocabulary("gguf_llama");
  const auto expected_pieces = make_tokenizer(pieces)->encode("the words").ids;
  pieces.scores.push_back(0.0f);
  pieces.token_types.push_back(3);
  pieces.pre = "of another kind of vocabulary";
  EXPECT_EQ(make_tokenizer(pieces)->encode("the words").ids, expected_pieces);
}

TEST(GgufVocabularyKeys, TypesThatLlamaCppDoesNotKnowAreThoseOfPlainTokens) {
  GgufVocabulary vocabulary = read_gguf_vocabulary("gguf_gpt2");
  vocabulary.pre = "gpt-2";
  const auto expected = make_tokenizer(vocabulary)->encode("the words").ids;
  for (const int32_t type : {0, 7, 9, -4}) {
    vocabulary.token_types[100] = type;
    const auto tokenizer = make_tokenizer(vocabulary);
    EXPECT_EQ(tokenizer->encode("the words").ids, expected) << type;
    EXPECT_FALSE(tokenizer->is_special(100)) << type;
  }
}

TEST(GgufVocabularyKeys, EmptyTokensArePlacesWithoutOne) {
  GgufVocabulary vocabulary = read_gguf_vocabulary("gguf_gpt2");
  vocabulary.pre = "gpt-2";
  const auto expected = make_tokenizer(vocabulary)->encode("the words").ids;
  for (const char* token : {"", "", "last"}) {
    vocabulary.tokens.push_back(token);
    vocabulary.token_types.push_back(1);
  }
  const auto tokenizer = make_tokenizer(vocabulary);
  EXPECT_EQ(tokenizer->vocabulary_size(), 706);
  EXPECT_EQ(tokenizer->encode("the words").ids, expected);
  EXPECT_EQ(tokenizer->piece(703), "");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{703, 705}, /*skip_special_tokens=*/false),
            "last");
}

}  // namespace gguf_vocabulary_test
}  // namespace cpx::tokenizer
