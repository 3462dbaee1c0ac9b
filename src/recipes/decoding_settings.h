// SPDX-License-Identifier: Apache-2.0
// What a model's texts depend on, as it is recorded beside an output that goes on.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "cpx/pipeline/shard_journal.h"
#include "cpx/recipes/decoding.h"

namespace cpx::recipes {

/// The settings that the texts depend on, but for the prompts. The compute type must be settled.
std::vector<pipeline::Setting> decoding_settings(const Decoding& decoding);

/// `decoding` with a compute type of `auto` settled: as the first of `outputs` was begun with that
/// was, else measured. A machine that is busy may choose another type when it goes on.
Decoding with_settled_type(Decoding decoding, std::span<const std::filesystem::path> outputs);

}  // namespace cpx::recipes
