// SPDX-License-Identifier: Apache-2.0
// Porter's stemmer as NLTK runs it by default (NLTK_EXTENSIONS), which is what ROUGE's peers use.
#pragma once

#include <string>
#include <string_view>

namespace cpx::pipeline {

/// The stem of a word of lower-case ASCII letters and digits: "running" gives "run". Any other byte
/// counts as a consonant.
std::string porter_stem(std::string_view word);

}  // namespace cpx::pipeline
