// SPDX-License-Identifier: Apache-2.0
// Where a text's predictions lie among those of a micro batch.
#pragma once

#include <cstdint>

namespace cpx::objectives {

/// The predictions of one text, token_nll[first, first + count); ranges do not overlap.
struct TokenRange {
  int64_t first = 0;
  int64_t count = 0;
};

}  // namespace cpx::objectives
