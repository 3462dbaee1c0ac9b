// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/rouge.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "cpx/core/error.h"
#include "cpx/pipeline/porter_stemmer.h"

namespace cpx::pipeline {

namespace {

constexpr size_t kWordBits = 64;
constexpr size_t kLongestUnstemmed = 3;

RougeScore score_of(size_t matched, size_t num_target, size_t num_prediction) {
  if (matched == 0) return {};
  RougeScore score{
      .precision = static_cast<double>(matched) / static_cast<double>(num_prediction),
      .recall = static_cast<double>(matched) / static_cast<double>(num_target),
  };
  score.f = 2.0 * score.precision * score.recall / (score.precision + score.recall);
  return score;
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// The two characters outside ASCII whose lower case (Python's) begins with an ASCII letter: the
// Kelvin sign is a k, the dotted capital I an i with a dot of its own, which ends the token.
constexpr std::string_view kKelvinSign = "\xE2\x84\xAA";
constexpr std::string_view kDottedCapitalI = "\xC4\xB0";

// The text in lower case with a blank for each byte that is neither letter nor digit.
std::string letters_and_blanks(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    size_t length = 1;
    if (text.starts_with(kKelvinSign)) {
      result += 'k';
      length = kKelvinSign.size();
    } else if (text.starts_with(kDottedCapitalI)) {
      result += "i ";
      length = kDottedCapitalI.size();
    } else {
      const char c = text.front();
      const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      result += is_letter_or_digit(lower) ? lower : ' ';
    }
    text.remove_prefix(length);
  }
  return result;
}

// The prediction's tokens that the target has too, as numbers; and the target's, all of them.
struct NumberedTokens {
  std::vector<size_t> target;
  std::vector<size_t> prediction;
  size_t num_different = 0;
};

NumberedTokens number_tokens(std::span<const std::string> target,
                             std::span<const std::string> prediction) {
  NumberedTokens tokens;
  std::unordered_map<std::string_view, size_t> numbers;
  for (const std::string& token : target) {
    tokens.target.push_back(numbers.try_emplace(token, numbers.size()).first->second);
  }
  for (const std::string& token : prediction) {
    const auto found = numbers.find(token);
    if (found != numbers.end()) tokens.prediction.push_back(found->second);
  }
  tokens.num_different = numbers.size();
  return tokens;
}

// Length of the longest common subsequence, 64 of the target's tokens at a time.
// Source: H. Hyyro, "Bit-parallel LCS-length computation revisited", 2004: each column of the
// table is a row of bits that has a 0 where the length grows by one. Here a word of all columns is
// computed before the next word; what a column's addition carries is kept for that.
size_t common_subsequence_length(const NumberedTokens& tokens) {
  std::vector<uint64_t> positions(tokens.num_different, 0);  // of a token within the word
  std::vector<uint8_t> carries(tokens.prediction.size(), 0);
  size_t length = 0;
  for (size_t begin = 0; begin < tokens.target.size(); begin += kWordBits) {
    const size_t end = std::min(begin + kWordBits, tokens.target.size());
    for (size_t i = begin; i < end; ++i) positions[tokens.target[i]] |= 1ULL << (i - begin);
    uint64_t column = ~0ULL;
    for (size_t j = 0; j < tokens.prediction.size(); ++j) {
      const uint64_t matches = column & positions[tokens.prediction[j]];
      const uint64_t with_carry = column + carries[j];
      const uint64_t sum = with_carry + matches;
      carries[j] = with_carry < column || sum < matches;
      column = sum | (column & ~matches);
    }
    length += static_cast<size_t>(std::popcount(~column));
    for (size_t i = begin; i < end; ++i) positions[tokens.target[i]] = 0;
  }
  return length;
}

using Ngram = std::span<const std::string>;

bool is_before(const Ngram& a, const Ngram& b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

std::vector<Ngram> sorted_ngrams(std::span<const std::string> tokens, size_t n) {
  std::vector<Ngram> ngrams;
  for (size_t i = 0; i + n <= tokens.size(); ++i) ngrams.push_back(tokens.subspan(i, n));
  std::sort(ngrams.begin(), ngrams.end(), is_before);
  return ngrams;
}

}  // namespace

std::vector<std::string> rouge_tokens(std::string_view text, bool use_stemmer) {
  const std::string letters = letters_and_blanks(text);
  std::vector<std::string> tokens;
  for (size_t begin = letters.find_first_not_of(' '); begin != letters.npos;) {
    const size_t end = std::min(letters.find(' ', begin), letters.size());
    const std::string_view token = std::string_view(letters).substr(begin, end - begin);
    const bool is_stemmed = use_stemmer && token.size() > kLongestUnstemmed;
    tokens.push_back(is_stemmed ? porter_stem(token) : std::string(token));
    begin = letters.find_first_not_of(' ', end);
  }
  return tokens;
}

RougeScore rouge_l(std::span<const std::string> target, std::span<const std::string> prediction) {
  const size_t matched = common_subsequence_length(number_tokens(target, prediction));
  return score_of(matched, target.size(), prediction.size());
}

RougeScore rouge_n(std::span<const std::string> target, std::span<const std::string> prediction,
                   int64_t n) {
  CPX_CHECK(n > 0, "[rouge_n] n is {}, expected 1 or more.", n);
  const auto of_target = sorted_ngrams(target, static_cast<size_t>(n));
  const auto of_prediction = sorted_ngrams(prediction, static_cast<size_t>(n));
  std::vector<Ngram> common;
  std::set_intersection(of_target.begin(), of_target.end(), of_prediction.begin(),
                        of_prediction.end(), std::back_inserter(common), is_before);
  return score_of(common.size(), of_target.size(), of_prediction.size());
}

}  // namespace cpx::pipeline
