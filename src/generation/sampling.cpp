// SPDX-License-Identifier: Apache-2.0
#include "cpx/generation/sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <stdexcept>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "cpx/core/faults.h"

namespace cpx::generation {

namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();
// top_p sorts at least this many candidates at first, and four times as many each time that their
// probabilities do not sum up to p.
constexpr int64_t kFirstCandidates = 64;
// Scores of one block, whose maximum or sum is computed at once.
constexpr size_t kBlock = 64;

// Writes the softmax of `scores` to `probabilities`, by LibTorch's vector code.
void softmax(std::span<const float> scores, std::span<float> probabilities) {
  const auto size = static_cast<int64_t>(scores.size());
  auto from = at::from_blob(const_cast<float*>(scores.data()), {size}, at::kFloat);
  auto to = at::from_blob(probabilities.data(), {size}, at::kFloat);
  at::softmax_out(to, from, 0);
}

}  // namespace

void check(const SamplingOptions& options) {
  Faults faults;
  const auto require = [&](bool is_met, const char* name, double value, const char* expected) {
    if (!is_met) faults.add_at("sampling", name, "got {}, expected {}.", value, expected);
  };
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  require(options.temperature >= 0.0 && std::isfinite(options.temperature), "temperature",
          options.temperature, "0 (greedy) or more");
  require(options.top_k >= 0, "top_k", number(options.top_k), "0 (all) or more");
  require(options.top_p > 0.0 && options.top_p <= 1.0, "top_p", options.top_p,
          "more than 0, at most 1");
  require(options.min_p >= 0.0 && options.min_p <= 1.0, "min_p", options.min_p, "0 to 1");
  require(options.repetition_penalty > 0.0 && std::isfinite(options.repetition_penalty),
          "repetition_penalty", options.repetition_penalty, "more than 0");
  require(options.no_repeat_ngram >= 0, "no_repeat_ngram", number(options.no_repeat_ngram),
          "0 (off) or more");
  require(options.penalty_alpha >= 0.0 && options.penalty_alpha <= 1.0, "penalty_alpha",
          options.penalty_alpha, "0 (off) to 1");
  if (options.is_contrastive() && options.temperature != 0.0) {
    faults.add_at(
        "sampling", "penalty_alpha",
        "got {} with temperature {}, expected temperature 0: contrastive search draws nothing "
        "(transformers ignores penalty_alpha while it samples). Leave it out to sample.",
        options.penalty_alpha, options.temperature);
  }
  if (options.is_contrastive() && (options.top_k == 0 || options.top_k == 1)) {
    faults.add_at("sampling", "top_k",
                  "got {} with penalty_alpha {}, expected at least 2: the tokens that contrastive "
                  "search chooses from.",
                  options.top_k, options.penalty_alpha);
  }
  require(options.max_new_tokens >= 1, "max_new_tokens", number(options.max_new_tokens),
          "at least 1");
  require(options.min_new_tokens >= 0 && options.min_new_tokens <= options.max_new_tokens,
          "min_new_tokens", number(options.min_new_tokens), "0 to max_new_tokens");
  faults.throw_if_any();
}

double log_probability(std::span<const float> scores, int64_t id) {
  const auto highest = static_cast<double>(std::ranges::max(scores));
  double sum = 0.0;
  for (const float score : scores) sum += std::exp(static_cast<double>(score) - highest);
  return static_cast<double>(scores[static_cast<size_t>(id)]) - highest - std::log(sum);
}

// Penalises each token once, however often it occurs.
void Sampler::penalise_repetitions(std::span<float> scores, std::span<const int64_t> ids) {
  candidates_.assign(ids.begin(), ids.end());
  std::ranges::sort(candidates_);
  const auto repeated = std::ranges::unique(candidates_);
  candidates_.erase(repeated.begin(), repeated.end());
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  for (const int64_t id : candidates_) {
    if (id < 0 || id >= std::ssize(scores)) continue;
    float& score = scores[static_cast<size_t>(id)];
    score = score < 0.0F ? score * penalty : score / penalty;
  }
}

void Sampler::ban_repeated_ngrams(std::span<float> scores, std::span<const int64_t> ids) const {
  const auto size = static_cast<size_t>(options_.no_repeat_ngram);
  if (ids.size() + 1 < size) return;
  const auto last = ids.last(size - 1);
  for (size_t begin = 0; begin + size <= ids.size(); ++begin) {
    const auto ngram = ids.subspan(begin, size);
    if (std::ranges::equal(ngram.first(size - 1), last)) {
      scores[static_cast<size_t>(ngram.back())] = kBanned;
    }
  }
}

// A lower bound for the count-th largest number: the count-th largest of the block maxima. Numbers
// below it need not be sorted.
float Sampler::top_k_threshold(std::span<const float> numbers, int64_t count) {
  block_highest_.clear();
  for (size_t begin = 0; begin < numbers.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, numbers.size());
    float highest = kBanned;
#pragma omp simd reduction(max : highest)
    for (size_t i = begin; i < end; ++i) highest = numbers[i] > highest ? numbers[i] : highest;
    block_highest_.push_back(highest);
  }
  if (count > std::ssize(block_highest_)) return kBanned;
  const auto threshold = block_highest_.begin() + count - 1;
  std::nth_element(block_highest_.begin(), threshold, block_highest_.end(), std::greater<>());
  return *threshold;
}

