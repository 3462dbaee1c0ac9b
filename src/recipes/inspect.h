// SPDX-License-Identifier: Apache-2.0
// Shows token sequences as the model gets them.
#pragma once

#include <span>
#include <string>

#include "cpx/data/packed_batch.h"
#include "cpx/data/pair_encoder.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::recipes {

/// Pieces, ids and loss mask (1: the token is predicted, as all are but the first `num_given`) in
/// aligned columns, wrapped to `width` characters; each line is indented by two spaces.
std::string token_table(const tokenizer::Tokenizer& tokenizer,
                        std::span<const tokenizer::TokenId> ids, size_t width = 100,
                        size_t num_given = 1);

/// The same; predicted are the tokens of `predicted`.
std::string token_table(const tokenizer::Tokenizer& tokenizer,
                        std::span<const tokenizer::TokenId> ids,
                        std::span<const data::PredictedSpan> predicted, size_t width = 100);

/// The pair's prompt and each answer: a line with the part it plays and its counts, and its table.
std::string pair_tables(const tokenizer::Tokenizer& tokenizer, const data::EncodedPair& pair,
                        size_t width = 100);

}  // namespace cpx::recipes
