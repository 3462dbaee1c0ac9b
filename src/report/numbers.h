// SPDX-License-Identifier: Apache-2.0
// How the page spells numbers.
#pragma once

#include <cstdint>
#include <string>

namespace cpx::report {

/// For readers: four significant digits, whole numbers in full with commas ("3,049"), and powers of
/// ten for very large and small ones ("1.636e-19").
std::string shown(double number);
/// shown(), with its sign: "+0.12", "-3".
std::string shown_with_sign(double number);
/// For coordinates and the script: the fewest of `digits` significant digits that are needed.
std::string compact(double number, int digits = 5);
/// "4 min 12 s", "2 h 5 min", "8.2 s".
std::string shown_seconds(double seconds);

}  // namespace cpx::report
