// SPDX-License-Identifier: Apache-2.0
// Tokenizers of encoders: ids equal those of transformers on the hard texts
// (scripts/fixtures/make_classifiers.py), and what users may hand over instead of one.
#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "cpx/tokenizer/load.h"
#include "fixture.h"
#include "src/tokenizer/bert_text.h"
#include "src/tokenizer/sentencepiece_tokenizer.h"
#include "src/tokenizer/unigram.h"
#include "src/tokenizer/word_piece.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::tokenizer {
namespace encoder_tokenizer_test {

namespace fs = std::filesystem;

using nlohmann::json;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;
using Ids = std::vector<TokenId>;

std::vector<std::string> hard_texts() {
  return json::parse(read_text_file(fixture_folder("texts.json")));
}

void expect_equal_ids(const Tokenizer& tokenizer, const std::string& model) {
  const auto texts = hard_texts();
  const json expected =
      json::parse(read_text_file(fixture("models/" + model + "/expected/ids.json")));
  ASSERT_EQ(texts.size(), expected.size());
  size_t num_compared = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (expected[i].is_null()) continue;
    EXPECT_EQ(tokenizer.encode(texts[i]).ids, expected[i].get<Ids>()) << json(texts[i]);
    ++num_compared;
  }
  EXPECT_GT(num_compared, 380);
}

// ---- ids ----------------------------------------------------------------------------------------

TEST(WordPieceParity, HardTextsEqualThePeerByTokenizerJson) {
  const auto tokenizer =
      load_encoder_tokenizer(fixture("models/bert_emotions"), EncoderTokenizer::kWordPiece);
  expect_equal_ids(*tokenizer, "bert_emotions");
}

TEST(WordPieceParity, HardTextsEqualThePeerByVocabTxtWithCase) {
  const auto tokenizer =
      load_encoder_tokenizer(fixture("models/bert_vocab_txt"), EncoderTokenizer::kWordPiece);
  expect_equal_ids(*tokenizer, "bert_vocab_txt");
}

TEST(UnigramParity, HardTextsEqualThePeerByTokenizerJson) {
  const auto tokenizer =
      load_encoder_tokenizer(fixture("models/xlm_roberta"), EncoderTokenizer::kUnigram);
  expect_equal_ids(*tokenizer, "xlm_roberta");
}

class UnigramFolder : public ScratchFolderTest {
 protected:
  void SetUp() override {
    for (const char* name : {"tokenizer_config.json", "sentencepiece.bpe.model"}) {
      fs::copy(fixture("models/xlm_roberta") / name, folder_ / name);
    }
  }
};

TEST_F(UnigramFolder, TheSentencepieceFileAloneGivesTheSameIds) {
  expect_equal_ids(*load_encoder_tokenizer(folder_, EncoderTokenizer::kUnigram), "xlm_roberta");
}

TEST_F(UnigramFolder, AModelOfAnotherTypeIsAnError) {
  write("sentencepiece.bpe.model",
        make_sentencepiece_model({{"<unk>", 0, SentencePieceType::kUnknown}, {"a", 0}},
                                 /*adds_dummy_prefix=*/true));
  EXPECT_EQ(data_error_of([&] { load_encoder_tokenizer(folder_, EncoderTokenizer::kUnigram); }),
            "[tokenizer] sentencepiece.bpe.model: is a sentencepiece model of type 2, expected 1 "
            "(unigram).");
}

TEST_F(UnigramFolder, WithoutATokenizerItTellsWhatIsExpected) {
  fs::remove(folder_ / "sentencepiece.bpe.model");
  EXPECT_EQ(
      message_of<DataError>([&] { load_encoder_tokenizer(folder_, EncoderTokenizer::kUnigram); }),
      "[load_tokenizer] " + folder_.string() +
          ": no tokenizer found, expected tokenizer.json, or sentencepiece.bpe.model, in this "
          "folder.");
}

// The way with the largest sum, not the longest token first.
TEST(Unigram, TheBestSumWins) {
  const Unigram model({{"<unk>", 0.0}, {"a", -1.0}, {"ab", -5.0}, {"bc", -1.5}, {"c", -1.0}},
                      {.unknown_id = 0});
  std::vector<WordToken> tokens;
  model.encode("abc", tokens);
  ASSERT_EQ(tokens.size(), 2);
  EXPECT_EQ(tokens[0].id, 1);
  EXPECT_EQ(tokens[1].id, 3);
}

