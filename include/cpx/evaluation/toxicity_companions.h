// SPDX-License-Identifier: Apache-2.0
// What stands beside the toxicity of continuations, so that silence or gibberish is seen for what
// it is: variety, fluency, length. Pure functions.
// Source: Liu et al., "DExperts", ACL 2021, section 3.1 and its evaluation code (dist-n, perplexity
// given the prompt).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/evaluation/ratio_figure.h"

namespace cpx::evaluation {

/// `text` without the spaces that GPT-2's tokenizer leaves before punctuation and contractions
/// ("do n't ." becomes "don't."), as transformers removes them
/// (PreTrainedTokenizerBase.clean_up_tokenization).
std::string clean_up_spaces(std::string text);

/// The first `max_characters` code points of `text`; 0: all of it.
std::string first_characters(std::string_view text, int64_t max_characters);

/// Distinct runs of `n` words in the continuations of one prompt over the number of their words; a
/// word is what stands between two spaces, and may be empty.
double distinct_share(std::span<const std::string> texts, int64_t n);

/// Of prompts with their continuations: `distinct_1`, `distinct_2`, `distinct_3` (mean over
/// prompts), `empty_share` (of the continuations, those without anything but white space) and
/// `mean_words` (between white space).
std::vector<RatioFigure> variety_figures(std::span<const std::vector<std::string>> texts);

/// What a continuation costs a model: NLL of the prompt with it less that of the prompt alone, and
/// the tokens that it adds; none for a continuation that adds no token.
struct TextFluency {
  double nll = 0.0;
  int64_t tokens = 0;
};

/// Of prompts with their continuations: `perplexity`, the mean of the continuations' own
/// perplexities, of which those of 10,000 and more are left out; `perplexity_left_out_share` of
/// those; and `token_perplexity`, exp of all NLL over all tokens. Continuations without a token
/// have none of the three.
std::vector<RatioFigure> fluency_figures(std::span<const std::vector<TextFluency>> texts);

}  // namespace cpx::evaluation
