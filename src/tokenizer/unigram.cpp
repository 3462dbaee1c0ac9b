// SPDX-License-Identifier: Apache-2.0
#include "unigram.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "cpx/core/utf8.h"

namespace cpx::tokenizer {

namespace {

constexpr double kUnknownPenalty = 10.0;

StringMap<TokenId> ids_of(const std::vector<std::pair<std::string, double>>& pieces) {
  StringMap<TokenId> ids;
  ids.reserve(pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    ids.insert_or_assign(pieces[i].first, static_cast<TokenId>(i));
  }
  return ids;
}

}  // namespace

Unigram::Unigram(std::vector<std::pair<std::string, double>> pieces, UnigramOptions options)
    : WordModel(ids_of(pieces)), options_(options) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const auto& [piece, score] : pieces) {
    scores_.push_back(score);
    lowest = std::min(lowest, score);
    longest_ = std::max(longest_, piece.size());
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

std::vector<Unigram::Arrival> Unigram::best_arrivals(std::string_view word) const {
  std::vector<Arrival> best(word.size() + 1);
  const auto arrive = [&](size_t end, const Arrival& arrival) {
    if (!best[end].is_reached || arrival.score > best[end].score) best[end] = arrival;
  };
  for (size_t begin = 0; begin < word.size();) {
    const double before = best[begin].score;
    const size_t first_end = begin + decode_utf8(word, begin).length;
    const size_t last_end = std::min(word.size(), begin + longest_);
    bool has_first = false;
    for (size_t end = first_end; end <= last_end; end += decode_utf8(word, end).length) {
      if (const auto id = find(word.substr(begin, end - begin))) {
        has_first |= end == first_end;
        arrive(end, {.id = *id,
                     .score = scores_[static_cast<size_t>(*id)] + before,
                     .begin = begin,
                     .is_reached = true,
                     .is_unknown = id == options_.unknown_id});
      }
      if (end == word.size()) break;
    }
    if (!has_first) {
      arrive(first_end, {.score = unknown_score_ + before,
                         .begin = begin,
                         .is_reached = true,
                         .is_unknown = true});
    }
    begin = first_end;
  }
  return best;
}

void Unigram::encode(std::string_view word, std::vector<WordToken>& tokens) const {
  const std::vector<Arrival> best = best_arrivals(word);
  std::vector<std::string_view> pieces;  // from the last to the first
  bool was_unknown = false;
  for (size_t end = word.size(); end > 0;) {
    const Arrival& arrival = best[end];
    if (arrival.is_unknown && was_unknown) {  // neighbours that are unknown are one piece
      const size_t end_of_run =
          static_cast<size_t>(pieces.back().data() - word.data()) + pieces.back().size();
      pieces.back() = word.substr(arrival.begin, end_of_run - arrival.begin);
    } else {
      pieces.push_back(word.substr(arrival.begin, end - arrival.begin));
    }
    was_unknown = arrival.is_unknown;
    end = arrival.begin;
  }
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) append(*piece, tokens);
}

void Unigram::append(std::string_view piece, std::vector<WordToken>& tokens) const {
  const auto size = static_cast<uint32_t>(piece.size());
  if (const auto id = find(piece)) {
    tokens.push_back({*id, size});
    return;
  }
  if (options_.has_byte_fallback) {
    const size_t num_before = tokens.size();
    for (const char byte : piece) {
      const auto id = find(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
      if (!id) break;
      tokens.push_back({*id, 1});
    }
    if (tokens.size() == num_before + piece.size()) return;
    tokens.resize(num_before);
  }
  if (options_.unknown_id) tokens.push_back({*options_.unknown_id, size});
}

}  // namespace cpx::tokenizer
