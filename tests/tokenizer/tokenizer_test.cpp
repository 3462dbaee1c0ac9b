// SPDX-License-Identifier: Apache-2.0
// What every tokenizer promises beside parity: invalid UTF-8, special tokens, speed, threads.
#include <chrono>
#include <gmock/gmock.h>
#include <thread>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/tokenizer/load.h"
#include "fixture.h"
#include "tests/support/folders.h"

namespace cpx::tokenizer {
namespace tokenizer_test {

using testing_support::ScratchFolder;

constexpr const char* kFolders[] = {"gpt2",   "llama3",          "smollm2",
                                    "llama2", "metaspace_first", "sentencepiece_new"};

double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_GT(tokenizer.encode(text).ids.size(), 0U);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string repeat(const std::string& text, size_t size) {
  std::string result;
  while (result.size() < size) result += text;
  return result;
}

TEST(Tokenizer, InvalidBytesAreReplacedOneByOne) {
  const std::string invalid = "a\xFFz\xC3 \xE4\xBD\xF0\x9F\x98!";
  const std::string mark = "\xEF\xBF\xBD";
  const std::string replaced =
      "a" + mark + "z" + mark + " " + mark + mark + mark + mark + mark + "!";
  for (const char* folder : kFolders) {
    const auto tokenizer = load_tokenizer(fixture_folder(folder));
    const Encoding encoding = tokenizer->encode(invalid);
    EXPECT_EQ(encoding.ids, tokenizer->encode(replaced).ids) << folder;
    for (const auto& [begin, end] : encoding.offsets) {
      EXPECT_LE(begin, end);
      EXPECT_LE(end, invalid.size());
    }
    EXPECT_EQ(encoding.offsets.back(), std::make_pair(invalid.size() - 1, invalid.size()))
        << folder;
  }
}

TEST(Tokenizer, SurrogatesAndOverlongFormsAreInvalid) {
  const auto tokenizer = load_tokenizer(fixture_folder("gpt2"));
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(tokenizer->encode("\xED\xA0\x80").ids, tokenizer->encode(mark + mark + mark).ids);
  EXPECT_EQ(tokenizer->encode("\xC0\xAF").ids, tokenizer->encode(mark + mark).ids);
}

TEST(Tokenizer, SpecialTokensAreAddedOnlyWhenAsked) {
  const auto llama3 = load_tokenizer(fixture_folder("llama3"));
  ASSERT_TRUE(llama3->bos_id());
  const auto with = llama3->encode("Hi there", /*add_special_tokens=*/true).ids;
  const auto without = llama3->encode("Hi there", /*add_special_tokens=*/false).ids;
  EXPECT_EQ(with.front(), *llama3->bos_id());
  EXPECT_EQ(std::vector<TokenId>(with.begin() + 1, with.end()), without);

  const auto llama = load_tokenizer(fixture_folder("sentencepiece_new"));
  EXPECT_EQ(llama->encode("", true).ids, std::vector<TokenId>{1});
  EXPECT_TRUE(llama->encode("", false).ids.empty());
}

TEST(Tokenizer, PiecesAndIdsBelongTogether) {
  for (const char* folder : kFolders) {
    const auto tokenizer = load_tokenizer(fixture_folder(folder));
    for (TokenId id = 0; id < tokenizer->vocabulary_size(); ++id) {
      EXPECT_EQ(tokenizer->find(tokenizer->piece(id)), id) << folder;
    }
    EXPECT_EQ(tokenizer->find("no such piece"), std::nullopt);
  }
}

TEST(Tokenizer, ConfigNamesSpecialTokensAsTextOrObject) {
  const auto tokenizer = load_tokenizer(fixture_folder("smollm2"));
  ASSERT_TRUE(tokenizer->bos_id() && tokenizer->eos_id());
  EXPECT_EQ(tokenizer->piece(*tokenizer->bos_id()), "<|im_start|>");
  EXPECT_EQ(tokenizer->piece(*tokenizer->eos_id()), "<|im_end|>");
  EXPECT_TRUE(tokenizer->is_special(*tokenizer->eos_id()));
  EXPECT_FALSE(tokenizer->is_special(*tokenizer->find("a")));
  EXPECT_THAT(tokenizer->chat_template(), ::testing::HasSubstr("<|im_start|>assistant"));
}

TEST(Tokenizer, SpecialTokensMapAndModelConfigFillGaps) {
  const ScratchFolder folder;
  std::filesystem::copy_file(fixture_folder("smollm2") / "tokenizer.json",
                             folder.path() / "tokenizer.json");
  const auto bare = load_tokenizer(folder.path());
  EXPECT_EQ(bare->bos_id(), std::nullopt);
  EXPECT_EQ(load_tokenizer(folder.path(), {.bos_id = 5, .eos_id = 6})->eos_id(), 6);

  folder.write("special_tokens_map.json", R"({"eos_token": {"content": "<|im_end|>"}})");
  const auto mapped = load_tokenizer(folder.path(), {.bos_id = 5, .eos_id = 6});
  EXPECT_EQ(mapped->bos_id(), 5);
  EXPECT_EQ(mapped->eos_id(), mapped->find("<|im_end|>"));
}

TEST(Tokenizer, ChatTemplateOfTheJinjaFileComesFirst) {
  const ScratchFolder folder;
  std::filesystem::copy_file(fixture_folder("smollm2") / "tokenizer.json",
                             folder.path() / "tokenizer.json");
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "T"},
                                     {"name": "default", "template": "D"}]})");
  EXPECT_EQ(load_tokenizer(folder.path())->chat_template(), "D");
  std::filesystem::create_directory(folder.path() / "additional_chat_templates");
  EXPECT_EQ(load_tokenizer(folder.path())->chat_template(), "D");
  folder.write("additional_chat_templates/tool_use.jinja", "T");
  EXPECT_EQ(load_tokenizer(folder.path())->chat_template(), "");  // as transformers: no default
  folder.write("chat_template.jinja", "\xEF\xBB\xBFJ");
  EXPECT_EQ(load_tokenizer(folder.path())->chat_template(), "J");
  folder.write("additional_chat_templates/default.jinja", "A");
  EXPECT_EQ(load_tokenizer(folder.path())->chat_template(), "A");
}

