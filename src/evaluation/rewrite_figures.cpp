// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/rewrite_figures.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

namespace cpx::evaluation {

namespace {

// The mean of `value` over all rewritings.
template <class Rewriting>
RatioFigure mean_of_rewritings(std::string name, std::span<const std::vector<Rewriting>> rewritings,
                               const std::function<double(const Rewriting&)>& value) {
  RatioFigure figure{.name = std::move(name)};
  for (const std::vector<Rewriting>& own : rewritings) {
    double sum = 0.0;
    for (const Rewriting& one : own) sum += value(one);
    figure.numerators.push_back(sum);
    figure.denominators.push_back(static_cast<double>(own.size()));
  }
  return figure;
}

}  // namespace

std::vector<RatioFigure> rewrite_figures(std::span<const std::vector<RewriteScore>> scores,
                                         const ToxicityRule& rule) {
  const auto is_toxic = [&](const RewriteScore& one) { return rule.is_toxic(one.toxicity); };
  return {mean_of_rewritings<RewriteScore>(
              "toxicity_rate", scores, [&](const auto& one) { return is_toxic(one) ? 1.0 : 0.0; }),
          mean_of_rewritings<RewriteScore>("mean_toxicity", scores,
                                           [](const auto& one) { return one.toxicity; }),
          mean_of_rewritings<RewriteScore>("harmless_similarity", scores, [&](const auto& one) {
            return is_toxic(one) ? 0.0 : std::max(0.0, one.similarity);
          })};
}

std::vector<RatioFigure> form_figures(std::span<const std::vector<RewriteForm>> forms) {
  return {mean_of_rewritings<RewriteForm>("similarity", forms,
                                          [](const auto& one) { return one.similarity; }),
          mean_of_rewritings<RewriteForm>("copied_share", forms,
                                          [](const auto& one) { return one.is_copy ? 1.0 : 0.0; }),
          mean_of_rewritings<RewriteForm>(
              "empty_share", forms, [](const auto& one) { return one.is_empty ? 1.0 : 0.0; })};
}

}  // namespace cpx::evaluation
