// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/toxicity_companions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/text.h"

namespace cpx::evaluation {

namespace {

constexpr int64_t kLongestRun = 3;
constexpr double kLeftOutPerplexity = 10'000.0;

using SpaceReplacement = std::pair<std::string_view, std::string_view>;

// In the order of transformers.
constexpr std::array<SpaceReplacement, 10> kSpacesBefore = {{{" .", "."},
                                                             {" ?", "?"},
                                                             {" !", "!"},
                                                             {" ,", ","},
                                                             {" ' ", "'"},
                                                             {" n't", "n't"},
                                                             {" 'm", "'m"},
                                                             {" 's", "'s"},
                                                             {" 've", "'ve"},
                                                             {" 're", "'re"}}};

std::string without_space(std::string_view text, const SpaceReplacement& replacement) {
  const auto& [from, to] = replacement;
  std::string result;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from)) {
    result.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return result.append(text);
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = text.find(' '); at != text.npos; at = text.find(' ')) {
    words.push_back(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  words.push_back(text);
  return words;
}

double num_words(const std::string& text) {
  std::istringstream stream(text);
  int64_t count = 0;
  for (std::string word; stream >> word;) ++count;
  return static_cast<double>(count);
}

bool is_continuation_byte(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

}  // namespace

std::string clean_up_spaces(std::string text) {
  for (const SpaceReplacement& replacement : kSpacesBefore) text = without_space(text, replacement);
  return text;
}

std::string first_characters(std::string_view text, int64_t max_characters) {
  if (max_characters == 0) return std::string(text);
  int64_t count = 0;
  size_t end = 0;
  while (end < text.size() && count < max_characters) {
    ++end;
    while (end < text.size() && is_continuation_byte(text[end])) ++end;
    ++count;
  }
  return std::string(text.substr(0, end));
}

double distinct_share(std::span<const std::string> texts, int64_t n) {
  std::unordered_set<std::string> distinct;
  int64_t count = 0;
  for (const std::string& text : texts) {
    const std::vector<std::string_view> words = words_of(text);
    count += std::ssize(words);
    for (int64_t first = 0; first + n <= std::ssize(words); ++first) {
      std::string run;
      // No word holds a space: joined by one, different runs stay different.
      for (int64_t i = first; i < first + n; ++i) run.append(words[static_cast<size_t>(i)]) += ' ';
      distinct.insert(std::move(run));
    }
  }
  return count == 0 ? 0.0 : static_cast<double>(distinct.size()) / static_cast<double>(count);
}

std::vector<RatioFigure> variety_figures(std::span<const std::vector<std::string>> texts) {
  std::vector<RatioFigure> figures;
  for (int64_t n = 1; n <= kLongestRun; ++n) {
    std::vector<double> shares;
    for (const auto& own : texts) shares.push_back(distinct_share(own, n));
    figures.push_back(mean_figure(fmt::format("distinct_{}", n), std::move(shares)));
  }
  RatioFigure empty{.name = "empty_share"};
  RatioFigure words{.name = "mean_words"};
  for (const auto& own : texts) {
    empty.numerators.push_back(static_cast<double>(std::ranges::count_if(own, is_blank)));
    words.numerators.push_back(0.0);
    for (const std::string& text : own) words.numerators.back() += num_words(text);
    empty.denominators.push_back(static_cast<double>(own.size()));
  }
  words.denominators = empty.denominators;
  figures.push_back(std::move(empty));
  figures.push_back(std::move(words));
  return figures;
}

std::vector<RatioFigure> fluency_figures(std::span<const std::vector<TextFluency>> texts) {
  RatioFigure each{.name = "perplexity"};
  RatioFigure left_out{.name = "perplexity_left_out_share"};
  RatioFigure tokens{.name = "token_perplexity", .is_exponential = true};
  for (const auto& own : texts) {
    for (RatioFigure* figure : {&each, &left_out, &tokens}) {
      figure->numerators.push_back(0.0);
      figure->denominators.push_back(0.0);
    }
    for (const TextFluency& text : own) {
      if (text.tokens <= 0) continue;
      tokens.numerators.back() += text.nll;
      tokens.denominators.back() += static_cast<double>(text.tokens);
      const double perplexity = std::exp(text.nll / static_cast<double>(text.tokens));
      const bool is_left_out = !(perplexity < kLeftOutPerplexity);
      left_out.numerators.back() += is_left_out ? 1.0 : 0.0;
      left_out.denominators.back() += 1.0;
      if (is_left_out) continue;
      each.numerators.back() += perplexity;
      each.denominators.back() += 1.0;
    }
  }
  return {std::move(each), std::move(tokens), std::move(left_out)};
}

}  // namespace cpx::evaluation
