// SPDX-License-Identifier: Apache-2.0
// What users may hand over instead of a tokenizer, and the one line they get for it.
#include "tests/support/errors.h"

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/tokenizer/load.h"
#include "fixture.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::tokenizer {
namespace errors_test {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

json small_tokenizer() {
  return json::parse(R"({
    "added_tokens": [{"id": 3, "content": "<s>", "special": true}],
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
  })");
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

class BadTokenizer : public ScratchFolderTest {
 protected:
  // The error of loading `content` as tokenizer.json, without the folder's name.
  std::string error_of_json(const std::string& content) const {
    write("tokenizer.json", content);
    return error_of_folder();
  }
  std::string error_of_json(const json& content) const { return error_of_json(content.dump()); }

  std::string error_of_folder() const {
    return shown(message_of<DataError>([&] { load_tokenizer(folder_); }));
  }

  // A message without the folder's name; it has one line.
  std::string shown(const std::string& message) const {
    EXPECT_THAT(message, Not(HasSubstr("\n")));
    return without_folder(message);
  }
};

TEST_F(BadTokenizer, SmallOneIsGood) {
  write("tokenizer.json", small_tokenizer().dump());
  EXPECT_EQ(load_tokenizer(folder_)->encode("abc<s>").ids, (std::vector<TokenId>{2, 3}));
}

TEST_F(BadTokenizer, FolderWithoutTokenizer) {
  EXPECT_EQ(message_of<DataError>([&] { load_tokenizer(folder_); }),
            "[load_tokenizer] " + folder_.string() +
                ": no tokenizer found, expected tokenizer.json or tokenizer.model in this folder.");
}

TEST_F(BadTokenizer, NotJson) {
  EXPECT_THAT(error_of_json(std::string("{\"model\": ")),
              HasSubstr("[tokenizer] tokenizer.json: is not valid JSON: "));
  EXPECT_THAT(error_of_json(std::string()), HasSubstr("tokenizer.json: is not valid JSON: "));
  EXPECT_EQ(error_of_json(std::string("{\"a\": \"\xFF\"}")),
            "[tokenizer.json: line 1] not UTF-8: got the byte 0xFF at offset 7, expected UTF-8. "
            "Convert the file, for example with iconv.");
  EXPECT_EQ(error_of_json(std::string("[]")),
            "[tokenizer] tokenizer.json: is [], expected an object with 'model'.");
}

TEST_F(BadTokenizer, MissingParts) {
  json content = small_tokenizer();
  content.erase("model");
  EXPECT_EQ(error_of_json(content), "[tokenizer] tokenizer.json: 'model' is missing.");
  content = small_tokenizer();
  content["model"].erase("vocab");
  EXPECT_EQ(error_of_json(content), "[tokenizer] tokenizer.json: 'model.vocab' is missing.");
  content = small_tokenizer();
  content["model"].erase("merges");
  EXPECT_EQ(error_of_json(content), "[tokenizer] tokenizer.json: 'model.merges' is missing.");
}

TEST_F(BadTokenizer, UnknownModelType) {
  json content = small_tokenizer();
  content["model"]["type"] = "WordLevel";
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'model.type' is 'WordLevel', expected BPE, WordPiece or "
            "Unigram.");
}

TEST_F(BadTokenizer, UnknownStepsAreNamed) {
  const auto error_with = [&](const char* key, const json& value) {
    json content = small_tokenizer();
    content[key] = value;
    return error_of_json(content);
  };
  EXPECT_EQ(error_with("normalizer", {{"type", "NFC"}}),
            "[tokenizer] tokenizer.json: 'normalizer.type' is 'NFC', expected a normalizer that "
            "cpx knows (Sequence, Prepend, Replace, Strip, BertNormalizer, Precompiled).");
  EXPECT_EQ(error_with("pre_tokenizer", json::parse(R"({"type": "Sequence",
                                      "pretokenizers": [{"type": "UnicodeScripts"}]})")),
            "[tokenizer] tokenizer.json: 'pre_tokenizer.pretokenizers[0].type' is "
            "'UnicodeScripts', expected a pre-tokenizer that cpx knows (Sequence, ByteLevel, "
            "Digits, Split, Metaspace, Punctuation, BertPreTokenizer, WhitespaceSplit).");
  EXPECT_EQ(error_with("decoder", {{"type", "CTC"}}),
            "[tokenizer] tokenizer.json: 'decoder.type' is 'CTC', expected a decoder that cpx "
            "knows (Sequence, ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip, "
            "WordPiece).");
  EXPECT_EQ(error_with("post_processor", {{"type", "Other"}}),
            "[tokenizer] tokenizer.json: 'post_processor.type' is 'Other', expected a "
            "post-processor that cpx knows (Sequence, ByteLevel, TemplateProcessing, "
            "RobertaProcessing, BertProcessing).");
}

