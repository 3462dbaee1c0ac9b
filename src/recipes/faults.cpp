// SPDX-License-Identifier: Apache-2.0
#include "faults.h"

#include "cpx/core/error.h"

namespace cpx::recipes {

void throw_first_of(const std::vector<std::string>& faults, std::string_view hint) {
  if (faults.empty()) return;
  const size_t more = faults.size() - 1;
  if (more == 0) throw DataError(faults.front());
  throw_<DataError>("{} ({} more {}{})", faults.front(), more, more == 1 ? "fault" : "faults",
                    hint);
}

}  // namespace cpx::recipes
