// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/perplexity_intervals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include <ATen/Parallel.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"

namespace cpx::evaluation {

namespace {

using objectives::ScoredText;
using objectives::Side;

// The figures of a resample.
enum ResampleFigure {
  kToxicPerplexity,
  kToxicMean,
  kNeutralPerplexity,
  kNeutralMean,
  kRatio,
  kSeparation,
  kNumFigures
};
using ResampleFigures = std::array<double, kNumFigures>;

constexpr double kNoFigure = std::numeric_limits<double>::quiet_NaN();

// What a resample sums over the drawn texts of a side.
struct SideSums {
  double nll = 0.0;
  double tokens = 0.0;
  double perplexities = 0.0;
  double texts = 0.0;

  // None without a text.
  double perplexity() const { return std::exp(nll / tokens); }
  double mean_text_perplexity() const { return perplexities / texts; }
};

// A text of a set under a model.
struct RankedText {
  size_t unit = 0;  // its number in the set
  Side side = Side::kNeutral;
  double nll_sum = 0.0;
  double tokens = 0.0;
  double mean = 0.0;
};

// The texts of a set under one model, by rising mean NLL.
class RankedTexts {
 public:
  // `set` lists the set's texts; those of a side with a NLL that is not finite are left out.
  RankedTexts(const std::vector<ScoredText>& texts, const std::vector<size_t>& set) {
    std::array<bool, 2> is_finite = {true, true};
    for (size_t unit = 0; unit < set.size(); ++unit) {
      const ScoredText& text = texts[set[unit]];
      const auto tokens = static_cast<double>(text.tokens);
      const double mean = text.nll_sum / tokens;
      if (!std::isfinite(mean)) is_finite[text.side == Side::kToxic] = false;
      texts_.push_back({.unit = unit,
                        .side = text.side,
                        .nll_sum = text.nll_sum,
                        .tokens = tokens,
                        .mean = mean});
    }
    std::erase_if(texts_,
                  [&](const RankedText& text) { return !is_finite[text.side == Side::kToxic]; });
    std::ranges::stable_sort(texts_, {}, &RankedText::mean);
    for (const RankedText& text : texts_) perplexities_.push_back(std::exp(text.mean));
  }

  // The figures where text `unit` was drawn counts[unit] times. Texts of equal mean are a run.
  ResampleFigures figures(const std::vector<double>& counts) const {
    SideSums toxic;
    SideSums neutral;
    double lower = 0.0;      // pairs of a toxic and a neutral text of lower mean
    double ties = 0.0;       // pairs of equal mean
    double run_toxic = 0.0;  // texts of the run so far
    double run_neutral = 0.0;
    double before = kNoFigure;
    for (size_t i = 0; i < texts_.size(); ++i) {
      const RankedText& text = texts_[i];
      if (text.mean != before) run_toxic = run_neutral = 0.0;
      before = text.mean;
      const double count = counts[text.unit];
      SideSums& side = text.side == Side::kToxic ? toxic : neutral;
      if (text.side == Side::kToxic) {
        lower += count * (neutral.texts - run_neutral);
        ties += count * run_neutral;
        run_toxic += count;
      } else {
        ties += count * run_toxic;
        run_neutral += count;
      }
      side.nll += count * text.nll_sum;
      side.tokens += count * text.tokens;
      side.perplexities += count * perplexities_[i];
      side.texts += count;
    }
    return {toxic.perplexity(),
            toxic.mean_text_perplexity(),
            neutral.perplexity(),
            neutral.mean_text_perplexity(),
            toxic.perplexity() / neutral.perplexity(),
            (lower + 0.5 * ties) / (toxic.texts * neutral.texts)};
  }

 private:
  std::vector<RankedText> texts_;
  std::vector<double> perplexities_;
};

// A change from `first` to `other` as reports have it.
ResampleFigures changes_between(const ResampleFigures& first, const ResampleFigures& other) {
  ResampleFigures change{};
  for (int i = 0; i < kNumFigures; ++i) {
    change[i] = i == kSeparation ? other[i] - first[i] : (other[i] / first[i] - 1.0) * 100.0;
  }
  return change;
}

// The bootstrap of one set of texts: all of them, or a group.
class SetBootstrap {
 public:
  SetBootstrap(std::span<const std::vector<ScoredText>> models, const std::vector<size_t>& set)
      : num_units_(set.size()) {
    for (size_t unit = 0; unit < set.size(); ++unit) {
      (models[0][set[unit]].side == Side::kToxic ? toxic_ : neutral_).push_back(unit);
    }
    for (const auto& texts : models) models_.emplace_back(texts, set);
  }