using BadStep = testing_support::BadInput<json>;

// Keys of the small tokenizer that are set anew, and what is said among other things.
class BadStepOption : public BadTokenizer, public ::testing::WithParamInterface<BadStep> {};

TEST_P(BadStepOption, IsNamed) {
  json content = small_tokenizer();
  content.update(GetParam().input);
  EXPECT_THAT(error_of_json(content), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadStepOption,
    ::testing::Values(
        BadStep{"PatternThatIsNotValid",
                json::parse(R"({"pre_tokenizer": {"type": "Split", "behavior": "Isolated",
                                "invert": false, "pattern": {"Regex": "a(b"}}})"),
                "[regex] pattern 'a(b' is not valid: missing closing parenthesis"},
        BadStep{"UnknownBehavior",
                json::parse(R"({"pre_tokenizer": {"type": "Split", "behavior": "Sideways",
                                "invert": false, "pattern": {"String": "a"}}})"),
                "'pre_tokenizer.behavior' is 'Sideways', expected Removed, Isolated, "},
        BadStep{"ReplacementOfTwoCharacters",
                json::parse(R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "__"}})"),
                "'pre_tokenizer.replacement' is '__', expected one character."},
        BadStep{"UnknownPrependScheme",
                json::parse(R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_",
                                "prepend_scheme": "no"}})"),
                "'pre_tokenizer.prepend_scheme' is 'no', expected always, first or never"},
        BadStep{"FlagThatIsANumber",
                json::parse(R"({"pre_tokenizer": {"type": "ByteLevel", "use_regex": 1}})"),
                "'pre_tokenizer.use_regex' is 1, expected true or false."},
        BadStep{"TemplateWithoutTheText",
                json::parse(R"({"post_processor": {"type": "TemplateProcessing", "single": []}})"),
                "'post_processor.single' is [], expected a template with the sequence"},
        BadStep{"TemplateWithAnUnknownToken",
                json::parse(R"({"post_processor": {"type": "TemplateProcessing",
                                "special_tokens": {}, "single": [{"SpecialToken": {"id": "<x>"}}]}})"),
                "'post_processor.single[0].SpecialToken.id' is '<x>', expected a token of "
                "'special_tokens'."},
        BadStep{"TokenOutsideTheVocabulary",
                json::parse(R"({"post_processor": {"type": "RobertaProcessing",
                                "cls": ["<s>", 77], "sep": ["<s>", 3]}})"),
                "special token id 77 is not in the vocabulary of 4 ids."}),
    testing_support::by_value);

TEST_F(BadTokenizer, EndlessNestingIsAnErrorNotACrash) {
  std::string nested = "{\"type\":\"Strip\"}";
  for (int i = 0; i < 10'000; ++i) {
    nested = "{\"type\":\"Sequence\",\"normalizers\":[" + nested + "]}";
  }
  std::string content = small_tokenizer().dump();
  content.insert(1, "\"normalizer\":" + nested + ",");
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: is JSON nested deeper than 128 levels.");
}

TEST_F(BadTokenizer, WrongVocabulary) {
  json content = small_tokenizer();
  content["model"]["vocab"]["a"] = "0";
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'model.vocab.a' is '0', expected an id from 0 to "
            "16777215.");
  for (const json& bad : {json(-1), json(1.5), json(4e9), json(17'000'000), json(nullptr)}) {
    content["model"]["vocab"]["a"] = bad;
    EXPECT_THAT(error_of_json(content), HasSubstr("'model.vocab.a' is " + bad.dump()));
  }
  content["model"]["vocab"] = json::array();
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'model.vocab' is [], expected an object of token and id.");
  content = small_tokenizer();
  content["model"]["vocab"]["c"] = 1;
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: the tokens 'b' and 'c' both have id 1.");
}

