// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/rouge.h"

#include <algorithm>
#include <cstddef>

#include "cpx/pipeline/porter_stemmer.h"

namespace cpx::pipeline {

namespace {

constexpr size_t kLongestUnstemmed = 3;

bool is_token_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Characters beyond ASCII end a token; but two of them are lower-cased to a letter of ASCII.
std::string lower_case(std::string_view text) {
  constexpr std::string_view kKelvin = "\xE2\x84\xAA";  // U+212A, to k
  constexpr std::string_view kDottedI = "\xC4\xB0";     // U+0130, to i and a combining dot
  std::string lower;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c >= 'A' && c <= 'Z') {
      lower += static_cast<char>(c - 'A' + 'a');
    } else if (text.substr(i).starts_with(kKelvin)) {
      lower += 'k';
      i += kKelvin.size() - 1;
    } else if (text.substr(i).starts_with(kDottedI)) {
      lower += "i ";
      i += kDottedI.size() - 1;
    } else {
      lower += c;
    }
  }
  return lower;
}

size_t longest_common_subsequence(const std::vector<std::string>& left,
                                  const std::vector<std::string>& right) {
  std::vector<size_t> row(right.size() + 1);  // of the left tokens so far
  for (const std::string& token : left) {
    size_t diagonal = 0;
    for (size_t j = 0; j < right.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = token == right[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> rouge_tokens(std::string_view text, bool stems) {
  const std::string lower = lower_case(text);
  std::vector<std::string> tokens;
  std::string token;
  for (const char c : lower + " ") {
    if (is_token_char(c)) {
      token += c;
    } else if (!token.empty()) {
      tokens.push_back(stems && token.size() > kLongestUnstemmed ? porter_stem(token) : token);
      token.clear();
    }
  }
  return tokens;
}

RougeScore rouge_l(const std::vector<std::string>& reference,
                   const std::vector<std::string>& candidate) {
  if (reference.empty() || candidate.empty()) return {};
  const auto common = static_cast<double>(longest_common_subsequence(reference, candidate));
  RougeScore score{.precision = common / static_cast<double>(candidate.size()),
                   .recall = common / static_cast<double>(reference.size())};
  const double sum = score.precision + score.recall;
  if (sum > 0.0) score.f = 2.0 * score.precision * score.recall / sum;
  return score;
}

RougeScore rouge_l(std::string_view reference, std::string_view candidate, bool stems) {
  return rouge_l(rouge_tokens(reference, stems), rouge_tokens(candidate, stems));
}

}  // namespace cpx::pipeline
