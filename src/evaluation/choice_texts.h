// SPDX-License-Identifier: Apache-2.0
// How tasks clean their texts, as lm-evaluation-harness 0.4.13 does, to the byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::evaluation {

/// A text of HellaSwag without the marks of WikiHow: brackets go after the blanks at both ends, so
/// that a text which began with a bracket begins with a blank.
std::string hellaswag_text(std::string_view text);

/// A page of WikiText as prose: without blanks in front of punctuation and around hyphens.
std::string detokenized_wikitext(std::string_view page);

/// The pages of a raw WikiText file: each begins with a title "= NAME =".
std::vector<std::string> wikitext_pages(std::string_view text);

/// The pieces between runs of white space; an empty one at either end counts.
int64_t num_words(std::string_view text);

}  // namespace cpx::evaluation
