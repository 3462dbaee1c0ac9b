// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/candidates.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "cpx/pipeline/rouge.h"

namespace cpx::pipeline {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view stripped(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view without_quotes(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kQuotes[] = {
      {"\"", "\""}, {"'", "'"}, {"`", "`"}, {"\xE2\x80\x9C", "\xE2\x80\x9D"}};
  for (const auto& [open, close] : kQuotes) {
    if (text.size() <= open.size() + close.size()) continue;
    if (!text.starts_with(open) || !text.ends_with(close)) continue;
    const auto inside = text.substr(open.size(), text.size() - open.size() - close.size());
    // "a" and "b" are two quotes, not one around both.
    if (inside.find(open) == std::string_view::npos) return stripped(inside);
  }
  return text;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Blanks in a row become one.
std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (!is_blank(c)) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

// What texts that count as the same have in common.
std::string key_of(std::string_view text) {
  std::string key = on_one_line(stripped(text));
  std::ranges::transform(key, key.begin(), lower);
  return key;
}

}  // namespace

std::string cleaned_candidate(std::string_view text, const CandidateOptions& options) {
  text = stripped(text);
  for (const std::string& header : options.headers) text = text.substr(0, text.find(header));
  std::string line = on_one_line(without_quotes(stripped(text)));
  if (options.lower_cases) std::ranges::transform(line, line.begin(), lower);
  return line;
}

RankedCandidates rank_candidates(std::string_view input, const std::vector<std::string>& candidates,
                                 const CandidateOptions& options) {
  const auto reference = rouge_tokens(input, options.stems);
  const std::string input_key = key_of(input);
  std::set<std::string> keys;
  RankedCandidates ranked;
  for (const std::string& candidate : candidates) {
    std::string text = cleaned_candidate(candidate, options);
    const std::string key = key_of(text);
    if (text.empty()) {
      ++ranked.num_empty;
    } else if (key == input_key) {
      ++ranked.num_copies;
    } else if (!keys.insert(key).second) {
      ++ranked.num_duplicates;
    } else {
      const double rouge = rouge_l(reference, rouge_tokens(text, options.stems)).f;
      ranked.kept.push_back({.text = std::move(text), .rouge = rouge});
    }
  }
  std::ranges::stable_sort(ranked.kept, std::greater<>(), &RankedCandidate::rouge);
  const auto keep = static_cast<size_t>(std::max<int64_t>(0, options.keep));
  if (ranked.kept.size() > keep) {
    ranked.num_surplus = std::ssize(ranked.kept) - options.keep;
    ranked.kept.resize(keep);
  }
  return ranked;
}

}  // namespace cpx::pipeline
