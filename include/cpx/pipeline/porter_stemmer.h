// SPDX-License-Identifier: Apache-2.0
// The stem of an English word.
// Source: Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the departures
// that NLTK 3.9 makes by default (PorterStemmer.NLTK_EXTENSIONS), which rouge_score uses.
#pragma once

#include <string>
#include <string_view>

namespace cpx::pipeline {

/// The stem of `word`, which is in lower case.
std::string porter_stem(std::string_view word);

}  // namespace cpx::pipeline
