// SPDX-License-Identifier: Apache-2.0
#include "src/recipes/text_measure.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "tests/support/folders.h"

namespace cpx::recipes {
namespace text_measure_test {

std::vector<MeasuredText> some_texts(int number) {
  std::vector<MeasuredText> texts;
  for (int i = 0; i < number; ++i) {
    texts.push_back({.prompt = fmt::format("prompt {}", i / 5),
                     .sample = i % 5,
                     .text = fmt::format("text {}", i)});
  }
  return texts;
}

// The length of each text, and of all that are measured with it: what the company changes shows.
class TextMeasures : public testing_support::ScratchFolderTest {
 protected:
  std::vector<TextNumbers> measure(const std::vector<MeasuredText>& texts, bool has_file = true) {
    const TextMeasure lengths{
        .title = "lengths",
        .keys = {"length", "together"},
        .settings = {{"scorer", std::string("a")}},
        .compute = [this](std::span<const MeasuredText> window) {
          windows_.emplace_back(window.front().text, window.size());
          std::vector<TextNumbers> numbers;
          double together = 0.0;
          for (const MeasuredText& text : window) together += 0.5 * std::ssize(text.text);
          for (const MeasuredText& text : window) {
            numbers.push_back({static_cast<double>(text.text.size()), together});
          }
          return numbers;
        }};
    return measure_texts(texts, lengths,
                         has_file ? std::optional(folder_ / "a.jsonl") : std::nullopt,
                         /*overwrite=*/false)
        .value();
  }
  std::string written() const { return read_text_file(folder_ / "a.jsonl"); }

  std::vector<std::pair<std::string, size_t>> windows_;  // first text and size
};

TEST_F(TextMeasures, StandInALineEach) {
  const auto numbers = measure(some_texts(6));
  ASSERT_EQ(numbers.size(), 6);
  EXPECT_EQ(numbers[5].front(), 6.0);
  EXPECT_EQ(written().substr(0, written().find('\n')),
            R"({"prompt":"prompt 0","sample":0,"text":"text 0","length":6.0,"together":18.0})");
}

TEST_F(TextMeasures, AreNotComputedAgain) {
  const auto numbers = measure(some_texts(300));
  EXPECT_EQ(windows_.size(), 2);
  EXPECT_EQ(measure(some_texts(300)), numbers);
  EXPECT_EQ(windows_.size(), 2);
}

TEST_F(TextMeasures, GoOnWithTheSameTextsTogether) {
  measure(some_texts(600));
  const std::string whole = written();
  for (const size_t size : {whole.size() / 3, whole.size() / 2, whole.size() - 1}) {
    write("a.jsonl", whole.substr(0, size));
    windows_.clear();
    measure(some_texts(600));
    EXPECT_EQ(written(), whole) << size;
  }
  // 599 lines were whole: the last window begins at 512 again.
  EXPECT_EQ(windows_, (std::vector<std::pair<std::string, size_t>>{{"text 512", 88}}));
}

TEST_F(TextMeasures, AreTheSameWithoutAFile) {
  EXPECT_EQ(measure(some_texts(300), /*has_file=*/false), measure(some_texts(300)));
}

TEST_F(TextMeasures, OtherTextsAreTold) {
  measure(some_texts(3));
  auto texts = some_texts(3);
  texts[1].text += "!";
  EXPECT_EQ(
      data_error_of([&] { measure(texts); }),
      "[a.jsonl] was made with other settings: 'texts' is \"3 texts, 2a2fe72d9ab2a321\" there "
      "and \"3 texts, 3155f15df6fdf42a\" now. Give those to go on, choose another output, or give "
      "--overwrite.");
}

}  // namespace text_measure_test
}  // namespace cpx::recipes
