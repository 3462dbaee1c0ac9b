// SPDX-License-Identifier: Apache-2.0
// A unigram language model: of all ways to cut a word into tokens, the one with the largest sum of
// log-probabilities.
// Source: Kudo, "Subword Regularization", arXiv 1804.10959, section 3.2; options and ties as in
// tokenizers 0.23.3, models/unigram/model.rs (encode_optimized).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "word_model.h"

namespace cpx::tokenizer {

struct UnigramOptions {
  std::optional<TokenId> unknown_id = {};
  bool has_byte_fallback = false;  // what is unknown becomes tokens <0x00> to <0xFF>
};

/// Immutable after construction.
class Unigram final : public WordModel {
 public:
  /// `pieces` by id, with their log-probabilities; of equal spellings the last counts.
  Unigram(std::vector<std::pair<std::string, double>> pieces, UnigramOptions options);

  void encode(std::string_view word, std::vector<WordToken>& tokens) const override;

 private:
  // The best way to a place within a word.
  struct Arrival {
    TokenId id = 0;
    double score = 0;
    size_t begin = 0;  // of its last token
    bool is_reached = false;
    bool is_unknown = false;
  };

  std::vector<Arrival> best_arrivals(std::string_view word) const;
  void append(std::string_view piece, std::vector<WordToken>& tokens) const;

  UnigramOptions options_;
  std::vector<double> scores_;  // by id
  double unknown_score_ = 0;
  size_t longest_ = 0;  // bytes of a token
};

}  // namespace cpx::tokenizer
