// SPDX-License-Identifier: Apache-2.0
// Which inputs of its files an evaluation takes, and how its report names them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compared_models.h"
#include "cpx/core/output_check.h"

namespace cpx::recipes {

/// `limit` numbers below `size`, drawn by the seed and in order; all of them for a limit of 0 or
/// one that is not reached.
std::vector<int64_t> drawn_numbers(int64_t size, int64_t limit, uint64_t seed);

/// "a.jsonl: 362671 bytes, de5fa3660e4cfda2" for each file that the patterns stand for.
std::vector<std::string> described_files(const std::vector<std::string>& patterns);

/// Adds what every evaluation of texts reads and writes: the model (empty: none), the adapters, the
/// scorers, the texts of the models and the report.
void add_evaluation_files(OutputCheck& outputs, const std::filesystem::path& model,
                          const std::vector<ComparedModel>& models,
                          const std::vector<std::filesystem::path>& scorers,
                          const std::optional<std::filesystem::path>& report);

}  // namespace cpx::recipes
