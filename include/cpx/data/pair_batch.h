// SPDX-License-Identifier: Apache-2.0
// Packs pairs for a model: the tokens of an answer are predicted, those of its prompt are given.
#pragma once

#include <span>

#include "cpx/data/packed_batch.h"
#include "cpx/data/pair_encoder.h"

namespace cpx::data {

/// Packs the answers of `pairs` in order, each behind its prompt. The group of a text is its pair,
/// its role kPositive for the chosen answer (the first) and kHardNegative for the others.
///
/// With `shares_prompts` the pack contains the tokens of a prompt once for all its answers
/// (PackedBatch::token_of_place), and the last token of an answer, which predicts nothing, is left
/// out. The predictions and their order are the same. Throws std::invalid_argument as pack() does.
PackedBatch pack_pairs(std::span<const EncodedPair> pairs, bool shares_prompts);

}  // namespace cpx::data