TEST_F(BadTokenizer, WrongMerges) {
  json content = small_tokenizer();
  content["model"]["merges"] = json::parse(R"(["a c"])");
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'model.merges[0]' joins 'a' and 'c', but 'ac' is not in "
            "the vocabulary.");
  content["model"]["merges"] = json::parse(R"(["a b", "ab"])");
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'model.merges[1]' is 'ab', expected 'left right' or "
            "['left', 'right'].");
  content["model"]["merges"] = json::parse(R"([["a", "b", "c"]])");
  EXPECT_THAT(error_of_json(content),
              HasSubstr("'model.merges[0]' is [\"a\",\"b\",\"c\"], expected"));
  content["model"]["merges"] = "a b";
  EXPECT_THAT(error_of_json(content), HasSubstr("'model.merges' is 'a b', expected a list"));
}

TEST_F(BadTokenizer, UnknownTokenOutsideTheVocabulary) {
  json content = small_tokenizer();
  content["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'model.unk_token' is '<unk>', expected a token of "
            "'model.vocab'.");
}

TEST_F(BadTokenizer, UnsupportedModelOption) {
  json content = small_tokenizer();
  content["model"]["end_of_word_suffix"] = "</w>";
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'model.end_of_word_suffix' is '</w>', expected null (cpx "
            "does not support it).");
}

TEST_F(BadTokenizer, WrongAddedTokens) {
  json content = small_tokenizer();
  content["added_tokens"][0] = {{"id", 3}, {"content", ""}};
  EXPECT_EQ(error_of_json(content),
            "[tokenizer] tokenizer.json: 'added_tokens[0].content' is '', expected a text that is "
            "not empty.");
  content["added_tokens"][0] = {{"id", 3}, {"content", "x"}, {"lstrip", "yes"}};
  EXPECT_THAT(error_of_json(content),
              HasSubstr("'added_tokens[0].lstrip' is 'yes', expected true or false."));
}

TEST_F(BadTokenizer, WrongConfig) {
  write("tokenizer.json", small_tokenizer().dump());
  write("tokenizer_config.json", R"({"eos_token": 7})");
  EXPECT_EQ(error_of_folder(),
            "[tokenizer] tokenizer_config.json: 'eos_token' is 7, expected a text, or an object "
            "with 'content'.");
  write("tokenizer_config.json", R"({"add_bos_token": "true"})");
  EXPECT_EQ(error_of_folder(),
            "[tokenizer] tokenizer_config.json: 'add_bos_token' is 'true', expected true or "
            "false.");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "y"}}})");
  EXPECT_EQ(error_of_folder(),
            "[tokenizer] tokenizer_config.json: 'added_tokens_decoder' has the key 'x', expected "
            "an id from 0 to 16777215.");
  write("tokenizer_config.json", R"({"chat_template": 1})");
  EXPECT_EQ(error_of_folder(),
            "[tokenizer] tokenizer_config.json: 'chat_template' is 1, expected a text.");
}

// Nothing is done with what these tokens are.
TEST_F(BadTokenizer, TokensWithoutAUseMayBeEmptyOrNumbers) {
  write("tokenizer.json", small_tokenizer().dump());
  write("tokenizer_config.json",
        R"({"pad_token": "", "unk_token": 3, "mask_token": false, "bos_token": "",
                    "model_max_length": "none", "tokenizer_class": 7})");
  const auto tokenizer = load_tokenizer(folder_);
  EXPECT_EQ(tokenizer->encode("abc<s>").ids, (std::vector<TokenId>{2, 3}));
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
}

TEST_F(BadTokenizer, DamagedSentencePieceModel) {
  const std::string good = read_bytes(fixture_folder("sentencepiece_legacy") / "tokenizer.model");
  write("tokenizer.model", "This is no model.\n");
  EXPECT_THAT(error_of_folder(),
              HasSubstr("[tokenizer] tokenizer.model is not a sentencepiece model: "));
  write("tokenizer.model", "");
  EXPECT_THAT(error_of_folder(), HasSubstr("tokenizer.model is not a sentencepiece model: "));
  write("tokenizer.model", good.substr(0, good.size() / 2));
  EXPECT_THAT(error_of_folder(), HasSubstr("tokenizer.model is not a sentencepiece model: "));
}

