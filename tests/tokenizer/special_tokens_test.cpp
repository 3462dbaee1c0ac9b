// SPDX-License-Identifier: Apache-2.0
// BOS, EOS and added tokens as transformers has them, and tokens that a model lacks.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/tokenizer/load.h"
#include "cpx/tokenizer/text_ends.h"
#include "fixture.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::tokenizer {
namespace special_tokens_test {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::message_of;
using testing_support::ScratchFolder;
using testing_support::ScratchFolderTest;

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

// A fixture's tokenizer in a folder of its own, with other small files beside it.
class SpecialTokens : public ScratchFolderTest {
 protected:
  void use(const std::string& fixture, const json& patch = json::object()) const {
    const auto source = fixture_folder(fixture);
    if (std::filesystem::exists(source / "tokenizer.model")) {
      std::filesystem::copy_file(source / "tokenizer.model", folder_ / "tokenizer.model");
      return;
    }
    json content = read_json(source / "tokenizer.json");
    content.merge_patch(patch);
    write("tokenizer.json", content.dump());
  }

  // What is written to standard error while the folder is read, without the folder's name.
  std::string warnings() const {
    ::testing::internal::CaptureStderr();
    load_tokenizer(folder_);
    return without_folder(::testing::internal::GetCapturedStderr());
  }
};

TEST(SpecialTokenParity, IdsAreThoseOfTransformers) {
  const json fixture = read_json(fixture_folder("special_tokens.json"));
  const std::string text = fixture.at("text");
  for (const json& variant : fixture.at("variants")) {
    const ScratchFolder folder;
    const auto source = fixture_folder(variant.at("folder"));
    if (std::filesystem::exists(source / "tokenizer.json")) {
      json content = read_json(source / "tokenizer.json");
      content.merge_patch(variant.value("patch", json::object()));
      folder.write("tokenizer.json", content.dump());
    } else {
      std::filesystem::copy_file(source / "tokenizer.model", folder.path() / "tokenizer.model");
    }
    folder.write("tokenizer_config.json", variant.at("config").dump());
    const json files = variant.value("files", json::object());
    for (const auto& [name, content] : files.items()) folder.write(name, content.dump());
    EXPECT_EQ(load_tokenizer(folder.path())->encode(text).ids,
              variant.at("ids").get<std::vector<TokenId>>())
        << variant.at("name") << " " << variant.at("config");
  }
}

TEST_F(SpecialTokens, AFlagThatThePostProcessorDoesNotFollowIsTold) {
  use("llama2");  // its post-processor puts <s> in front
  write("tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": false,
                    "add_eos_token": true})");
  EXPECT_THAT(warnings(),
              HasSubstr("[tokenizer] tokenizer_config.json: 'add_bos_token' is false, but the "
                        "post_processor of tokenizer.json puts '<s>' in front of a text. As in "
                        "transformers 5 the post_processor decides.\n"));
  EXPECT_THAT(warnings(),
              HasSubstr("[tokenizer] tokenizer_config.json: 'add_eos_token' is true, but the "
                        "post_processor of tokenizer.json does not put '</s>' at the end of a "
                        "text. As in transformers 5 the post_processor decides.\n"));
  write("tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true,
                    "add_eos_token": false})");
  EXPECT_THAT(warnings(), IsEmpty());
}

TEST_F(SpecialTokens, AnAbsentFlagOfASentencePieceModelIsTold) {
  use("sentencepiece_new");
  write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})");
  EXPECT_EQ(load_tokenizer(folder_)->encode("the").ids.front(), 1);
  EXPECT_THAT(warnings(),
              HasSubstr("[tokenizer] tokenizer.model: no tokenizer_config.json beside it says "
                        "add_bos_token: got nothing, taken as true, LlamaTokenizer's documented "
                        "default (transformers 5 puts no BOS there).\n"));
}

TEST_F(SpecialTokens, AnAddedTokenWithAnotherNumberIsTold) {
  use("smollm2");
  write("added_tokens.json", R"({"<pad>": 4000})");
  EXPECT_THAT(warnings(),
              HasSubstr("[tokenizer] tokenizer.json: the added token '<pad>' is given id 4000 and "
                        "has 703, as in Hugging Face's tokenizers, which number added tokens "
                        "behind the vocabulary's 700.\n"));
  EXPECT_EQ(load_tokenizer(folder_)->vocabulary_size(), 704);
}

TEST_F(SpecialTokens, ANumberThatIsTakenLeavesTheFilesOwn) {
  // The last of 700 tokens has id 700, the number that comes next.
  const json vocabulary = read_json(fixture_folder("smollm2") / "tokenizer.json")["model"]["vocab"];
  std::string last;
  for (const auto& [piece, id] : vocabulary.items()) {
    if (id == 699) last = piece;
  }
  use("smollm2", {{"model", {{"vocab", {{last, 700}}}}}, {"added_tokens", json::array()}});
  write("added_tokens.json", R"({"<pad>": 4000})");
  EXPECT_EQ(load_tokenizer(folder_)->find("<pad>"), 4000);
}

TEST_F(SpecialTokens, ABosThatIsNoTokenYetIsTold) {
  use("smollm2");
  write("tokenizer_config.json", R"({"bos_token": "<bos>"})");
  EXPECT_THAT(
      warnings(),
      HasSubstr("[tokenizer] tokenizer_config.json: 'bos_token' is '<bos>', which is not in "
                "the vocabulary of 700 tokens: it becomes a token of its own with id 703, "
                "as in transformers.\n"));
}