TEST(Tokenizer, AddedTokensOfSentencePieceModelsComeFromTheConfig) {
  const ScratchFolder folder;
  std::filesystem::copy_file(fixture_folder("sentencepiece_new") / "tokenizer.model",
                             folder.path() / "tokenizer.model");
  folder.write("tokenizer_config.json",
               R"({"bos_token": "<s>", "eos_token": "</s>", "add_eos_token": true,
                   "added_tokens_decoder": {"900": {"content": "<x>", "lstrip": true}}})");
  folder.write("added_tokens.json", R"({"<x>": 900, "<y>": 901})");
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->vocabulary_size(), 902);
  const Encoding encoding = tokenizer->encode("a  <x><y>");
  ASSERT_EQ(encoding.ids.size(), 5U);
  EXPECT_EQ(encoding.ids[0], 1);
  EXPECT_EQ(encoding.ids[2], 900);
  EXPECT_EQ(encoding.ids[3], 901);
  EXPECT_EQ(encoding.ids[4], 2);
  EXPECT_EQ(encoding.offsets[2], std::make_pair(size_t{1}, size_t{6}));
  EXPECT_EQ(tokenizer->decode(encoding.ids, /*skip_special_tokens=*/true), "a<x><y>");
}

TEST(Tokenizer, GgufKeysSwitchBosEosAndPrefix) {
  GgufVocabulary vocabulary = read_gguf_vocabulary("gguf_llama");
  vocabulary.add_bos = false;
  vocabulary.add_eos = true;
  vocabulary.add_space_prefix = false;
  const auto tokenizer = make_tokenizer(vocabulary);
  const auto ids = tokenizer->encode("the").ids;
  EXPECT_EQ(ids.back(), 2);
  EXPECT_NE(ids.front(), 1);
  EXPECT_EQ(tokenizer->decode(ids, /*skip_special_tokens=*/true), "the");
  EXPECT_EQ(tokenizer->piece(ids.front())[0], 't');

  // llama.cpp looks at the key for sentencepiece vocabularies alone.
  GgufVocabulary bytes = read_gguf_vocabulary("gguf_gpt2");
  bytes.pre = "gpt-2";
  const auto expected = make_tokenizer(bytes)->encode("the").ids;
  bytes.add_space_prefix = true;
  EXPECT_EQ(make_tokenizer(bytes)->encode("the").ids, expected);
}

TEST(Tokenizer, LongTextsCostLinearTime) {
  const std::string sentence =
      "The neighbours kindly asked whether 12 trains would arrive tomorrow; nobody didn't know.\n";
  for (const char* folder : kFolders) {
    const auto tokenizer = load_tokenizer(fixture_folder(folder));
    // Words without an end, white space without an end, ordinary text.
    for (const std::string& part : {std::string("a"), std::string("the"), std::string(" "),
                                    std::string("\xE4\xB8\xAD"), sentence}) {
      const double brief = seconds_to_encode(*tokenizer, repeat(part, 1 << 12));
      const double full = seconds_to_encode(*tokenizer, repeat(part, 1 << 16));
      // Sixteen times the text: quadratic time would be 256 times as long.
      EXPECT_LT(full, 0.1 + 100 * brief) << folder << " " << part;
    }
  }
}

TEST(Tokenizer, ThreadsGetEqualIds) {
  for (const char* folder : {"smollm2", "sentencepiece_new"}) {
    const auto tokenizer = load_tokenizer(fixture_folder(folder));
    const auto expected = read_expected(std::string(folder) + "/expected.json");
    std::vector<int> mistakes(4, 0);
    std::vector<std::thread> threads;
    for (auto& count : mistakes) {
      threads.emplace_back([&] {
        for (const auto& one : expected) count += tokenizer->encode(one.text).ids != one.ids;
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(mistakes, std::vector<int>(4, 0)) << folder;
  }
}

}  // namespace tokenizer_test
}  // namespace cpx::tokenizer
