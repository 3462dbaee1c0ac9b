// SPDX-License-Identifier: Apache-2.0
// The page's style sheet and script: the files of src/report/assets/, embedded when cpx is built.
#pragma once

#include <string_view>

namespace cpx::report {

extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;
/// Their SHA-256 in hexadecimal digits, for the page's content security policy.
extern const std::string_view kPageStyleHash;
extern const std::string_view kPageScriptHash;

}  // namespace cpx::report
