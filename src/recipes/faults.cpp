// SPDX-License-Identifier: Apache-2.0
#include "faults.h"

#include "cpx/core/error.h"
#include "cpx/core/text.h"

namespace cpx::recipes {

void throw_first_of(const std::vector<std::string>& faults, std::string_view hint) {
  if (faults.empty()) return;
  const size_t more = faults.size() - 1;
  if (more == 0) throw DataError(faults.front());
  throw_<DataError>("{} ({}{})", faults.front(), counted(static_cast<int64_t>(more), "more fault"),
                    hint);
}

}  // namespace cpx::recipes
