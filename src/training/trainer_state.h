// SPDX-License-Identifier: Apache-2.0
// trainer_state.json: text to TrainerState and back.
#pragma once

#include <string>
#include <string_view>

#include "cpx/training/checkpoint.h"

namespace cpx::training {

std::string trainer_state_text(const TrainerState& state);

/// `file` is for messages. Throws DataError that names the key.
TrainerState parse_trainer_state(std::string_view text, const std::string& file);

}  // namespace cpx::training