TEST(Unigram, NeighboursThatAreUnknownAreOneToken) {
  const Unigram model({{"<unk>", 0.0}, {"a", -1.0}}, {.unknown_id = 0});
  std::vector<WordToken> tokens;
  model.encode("xyaz", tokens);
  ASSERT_EQ(tokens.size(), 3);
  EXPECT_EQ(tokens[0].id, 0);
  EXPECT_EQ(tokens[0].size, 2);
  EXPECT_EQ(tokens[1].id, 1);
  EXPECT_EQ(tokens[2].id, 0);
}

TEST(WordPiece, AWordThatItCannotSpellIsUnknownAsAWhole) {
  const WordPiece model({{"[UNK]", 0}, {"un", 1}, {"##do", 2}, {"do", 3}}, {.unknown_id = 0});
  const auto ids_of = [&](const std::string& word) {
    std::vector<WordToken> tokens;
    model.encode(word, tokens);
    Ids ids;
    for (const WordToken& token : tokens) ids.push_back(token.id);
    return ids;
  };
  EXPECT_EQ(ids_of("undo"), (Ids{1, 2}));
  EXPECT_EQ(ids_of("undox"), (Ids{0}));
  EXPECT_EQ(ids_of("dodo"), (Ids{3, 2}));
  EXPECT_EQ(ids_of("un" + std::string(98, 'd')), (Ids{0}));
}

TEST(WordPiece, AWordOfMoreThanAHundredCharactersIsUnknown) {
  const WordPiece model({{"[UNK]", 0}, {"\u00e9", 1}, {"##\u00e9", 2}}, {.unknown_id = 0});
  std::string word;
  for (int i = 0; i < 100; ++i) word += "\u00e9";
  std::vector<WordToken> tokens;
  model.encode(word, tokens);
  EXPECT_EQ(tokens.size(), 100);
  tokens.clear();
  model.encode(word + "\u00e9", tokens);
  EXPECT_EQ(tokens.size(), 1);
}

TEST(BertText, FlagsSayWhatBecomesOfCharacters) {
  const auto cleaned = [](const BertTextOptions& options, const std::string& text) {
    return normalize(bert_normalizer(options), text);
  };
  EXPECT_EQ(cleaned({}, "\u00c9T\u00c9\tx\x01\u200by"), "ete xy");
  EXPECT_EQ(cleaned({.lowers_case = false}, "\u00c9T\u00c9"), "\u00c9T\u00c9");
  EXPECT_EQ(cleaned({.strips_accents = true, .lowers_case = false}, "\u00c9T\u00c9"), "ETE");
  EXPECT_EQ(cleaned({.strips_accents = false}, "\u00c9T\u00c9 \u0130"), "\u00e9t\u00e9 i\u0307");
  EXPECT_EQ(cleaned({}, "a\u4f60b"), "a \u4f60 b");
  EXPECT_EQ(cleaned({.spaces_ideographs = false}, "a\u4f60b"), "a\u4f60b");
  EXPECT_EQ(cleaned({}, "\ud55c\uac00"), "\u1112\u1161\u11ab\u1100\u1161");
}

// ---- folders ------------------------------------------------------------------------------------

class WordPieceFolder : public ScratchFolderTest {
 protected:
  WordPieceFolder() { write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nA\n"); }

  std::shared_ptr<const Tokenizer> load() const {
    return load_encoder_tokenizer(folder_, EncoderTokenizer::kWordPiece);
  }
  std::string error() const {
    return data_error_of([this] { load(); });
  }
};

TEST_F(WordPieceFolder, VocabTxtAloneLowersCase) {
  EXPECT_EQ(load()->encode("aB A [MASK] x").ids, (Ids{2, 5, 6, 5, 4, 1, 3}));
}

TEST_F(WordPieceFolder, TheConfigMayKeepCase) {
  write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_EQ(load()->encode("aB A").ids, (Ids{2, 1, 7, 3}));
}

TEST_F(WordPieceFolder, TextsAreMadeOfTokensAgain) {
  const auto tokenizer = load();
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab a [SEP]").ids, /*skip_special_tokens=*/true),
            "ab a");
}

