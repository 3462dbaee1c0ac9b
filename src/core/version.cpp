// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/version.h"

namespace cpx {

std::string_view version() { return CPX_VERSION; }

}  // namespace cpx
