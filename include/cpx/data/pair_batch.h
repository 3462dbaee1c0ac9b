// SPDX-License-Identifier: Apache-2.0
// Pairs packed for a model: an answer's tokens are predicted, its prompt's are given.
#pragma once

#include <span>

#include "cpx/data/packed_batch.h"
#include "cpx/data/pair_encoder.h"

namespace cpx::data {

/// Packs the answers of `pairs` in their order, each behind its prompt; a text's group is its pair,
/// its role kPositive for the chosen answer (the first) and kHardNegative for the others.
///
/// With `shares_prompts` a prompt's tokens stand in the pack once for all its answers
/// (PackedBatch::token_of_place), and an answer's last token, which predicts nothing, is left out.
/// The predictions are the same ones in the same order. Throws std::invalid_argument as pack().
PackedBatch pack_pairs(std::span<const EncodedPair> pairs, bool shares_prompts);

}  // namespace cpx::data
