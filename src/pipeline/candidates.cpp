// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/candidates.h"

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/data/record.h"
#include "cpx/pipeline/rouge.h"
#include "lower_case.h"
#include "trimmed.h"

namespace cpx::pipeline {

namespace {

struct Quotes {
  std::string_view open;
  std::string_view close;
};

// ASCII, curly, low and high, angled. The single ones are apostrophes too.
constexpr std::array<Quotes, 4> kDoubleQuotes = {{
    {"\"", "\""},
    {"\xE2\x80\x9C", "\xE2\x80\x9D"},
    {"\xE2\x80\x9E", "\xE2\x80\x9C"},
    {"\xC2\xAB", "\xC2\xBB"},
}};
constexpr std::array<Quotes, 3> kSingleQuotes = {{
    {"'", "'"},
    {"\xE2\x80\x98", "\xE2\x80\x99"},
    {"`", "`"},
}};

// Without its opening or closing quotes. Answers that were cut short lack the closing ones, so one
// side is enough; quotes inside mean that those at the ends need not be a pair.
std::string_view without_double_quotes(std::string_view text, const Quotes& quotes) {
  std::string_view inner = text;
  if (inner.starts_with(quotes.open)) inner.remove_prefix(quotes.open.size());
  if (inner.ends_with(quotes.close)) inner.remove_suffix(quotes.close.size());
  const bool has_more =
      inner.find(quotes.open) != inner.npos || inner.find(quotes.close) != inner.npos;
  return has_more ? text : inner;
}

// Without a pair of single quotes around it; those inside may be apostrophes.
std::string_view without_single_quotes(std::string_view text, const Quotes& quotes) {
  const bool is_quoted = text.size() >= quotes.open.size() + quotes.close.size() &&
                         text.starts_with(quotes.open) && text.ends_with(quotes.close);
  if (!is_quoted) return text;
  text.remove_prefix(quotes.open.size());
  text.remove_suffix(quotes.close.size());
  return text;
}

std::string_view without_blanks_and_quotes(std::string_view text) {
  for (size_t size_before = text.size() + 1; text.size() < size_before;) {
    size_before = text.size();
    text = trimmed(text);
    for (const Quotes& quotes : kDoubleQuotes) text = without_double_quotes(text, quotes);
    for (const Quotes& quotes : kSingleQuotes) text = without_single_quotes(text, quotes);
  }
  return text;
}

// What two texts have in common that count as the same one: lower case, one blank between words.
std::string comparison_key(std::string_view text) {
  std::string key;
  for (const char c : lower_case(without_blanks_and_quotes(text))) {
    const bool is_blank = kBlanks.find(c) != kBlanks.npos;
    if (!is_blank) {
      key += c;
    } else if (!key.ends_with(' ')) {
      key += ' ';
    }
  }
  return key;
}

// Cleans, drops and counts; what stays is in the order drawn and has no score yet.
CandidateSelection drop_useless(std::string_view input, std::span<const std::string> sampled,
                                const CandidateOptions& options) {
  CandidateSelection selection;
  CandidateCounts& counts = selection.counts;
  const std::string input_key = comparison_key(input);
  std::unordered_set<std::string> seen;
  for (const std::string& answer : sampled) {
    RankedText candidate{.text = clean_candidate(answer, options)};
    std::string key = comparison_key(candidate.text);
    if (key.empty()) {
      ++counts.empty;
    } else if (key == input_key) {
      ++counts.copies;
    } else if (!seen.insert(std::move(key)).second) {
      ++counts.duplicates;
    } else {
      selection.kept.push_back(std::move(candidate));
    }
  }
  return selection;
}

void rank(std::vector<RankedText>& candidates, std::string_view input, bool use_stemmer) {
  const std::vector<std::string> input_tokens = rouge_tokens(input, use_stemmer);
  for (RankedText& candidate : candidates) {
    candidate.rouge_l = rouge_l(input_tokens, rouge_tokens(candidate.text, use_stemmer)).f;
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const RankedText& a, const RankedText& b) { return a.rouge_l > b.rouge_l; });
}

}  // namespace

std::string clean_candidate(std::string_view sampled, const CandidateOptions& options) {
  size_t end = sampled.size();
  for (const std::string& header : options.headers) {
    CPX_CHECK(!header.empty(), "[candidates] a header is empty, expected a text.");
    end = std::min(end, sampled.find(header));
  }
  const std::string unescaped = data::unescape(std::string(sampled.substr(0, end)));
  const std::string_view text = without_blanks_and_quotes(unescaped);
  return options.lower_case ? lower_case(text) : std::string(text);
}

CandidateSelection select_candidates(std::string_view input, std::span<const std::string> sampled,
                                     const CandidateOptions& options) {
  CPX_CHECK(options.keep > 0, "[candidates] keep is {}, expected 1 or more.", options.keep);
  CandidateSelection selection = drop_useless(input, sampled, options);
  rank(selection.kept, input, options.use_stemmer);
  const auto num_usable = static_cast<int64_t>(selection.kept.size());
  const int64_t num_kept = std::min(num_usable, options.keep);
  selection.kept.resize(static_cast<size_t>(num_kept));
  selection.counts.wanted = options.keep;
  selection.counts.drawn = static_cast<int64_t>(sampled.size());
  selection.counts.kept = num_kept;
  selection.counts.outranked = num_usable - num_kept;
  return selection;
}

std::string describe(const CandidateCounts& counts) {
  std::string dropped;
  const auto add = [&](int64_t count, std::string_view one, std::string_view several) {
    if (count == 0) return;
    dropped += (dropped.empty() ? "" : ", ") + counted(count, one, several);
  };
  add(counts.empty, "empty", "empty");
  add(counts.copies, "copy of the input", "copies of the input");
  add(counts.duplicates, "duplicate", "duplicates");
  add(counts.outranked, "ranked lower", "ranked lower");
  return fmt::format("{} of {} kept from {} drawn{}", counts.kept, counts.wanted, counts.drawn,
                     dropped.empty() ? "" : " (" + dropped + ")");
}

CandidateCounts operator+(const CandidateCounts& a, const CandidateCounts& b) {
  return {
      .wanted = a.wanted + b.wanted,
      .drawn = a.drawn + b.drawn,
      .kept = a.kept + b.kept,
      .empty = a.empty + b.empty,
      .copies = a.copies + b.copies,
      .duplicates = a.duplicates + b.duplicates,
      .outranked = a.outranked + b.outranked,
  };
}

}  // namespace cpx::pipeline
