// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <cstring>
#include <fstream>
#include <stdexcept>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cpx::tokenizer {

namespace {

using nlohmann::json;

constexpr int kMaxShown = 5;

json read_json(const std::filesystem::path& path) {
  std::ifstream stream(path);
  if (!stream) throw std::runtime_error("no fixture " + path.string());
  return json::parse(stream);
}

std::vector<size_t> flatten(const Encoding& encoding) {
  std::vector<size_t> result;
  for (const auto& [begin, end] : encoding.offsets) {
    result.push_back(begin);
    result.push_back(end);
  }
  return result;
}

}  // namespace

std::filesystem::path fixture_folder(const std::string& name) {
  return std::filesystem::path(CPX_SOURCE_DIR) / "tests" / "fixtures" / "tokenizers" / name;
}

std::vector<ExpectedText> read_expected(const std::string& file) {
  const json texts = read_json(fixture_folder("texts.json"));
  const json expected = read_json(fixture_folder(file));
  std::vector<ExpectedText> result;
  for (size_t i = 0; i < texts.size(); ++i) {
    ExpectedText one;
    one.text = texts[i];
    one.ids = expected["ids"][i].get<std::vector<TokenId>>();
    if (!expected["offsets"][i].is_null()) {
      one.offsets = expected["offsets"][i].get<std::vector<size_t>>();
    }
    const json& decoded = expected["decoded"][i];
    const json& skipped = expected["skipped"][i];
    one.decoded = decoded.is_null() ? one.text : decoded.get<std::string>();
    one.skipped = skipped.is_null() ? one.decoded : skipped.get<std::string>();
    result.push_back(std::move(one));
  }
  return result;
}

void expect_equal_to_peer(const Tokenizer& tokenizer, const std::string& file) {
  const auto expected = read_expected(file);
  ASSERT_GT(expected.size(), 400U);
  int shown = 0;
  for (const auto& one : expected) {
    if (shown >= kMaxShown) break;
    const std::string text = json(one.text).dump();
    const Encoding encoding = tokenizer.encode(one.text, /*add_special_tokens=*/true);
    EXPECT_EQ(encoding.ids, one.ids) << text;
    if (one.offsets) {
      EXPECT_EQ(flatten(encoding), *one.offsets) << text;
    }
    EXPECT_EQ(tokenizer.decode(one.ids, /*skip_special_tokens=*/false), one.decoded) << text;
    EXPECT_EQ(tokenizer.decode(one.ids, /*skip_special_tokens=*/true), one.skipped) << text;
    shown = ::testing::Test::HasFailure() ? shown + 1 : shown;
  }
}

GgufVocabulary read_gguf_vocabulary(const std::string& name) {
  const json stored = read_json(fixture_folder(name) / "vocabulary.json");
  GgufVocabulary vocabulary;
  vocabulary.source = name + ".gguf";
  vocabulary.model = stored["model"];
  vocabulary.tokens = stored["tokens"].get<std::vector<std::string>>();
  vocabulary.token_types = stored["token_types"].get<std::vector<int32_t>>();
  if (stored.contains("scores")) vocabulary.scores = stored["scores"].get<std::vector<float>>();
  if (stored.contains("merges")) {
    vocabulary.merges = stored["merges"].get<std::vector<std::string>>();
  }
  vocabulary.bos_id = stored["bos_id"].get<int64_t>();
  vocabulary.eos_id = stored["eos_id"].get<int64_t>();
  return vocabulary;
}

}  // namespace cpx::tokenizer