TEST(Decode, IdsAboveTheTokenizersAreNothing) {
  for (const char* name : {"gpt2", "smollm2", "llama2", "sentencepiece_new"}) {
    const auto tokenizer = load_tokenizer(fixture_folder(name));
    std::vector<TokenId> ids = tokenizer->encode("the cat", false).ids;
    const std::string text = tokenizer->decode(ids, false);
    const auto size = static_cast<TokenId>(tokenizer->vocabulary_size());
    ids.insert(ids.begin() + 1, size);
    ids.push_back(size + 5000);
    EXPECT_EQ(tokenizer->decode(ids, false), text) << name;
    EXPECT_EQ(tokenizer->decode(ids, true), text) << name;
    EXPECT_EQ(tokenizer->piece(size), "");
    EXPECT_FALSE(tokenizer->is_special(size));
    ids = {-1};
    EXPECT_EQ(message_of<std::invalid_argument>([&] { tokenizer->decode(ids, false); }),
              "[tokenizer] token id -1: expected 0 or more.");
  }
}

// What llama.cpp's converter writes for rows of the embedding that no token has.
TEST(Decode, PaddingTokensOfAGgufAreNothing) {
  for (const char* name : {"gguf_gpt2", "gguf_llama"}) {
    GgufVocabulary vocabulary = read_gguf_vocabulary(name);
    if (vocabulary.model == "gpt2") vocabulary.pre = "gpt-2";
    if (vocabulary.token_types.empty()) vocabulary.token_types.resize(vocabulary.tokens.size(), 1);
    const auto first = static_cast<TokenId>(vocabulary.tokens.size());
    for (int i = 0; i < 3; ++i) {
      vocabulary.tokens.push_back("[PAD" + std::to_string(vocabulary.tokens.size()) + "]");
      vocabulary.token_types.push_back(static_cast<int32_t>(GgufTokenType::kUnused));
      if (!vocabulary.scores.empty()) vocabulary.scores.push_back(-1000.0F);
    }
    const auto tokenizer = make_tokenizer(vocabulary);
    std::vector<TokenId> ids = tokenizer->encode("the cat", false).ids;
    const std::string text = tokenizer->decode(ids, false);
    ids.insert(ids.begin() + 1, first);
    ids.push_back(first + 2);
    EXPECT_EQ(tokenizer->decode(ids, false), text) << name;
  }
}

TEST(Limited, IsTheTokenizerItselfWhereAllIdsFit) {
  const auto tokenizer = load_tokenizer(fixture_folder("smollm2"));
  EXPECT_EQ(limited_to(tokenizer, 703, "c"), tokenizer);
  EXPECT_FALSE(tokenizer->exceeds_model());
}

TEST(Limited, OnlyATextWithATokenThatTheModelLacksIsAnError) {
  const auto inner = load_tokenizer(fixture_folder("smollm2"));
  const auto tokenizer = limited_to(inner, 702, "config.json: vocab_size");
  EXPECT_TRUE(tokenizer->exceeds_model());
  EXPECT_EQ(tokenizer->encode("the cat").ids, inner->encode("the cat").ids);
  EXPECT_EQ(tokenizer->vocabulary_size(), 703);
  EXPECT_EQ(tokenizer->eos_id(), 702);
  EXPECT_EQ(tokenizer->chat_template(), inner->chat_template());
  const std::string fault =
      "the text has the token '<|im_end|>' with id 702, expected ids below 702 (config.json: "
      "vocab_size): the model has no row for it.";
  EXPECT_EQ(message_of<TokenBeyondModel>([&] { tokenizer->encode("a<|im_end|>"); }),
            "[text] " + fault);
  EXPECT_EQ(message_of<DataError>([&] {
              at_place("a.json: record 1", [&] { return tokenizer->encode("a<|im_end|>"); });
            }),
            "[a.json: record 1] " + fault);
  EXPECT_EQ(message_of<TokenBeyondModel>([&] { tokenizer->check_has_row(702); }),
            "[text] " + fault);
  EXPECT_NO_THROW(tokenizer->check_has_row(701));
}

TEST(Limited, CountsABosThatConfigJsonNamesAboveTheTokens) {
  const ScratchFolder folder;
  std::filesystem::copy_file(fixture_folder("smollm2") / "tokenizer.json",
                             folder.path() / "tokenizer.json");
  const auto tokenizer = load_tokenizer(folder.path(), {.bos_id = 5, .eos_id = 900});
  EXPECT_EQ(tokenizer->eos_id(), 900);
  EXPECT_FALSE(limited_to(tokenizer, 901, "c")->exceeds_model());
  EXPECT_TRUE(limited_to(tokenizer, 900, "c")->exceeds_model());
}

TEST(TextEnds, NameTheSpecialTokensAtBothEnds) {
  const auto tokenizer = load_tokenizer(fixture_folder("llama2"));
  const std::vector<TokenId> both = {1, 266, 277, 2};
  const std::vector<TokenId> first = {1, 266};
  const std::vector<TokenId> none = {266, 277};
  const std::vector<TokenId> one = {1};
  EXPECT_EQ(describe_ends(*tokenizer, both), "texts begin with '<s>' (1) and end with '</s>' (2)");
  EXPECT_EQ(describe_ends(*tokenizer, first, "prompts"),
            "prompts begin with '<s>' (1) and end with no special token");
  EXPECT_EQ(describe_ends(*tokenizer, none),
            "texts begin with no special token and end with no special token");
  EXPECT_EQ(describe_ends(*tokenizer, one),
            "texts begin with '<s>' (1) and end with no special token");
  EXPECT_EQ(describe_ends(*tokenizer, {}),
            "texts begin with no special token and end with no special token");
}

}  // namespace special_tokens_test
}  // namespace cpx::tokenizer