TEST_F(BadTokenizer, ShortenedSentencePieceModelsNeverCrash) {
  const std::string good = read_bytes(fixture_folder("sentencepiece_legacy") / "tokenizer.model");
  int num_refused = 0;
  for (size_t size = 0; size < good.size(); size += 401) {
    write("tokenizer.model", good.substr(0, size));
    try {
      load_tokenizer(folder_)->encode("Hello");
    } catch (const DataError&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 10);
}

TEST_F(BadTokenizer, AddedTokenThatTakesAnothersIdIsNumberedAnew) {
  write("tokenizer.model", read_bytes(fixture_folder("sentencepiece_legacy") / "tokenizer.model"));
  write("added_tokens.json", R"({"<new>": 5})");
  EXPECT_EQ(load_tokenizer(folder_)->find("<new>"), 900);
}

// ---- GGUF ---------------------------------------------------------------------------------------

template <class Change>
std::string error_of_gguf(const std::string& name, const Change& change) {
  GgufVocabulary vocabulary = read_gguf_vocabulary(name);
  vocabulary.pre = "gpt-2";
  change(vocabulary);
  return message_of<DataError>([&] { make_tokenizer(vocabulary); });
}

TEST(BadGgufVocabulary, InconsistentLengths) {
  EXPECT_EQ(error_of_gguf("gguf_gpt2", [](auto& v) { v.token_types.pop_back(); }),
            "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.token_type' has 702 entries, expected at "
            "least 703 (tokenizer.ggml.tokens).");
  EXPECT_EQ(error_of_gguf("gguf_llama", [](auto& v) { v.scores.pop_back(); }),
            "[tokenizer] gguf_llama.gguf: 'tokenizer.ggml.scores' has 899 entries, expected at "
            "least 900 (tokenizer.ggml.tokens).");
}

TEST(BadGgufVocabulary, MissingParts) {
  EXPECT_EQ(error_of_gguf("gguf_gpt2", [](auto& v) { v.tokens.clear(); }),
            "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.tokens' is missing or empty.");
  EXPECT_EQ(error_of_gguf("gguf_gpt2", [](auto& v) { v.merges.clear(); }),
            "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.merges' is missing, model 'gpt2' needs "
            "it.");
  EXPECT_EQ(error_of_gguf("gguf_llama", [](auto& v) { v.scores.clear(); }),
            "[tokenizer] gguf_llama.gguf: 'tokenizer.ggml.scores' is missing, model 'llama' needs "
            "it.");
}

TEST(BadGgufVocabulary, UnknownKinds) {
  EXPECT_EQ(error_of_gguf("gguf_gpt2", [](auto& v) { v.model = "bert"; }),
            "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.model' is 'bert', expected gpt2 "
            "(byte-level BPE) or llama (sentencepiece).");
  EXPECT_EQ(
      error_of_gguf("gguf_gpt2", [](auto& v) { v.pre = "superbpe"; }),
      "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.pre' is 'superbpe', expected one that cpx knows "
      "(default, gpt-2, mpt, olmo, jais, phi-2, exaone4, trillion, granite-docling, gigachat, "
      "a.x-4.0, mellum, smollm, starcoder, refact, command-r, codeshell, exaone, minerva-7b, "
      "mellum2, llama-bpe, llama3, llama-v3, falcon3, falcon-h1, pixtral, midm-2.0, lfm2, "
      "smaug-bpe, dbrx, glm4, chatglm-bpe, tekken, gpt-4o, llama4, kanana2, talkie, minimax-m2, "
      "qwen2, stablelm2, deepseek-r1-qwen, megrez, hunyuan, solar-open, grok-2, kormo, qwen35, "
      "deepseek-llm, deepseek-coder, deepseek-v3, hunyuan-dense, joyai-llm, hy_v4, falcon, "
      "poro-chat, bloom, gpt3-finnish, viking, jais-2, seed-coder, bailingmoe, bailingmoe2, "
      "llada-moe, minicpm5). Use the model's Hugging Face folder, or write one of these that cuts "
      "texts alike into the file with gguf_set_metadata.py of llama.cpp's gguf package.");
}

TEST(BadGgufVocabulary, ATokenThatIsThereTwice) {
  EXPECT_EQ(error_of_gguf("gguf_gpt2", [](auto& v) { v.tokens[9] = v.tokens[8]; }),
            "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.tokens' has ')' twice, as 8 and 9.");
}

TEST(BadGgufVocabulary, AMergeOfWhatIsNotInTheVocabulary) {
  EXPECT_EQ(error_of_gguf("gguf_gpt2", [](auto& v) { v.merges[2] = "q zzz"; }),
            "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.merges[2]' joins 'q' and 'zzz', but "
            "'qzzz' is not in the vocabulary.");
}

TEST(BadGgufVocabulary, AMergeThatIsNone) {
  for (const char* merge : {"", "q", "q ", " q"}) {
    EXPECT_EQ(error_of_gguf("gguf_gpt2", [&](auto& v) { v.merges[2] = merge; }),
              "[tokenizer] gguf_gpt2.gguf: 'tokenizer.ggml.merges[2]' is '" + std::string(merge) +
                  "', expected 'left right'.");
  }
}

TEST(BadGgufVocabulary, AScoreThatIsNoNumber) {
  EXPECT_EQ(error_of_gguf("gguf_llama", [](auto& v) { v.scores[7] = NAN; }),
            "[tokenizer] gguf_llama.gguf: 'tokenizer.ggml.scores[7]' is nan, expected a number.");
}

TEST(BadGgufVocabulary, WhatSentencepieceRefuses) {
  EXPECT_THAT(error_of_gguf("gguf_llama", [](auto& v) { v.tokens[300] = v.tokens[301]; }),
              HasSubstr("[tokenizer] gguf_llama.gguf is not a sentencepiece model: "));
  EXPECT_THAT(error_of_gguf("gguf_llama", [](auto& v) { v.token_types[0] = 1; }),
              HasSubstr("[tokenizer] gguf_llama.gguf is not a sentencepiece model: "));
}

// ---- vocab.json and merges.txt of RoBERTa -------------------------------------------------------

class BadVocabAndMerges : public BadTokenizer {
 protected:
  BadVocabAndMerges() {
    write("vocab.json", R"({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4})");
    write("merges.txt", "#version: 0.2\na b\n");
  }

  std::string roberta_error() const {
    return shown(message_of<DataError>(
        [&] { load_encoder_tokenizer(folder_, EncoderTokenizer::kByteLevel); }));
  }
};

TEST_F(BadVocabAndMerges, TheseAreGood) {
  EXPECT_EQ(load_encoder_tokenizer(folder_, EncoderTokenizer::kByteLevel)->encode("abb</s>").ids,
            (std::vector<TokenId>{0, 4, 3, 1, 1}));
}

TEST_F(BadVocabAndMerges, AMergeThatIsNone) {
  write("merges.txt", "#version: 0.2\na b\na b c\n");
  EXPECT_EQ(roberta_error(), "[tokenizer] merges.txt: line 3 is 'a b c', expected 'left right'.");
}

TEST_F(BadVocabAndMerges, AMergeOfWhatIsNotInTheVocabulary) {
  write("merges.txt", "b a\n");
  EXPECT_EQ(roberta_error(),
            "[tokenizer] merges.txt: line 1 joins 'b' and 'a', but 'ba' is not in the vocabulary.");
}

TEST_F(BadVocabAndMerges, AVocabularyWithoutTheSpecialTokens) {
  write("vocab.json", R"({"<s>": 0, "a": 2, "b": 3, "ab": 4})");
  EXPECT_EQ(roberta_error(),
            "[tokenizer] vocab.json: RoBERTa's special token is '</s>', which is not in the "
            "vocabulary.");
}

TEST_F(BadVocabAndMerges, AnIdThatIsNone) {
  write("vocab.json", R"({"<s>": 0, "</s>": -1})");
  EXPECT_EQ(roberta_error(),
            "[tokenizer] vocab.json: '</s>' is -1, expected an id from 0 to 16777215.");
}

}  // namespace errors_test
}  // namespace cpx::tokenizer