void Sampler::keep_top_k(std::span<float> scores) {
  if (options_.top_k >= std::ssize(scores)) return;
  const float bound = top_k_threshold(scores, options_.top_k);
  numbers_.clear();
  std::ranges::copy_if(scores, std::back_inserter(numbers_),
                       [bound](float score) { return score >= bound; });
  const auto lowest_kept = numbers_.begin() + options_.top_k - 1;
  std::nth_element(numbers_.begin(), lowest_kept, numbers_.end(), std::greater<>());
  const float least = *lowest_kept;
  for (float& score : scores) score = score < least ? kBanned : score;
}

// Keeps a token if the probabilities of the tokens above it sum up to less than p.
void Sampler::keep_top_p(std::span<float> scores) {
  numbers_.resize(scores.size());
  softmax(scores, numbers_);
  const auto probability = [this](int64_t id) { return numbers_[static_cast<size_t>(id)]; };
  const auto is_above = [&](int64_t left, int64_t right) {
    const float one = probability(left);
    const float other = probability(right);
    return one != other ? one > other : left < right;
  };
  for (int64_t count = kFirstCandidates;; count *= 4) {
    const float bound = top_k_threshold(numbers_, count);
    candidates_.clear();
    for (int64_t id = 0; id < std::ssize(scores); ++id) {
      if (probability(id) >= bound) candidates_.push_back(id);
    }
    std::ranges::sort(candidates_, is_above);
    double above = 0.0;
    auto end = candidates_.begin();
    for (; end != candidates_.end() && above < options_.top_p; ++end) {
      above += static_cast<double>(probability(*end));
    }
    const bool are_all = std::ssize(candidates_) == std::ssize(scores);
    if (end == candidates_.end() && !are_all) continue;  // they may not reach p
    candidates_.erase(end, candidates_.end());
    break;
  }
  keep_candidates(scores);
}

// Bans all but the candidates.
void Sampler::keep_candidates(std::span<float> scores) {
  numbers_.clear();
  for (const int64_t id : candidates_) numbers_.push_back(scores[static_cast<size_t>(id)]);
  std::ranges::fill(scores, kBanned);
  for (size_t i = 0; i < candidates_.size(); ++i) {
    scores[static_cast<size_t>(candidates_[i])] = numbers_[i];
  }
}

void Sampler::keep_min_p(std::span<float> scores) {
  numbers_.resize(scores.size());
  softmax(scores, numbers_);
  const float least = static_cast<float>(options_.min_p) * std::ranges::max(numbers_);
  for (size_t i = 0; i < scores.size(); ++i) {
    if (numbers_[i] < least) scores[i] = kBanned;
  }
}

void Sampler::process(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new) {
  if (options_.repetition_penalty != 1.0) penalise_repetitions(scores, ids);
  if (options_.no_repeat_ngram > 0) ban_repeated_ngrams(scores, ids);
  if (num_new < options_.min_new_tokens) {
    for (const int64_t id : options_.stop_ids) {
      if (id >= 0 && id < std::ssize(scores)) scores[static_cast<size_t>(id)] = kBanned;
    }
  }
  float sum = 0.0F;
  float highest = kBanned;
#pragma omp simd reduction(+ : sum) reduction(max : highest)
  for (size_t i = 0; i < scores.size(); ++i) {
    sum += scores[i] == kBanned ? 0.0F : scores[i];
    highest = scores[i] > highest ? scores[i] : highest;
  }
  if (!std::isfinite(sum) || !std::isfinite(highest)) {
    throw_<std::runtime_error>(
        "[sampling] the model's scores: got a number that is none, or no token is left, expected "
        "finite scores. A float16 model may overflow: take bfloat16 or float32.");
  }
  if (options_.temperature == 0.0) return;
  if (options_.temperature != 1.0) {
    const auto divisor = static_cast<float>(options_.temperature);
    for (float& score : scores) score /= divisor;
  }
  if (options_.top_k > 0) keep_top_k(scores);
  if (options_.top_p < 1.0) keep_top_p(scores);
  if (options_.min_p > 0.0) keep_min_p(scores);
}

void Sampler::to_probabilities(std::span<float> scores, std::span<const int64_t> ids,
                               int64_t num_new) {
  process(scores, ids, num_new);
  softmax(scores, scores);
}

int64_t Sampler::next(std::span<float> scores, std::span<const int64_t> ids, int64_t num_new,
                      CounterRng rng) {
  process(scores, ids, num_new);
  if (options_.temperature == 0.0) return std::ranges::max_element(scores) - scores.begin();
  softmax(scores, scores);
  return token_at(scores, rng.uniform());
}

// The first token at which the running sum of probabilities exceeds the fraction `uniform` of the
// whole sum. Finds the block first, then the token in it.
int64_t Sampler::token_at(std::span<const float> probabilities, double uniform) {
  block_sums_.clear();
  for (size_t begin = 0; begin < probabilities.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, probabilities.size());
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = begin; i < end; ++i) sum += static_cast<double>(probabilities[i]);
    block_sums_.push_back(sum);
  }
  const double target = uniform * std::reduce(block_sums_.begin(), block_sums_.end());
  double below = 0.0;
  size_t block = 0;
  size_t last_block = 0;  // the last one with a probability above 0
  for (; block < block_sums_.size(); ++block) {
    if (block_sums_[block] == 0.0) continue;
    last_block = block;
    if (below + block_sums_[block] > target) break;
    below += block_sums_[block];
  }
  const size_t begin = last_block * kBlock;
  const size_t end = std::min(begin + kBlock, probabilities.size());
  size_t last = begin;
  for (size_t i = begin; i < end; ++i) {
    if (probabilities[i] == 0.0F) continue;
    last = i;
    below += static_cast<double>(probabilities[i]);
    if (below > target) break;
  }
  return static_cast<int64_t>(last);
}

}  // namespace cpx::generation
