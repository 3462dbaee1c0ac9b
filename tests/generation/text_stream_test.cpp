// SPDX-License-Identifier: Apache-2.0
#include "cpx/generation/text_stream.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "cpx/core/utf8.h"
#include "cpx/tokenizer/load.h"
#include "tests/support/names.h"

namespace cpx::generation {
namespace text_stream_test {

const std::filesystem::path kTokenizers = CPX_SOURCE_DIR "/tests/fixtures/tokenizers";

std::vector<int64_t> ids_of(const tokenizer::Tokenizer& tokenizer, const std::string& text) {
  const auto encoding = tokenizer.encode(text, /*add_special_tokens=*/false);
  return {encoding.ids.begin(), encoding.ids.end()};
}

// Texts of one, two, three and four bytes a character, and characters that no vocabulary has.
constexpr const char* kText =
    "The tea is hot, isn't it?  Gr\xC3\xBC\xC3\x9F Gott \xE2\x82\xAC 5 "
    "\xF0\x9F\x8D\xB5\xF0\x9F\x98\x80 \xE8\x8C\xB6\n done";

class EveryTokenizer : public testing::TestWithParam<std::string> {};

std::vector<std::string> tokenizers() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kTokenizers)) {
    if (std::filesystem::exists(entry.path() / "tokenizer.json") ||
        std::filesystem::exists(entry.path() / "tokenizer.model")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, EveryTokenizer, testing::ValuesIn(tokenizers()),
                         testing_support::by_value);

// Wherever the prompt ends, prompt and pieces are the whole text, and every piece is whole.
TEST_P(EveryTokenizer, PiecesAreTheText) {
  const auto tokenizer = tokenizer::load_tokenizer(kTokenizers / GetParam());
  const auto ids = ids_of(*tokenizer, kText);
  const std::vector<tokenizer::TokenId> all(ids.begin(), ids.end());
  const std::string whole = tokenizer->decode(all, true);
  ASSERT_GT(ids.size(), 8);
  for (size_t prompt = 0; prompt + 1 < ids.size(); ++prompt) {
    const std::string before =
        tokenizer->decode(std::span(all).first(prompt), /*skip_special_tokens=*/true);
    if (!whole.starts_with(before)) continue;  // the prompt ends inside a character
    TextStream stream(*tokenizer, std::span(ids).first(prompt));
    std::string text;
    for (const int64_t id : std::span(ids).subspan(prompt)) {
      const std::string piece = stream.add(id);
      ASSERT_TRUE(!first_invalid_utf8(piece).has_value()) << "prompt of " << prompt;
      text += piece;
    }
    text += stream.finish();
    ASSERT_EQ(before + text, whole) << "prompt of " << prompt;
    ASSERT_EQ(stream.text(), text);
  }
}

std::string streamed(TextStream& stream, const std::vector<int64_t>& ids) {
  std::string text;
  for (const int64_t id : ids) text += stream.add(id);
  return text + stream.finish();
}

TEST(TextStream, EndsBeforeAStopStringHoweverItIsSplit) {
  const auto tokenizer = tokenizer::load_tokenizer(kTokenizers / tokenizers().front());
  const auto ids = ids_of(*tokenizer, "one two ### three");
  for (const std::string stop : {"###", "two #", " ### thr", "e"}) {
    TextStream stream(*tokenizer, {}, {"not there", stop});
    const std::string text = streamed(stream, ids);
    const std::string whole = tokenizer->decode(
        std::vector<tokenizer::TokenId>(ids.begin(), ids.end()), /*skip_special_tokens=*/true);
    EXPECT_TRUE(stream.is_stopped());
    EXPECT_EQ(text, whole.substr(0, whole.find(stop))) << stop;
  }
}

TEST(TextStream, TellsWhatOnlyLookedLikeAStopString) {
  const auto tokenizer = tokenizer::load_tokenizer(kTokenizers / tokenizers().front());
  TextStream stream(*tokenizer, {}, {"tree"});
  const auto ids = ids_of(*tokenizer, "three tr");
  const std::vector<tokenizer::TokenId> all(ids.begin(), ids.end());
  EXPECT_EQ(streamed(stream, ids), tokenizer->decode(all, /*skip_special_tokens=*/true));
  EXPECT_FALSE(stream.is_stopped());
}

}  // namespace text_stream_test
}  // namespace cpx::generation
