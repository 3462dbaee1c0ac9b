// SPDX-License-Identifier: Apache-2.0
// Texts of groups with their token NLLs: what an objective over contrast groups reads.
// N = predictions of a micro batch.
#pragma once

#include <cstdint>
#include <span>

#include "cpx/core/text_role.h"
#include "cpx/objectives/token_range.h"

namespace cpx::objectives {

/// One text of a group: its input, a positive or a negative.
struct GroupText {
  int64_t group = 0;  // 0 .. num_groups - 1
  TextRole role = TextRole::kPositive;
  TokenRange tokens = {};  // its predictions; an empty text is an error
};

/// A micro batch. Texts may come in any order; nothing is kept of the spans.
struct TextBatch {
  std::span<const GroupText> texts = {};
  int64_t num_groups = 0;
  std::span<const double> token_nll = {};  // [N] natural log
};

}  // namespace cpx::objectives