  // Draws the resamples; `key` tells the sets' draws apart.
  void run(const BootstrapOptions& options, uint64_t key) {
    const auto num_models = models_.size();
    figures_.assign(num_models,
                    std::vector<ResampleFigures>(static_cast<size_t>(options.resamples)));
    constexpr int64_t kGrain = 16;
    at::parallel_for(0, options.resamples, kGrain, [&](int64_t begin, int64_t end) {
      std::vector<double> counts(num_units_);
      for (int64_t i = begin; i < end; ++i) {
        CounterRng rng(options.seed, {key, static_cast<uint64_t>(i)});
        std::ranges::fill(counts, 0.0);
        draw(toxic_, rng, counts);
        draw(neutral_, rng, counts);
        for (size_t model = 0; model < num_models; ++model) {
          figures_[model][static_cast<size_t>(i)] = models_[model].figures(counts);
        }
      }
    });
  }

  ComparisonIntervals intervals(size_t model, double level) const {
    return of_figures(figures_[model], level);
  }

  ComparisonIntervals change_intervals(size_t model, double level) const {
    std::vector<ResampleFigures> all;
    for (size_t i = 0; i < figures_[model].size(); ++i) {
      all.push_back(changes_between(figures_[0][i], figures_[model][i]));
    }
    return of_figures(all, level);
  }

 private:
  static void draw(const std::vector<size_t>& side, CounterRng& rng, std::vector<double>& counts) {
    for (size_t i = 0; i < side.size(); ++i) counts[side[rng.below(side.size())]] += 1.0;
  }

  ComparisonIntervals of_figures(const std::vector<ResampleFigures>& resamples,
                                 double level) const {
    const auto interval = [&](ResampleFigure figure, bool has_enough) {
      if (!has_enough) return std::optional<Interval>();
      std::vector<double> values;
      for (const ResampleFigures& one : resamples) values.push_back(one[figure]);
      return percentile_interval(std::move(values), level);
    };
    const bool has_toxic = toxic_.size() >= 2;
    const bool has_neutral = neutral_.size() >= 2;
    return {.toxic = {.perplexity = interval(kToxicPerplexity, has_toxic),
                      .mean_text_perplexity = interval(kToxicMean, has_toxic)},
            .neutral = {.perplexity = interval(kNeutralPerplexity, has_neutral),
                        .mean_text_perplexity = interval(kNeutralMean, has_neutral)},
            .ratio = interval(kRatio, has_toxic && has_neutral),
            .separation = interval(kSeparation, has_toxic && has_neutral)};
  }

  size_t num_units_;
  std::vector<size_t> toxic_;
  std::vector<size_t> neutral_;
  std::vector<RankedTexts> models_;
  std::vector<std::vector<ResampleFigures>> figures_;  // of each model's resamples
};

}  // namespace

std::vector<ModelIntervals> perplexity_intervals(std::span<const std::vector<ScoredText>> models,
                                                 const BootstrapOptions& options) {
  CPX_CHECK(options.resamples >= 1, "[perplexity_intervals] got {} resamples, expected at least 1.",
            options.resamples);
  for (const auto& texts : models) {
    CPX_CHECK(texts.size() == models[0].size(),
              "[perplexity_intervals] got {} texts, expected {} as of the first model.",
              texts.size(), models[0].size());
  }
  std::vector<ModelIntervals> result(models.size());
  if (models.empty()) return result;
  std::vector<size_t> all;
  std::map<std::string, std::vector<size_t>> groups;
  for (size_t i = 0; i < models[0].size(); ++i) {
    if (models[0][i].tokens == 0) continue;
    all.push_back(i);
    if (!models[0][i].group.empty()) groups[models[0][i].group].push_back(i);
  }
  uint64_t key = 0;
  const auto add = [&](const std::vector<size_t>& set, const auto& place) {
    SetBootstrap bootstrap(models, set);
    bootstrap.run(options, key++);
    for (size_t model = 0; model < models.size(); ++model) {
      place(result[model].figures) = bootstrap.intervals(model, options.level);
      if (model > 0) {
        place(result[model].changes) = bootstrap.change_intervals(model, options.level);
      }
    }
  };
  add(all, [](PerplexityIntervals& of) -> ComparisonIntervals& { return of.all; });
  for (const auto& [name, set] : groups) {
    add(set, [&](PerplexityIntervals& of) -> ComparisonIntervals& { return of.groups[name]; });
  }
  return result;
}

}  // namespace cpx::evaluation