TEST_F(WordPieceFolder, AVocabularyWithoutTheSpecialTokensIsAnError) {
  write("vocab.txt", "[PAD]\n[CLS]\n[SEP]\na\n");
  EXPECT_EQ(error(),
            "[tokenizer] vocab.txt: BERT's special token is '[UNK]', which is not in the "
            "vocabulary.");
  write("vocab.txt", "[PAD]\n[UNK]\n[SEP]\na\n");
  EXPECT_EQ(error(),
            "[tokenizer] vocab.txt: BERT's special token is '[CLS]', which is not in the "
            "vocabulary.");
}

TEST_F(WordPieceFolder, AnEmptyVocabularyIsAnError) {
  write("vocab.txt", "");
  EXPECT_EQ(error(),
            "[tokenizer] vocab.txt: got 0 lines, expected 1 to 16777216 with a token each.");
}

TEST_F(WordPieceFolder, AnotherClassHasTheStepsOfItsFile) {
  json content = json::parse(read_text_file(fixture("models/bert_emotions/tokenizer.json")));
  content["normalizer"]["lowercase"] = false;
  write("tokenizer.json", content.dump());
  const TokenId unknown = *load()->find("[UNK]");
  EXPECT_NE(load()->encode("THE").ids[1], unknown);
  write("tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_EQ(load()->encode("THE").ids[1], unknown);
}

TEST_F(WordPieceFolder, ATokenizerWithoutItsSpecialTokensIsAnError) {
  json content = json::parse(read_text_file(fixture("models/bert_emotions/tokenizer.json")));
  content["post_processor"] = nullptr;
  write("tokenizer.json", content.dump());
  write("tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_EQ(message_of<DataError>([this] { load(); }),
            "[load_tokenizer] " + folder_.string() +
                ": the tokenizer adds 0 tokens to a text, expected 2: [CLS] and [SEP] "
                "(tokenizer.json: post_processor).");
}

using BadPart = testing_support::BadInput<json>;

// Parts of a tokenizer.json that are set anew.
class BadEncoderJson : public WordPieceFolder, public testing::WithParamInterface<BadPart> {};

TEST_P(BadEncoderJson, IsNamed) {
  json content = {{"model",
                   {{"type", "WordPiece"},
                    {"unk_token", "[UNK]"},
                    {"vocab", {{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}}}}}};
  content.merge_patch(GetParam().input);
  write("tokenizer.json", content.dump());
  EXPECT_EQ(error(), "[tokenizer] tokenizer.json: " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadEncoderJson,
    testing::Values(
        BadPart{"UnknownTokenThatIsNone",
                {{"model", {{"unk_token", "[NONE]"}}}},
                "'model.unk_token' is '[NONE]', expected a token of 'model.vocab'."},
        BadPart{"NoUnknownToken",
                {{"model", {{"unk_token", nullptr}}}},
                "'model.unk_token' is missing, expected a token of 'model.vocab'."},
        BadPart{"UnigramWithoutScores",
                {{"model", {{"type", "Unigram"}, {"vocab", {"a"}}}}},
                "'model.vocab[0]' is 'a', expected a list of token and score."},
        BadPart{"UnknownIdThatIsNone",
                {{"model",
                  {{"type", "Unigram"},
                   {"vocab", json::array({json::array({"a", -1.0})})},
                   {"unk_id", 1}}}},
                "'model.unk_id' is 1, expected an integer from 0 to 0."},
        BadPart{"TableThatIsNotBase64",
                {{"normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "?"}}}},
                "'normalizer.precompiled_charsmap' is '?', expected a table in base64."},
        BadPart{"TableThatIsCut",
                {{"normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "AAEAAAAA"}}}},
                "'normalizer.precompiled_charsmap': the table of characters has 6 bytes and names "
                "an array of 256, expected an array that fits. It is damaged."}),
    testing_support::by_value);

}  // namespace encoder_tokenizer_test
}  // namespace cpx::tokenizer
