// SPDX-License-Identifier: Apache-2.0
#include "cpx/generation/contrastive_search.h"

#include <algorithm>
#include <cmath>
#include <ranges>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace cpx::generation {

namespace {

using torch::Tensor;

// Unlike in LibTorch's reductions, the order does not depend on the numbers of rows and threads.
float dot(const float* left, const float* right, int64_t size) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += left[i] * right[i];
  return sum;
}

// The highest product of `state` with one of `count` rows, or `highest`.
float highest_product(const float* state, const float* rows, int64_t count, int64_t size,
                      float highest) {
  for (int64_t row = 0; row < count; ++row) {
    highest = std::max(highest, dot(state, rows + row * size, size));
  }
  return highest;
}

float length_of(std::span<const float> state) {
  return std::sqrt(dot(state.data(), state.data(), std::ssize(state)));
}

// Scales the rows of `states` [T, D] to length 1 and writes them to `rows`. Zeros stay zeros.
void store_directions(std::span<const float> states, int64_t size, float* rows) {
  for (size_t begin = 0; begin < states.size(); begin += static_cast<size_t>(size)) {
    const auto state = states.subspan(begin, static_cast<size_t>(size));
    const float length = length_of(state);
    for (const float number : state) *rows++ = length > 0.0F ? number / length : 0.0F;
  }
}

std::span<const float> numbers_of(const Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

}  // namespace

std::vector<Candidate> likeliest(std::span<const float> probabilities, int64_t top_k) {
  std::vector<int64_t> ids(static_cast<size_t>(std::min(top_k, std::ssize(probabilities))));
  const auto probability = [&](int64_t id) { return probabilities[static_cast<size_t>(id)]; };
  std::ranges::partial_sort_copy(std::views::iota(int64_t{0}, std::ssize(probabilities)), ids,
                                 [&](int64_t left, int64_t right) {
                                   const float one = probability(left);
                                   const float other = probability(right);
                                   return one != other ? one > other : left < right;
                                 });
  std::vector<Candidate> candidates;
  for (const int64_t id : ids) {
    if (probability(id) > 0.0F) candidates.push_back({.id = id, .probability = probability(id)});
  }
  return candidates;
}

double contrastive_score(const Candidate& candidate, double penalty_alpha) {
  return (1.0 - penalty_alpha) * static_cast<double>(candidate.probability) -
         penalty_alpha * static_cast<double>(candidate.similarity);
}

TextStates::TextStates(const nn::KvCacheOptions& cache, int64_t hidden_size)
    : hidden_size_(hidden_size),
      prompts_(at::empty({cache.num_prompts, cache.prompt_capacity, hidden_size}, at::kFloat)),
      sequences_(
          at::empty({cache.num_sequences, cache.sequence_capacity, hidden_size}, at::kFloat)),
      prompt_lengths_(static_cast<size_t>(cache.num_prompts)),
      texts_(static_cast<size_t>(cache.num_sequences)) {}

int64_t TextStates::num_bytes() const {
  return static_cast<int64_t>(prompts_.nbytes() + sequences_.nbytes());
}

void TextStates::begin_prompt(int64_t prompt, std::span<const float> states) {
  store_directions(states, hidden_size_, prompts_[prompt].mutable_data_ptr<float>());
  prompt_lengths_.at(static_cast<size_t>(prompt)) = std::ssize(states) / hidden_size_;
}

void TextStates::begin_sequence(int64_t sequence, int64_t prompt) {
  texts_.at(static_cast<size_t>(sequence)) = {.prompt = prompt};
}

void TextStates::add(int64_t sequence, std::span<const float> state) {
  int64_t& num_tokens = texts_.at(static_cast<size_t>(sequence)).num_tokens;
  store_directions(state, hidden_size_, sequences_[sequence][num_tokens].mutable_data_ptr<float>());
  ++num_tokens;
}

float TextStates::highest_similarity(int64_t sequence, std::span<const float> state) const {
  const Text& text = texts_.at(static_cast<size_t>(sequence));
  const float length = length_of(state);
  if (length == 0.0F) return 0.0F;
  float highest = -length;  // a cosine of -1
  highest =
      highest_product(state.data(), prompts_[text.prompt].const_data_ptr<float>(),
                      prompt_lengths_[static_cast<size_t>(text.prompt)], hidden_size_, highest);
  highest = highest_product(state.data(), sequences_[sequence].const_data_ptr<float>(),
                            text.num_tokens, hidden_size_, highest);
  return highest / length;
}

ContrastiveSearch::ContrastiveSearch(nn::CausalLm& model, nn::KvCache& cache, double penalty_alpha)
    : model_(model),
      cache_(cache),
      penalty_alpha_(penalty_alpha),
      states_(cache.options(), model.shape().hidden_size) {}

void ContrastiveSearch::begin_prompt(int64_t prompt, const Tensor& states) {
  states_.begin_prompt(prompt, numbers_of(states.to(at::kCPU, at::kFloat).contiguous()));
}

void ContrastiveSearch::begin_sequence(int64_t sequence, int64_t prompt) {
  states_.begin_sequence(sequence, prompt);
}

ContrastiveChoice ContrastiveSearch::choose(std::span<const int64_t> sequences,
                                            std::vector<std::vector<Candidate>> candidates) {
  std::vector<nn::CandidateRow> tried_rows;
  std::vector<Candidate*> tried;  // one for each row
  std::vector<int64_t> ids;
  for (size_t i = 0; i < sequences.size(); ++i) {
    for (size_t number = 0; number < candidates[i].size(); ++number) {
      tried.push_back(&candidates[i][number]);
      ids.push_back(tried.back()->id);
      tried_rows.push_back({.sequence = sequences[i], .number = static_cast<int64_t>(number)});
    }
  }
  const auto all_states =
      model_.try_tokens(cache_, at::tensor(ids, at::kLong).to(model_.device()), tried_rows);
  const auto wide = all_states.to(at::kCPU, at::kFloat).contiguous();  // [rows, D]
  at::parallel_for(0, std::ssize(tried), 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      Candidate& one = *tried[static_cast<size_t>(row)];
      one.similarity = states_.highest_similarity(tried_rows[static_cast<size_t>(row)].sequence,
                                                  numbers_of(wide[row]));
      one.score = contrastive_score(one, penalty_alpha_);
    }
  });

  ContrastiveChoice choice;
  std::vector<int64_t> rows;
  int64_t first = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto best = std::ranges::max_element(candidates[i], {}, &Candidate::score);
    const auto number = best - candidates[i].begin();
    rows.push_back(first + number);
    choice.best.push_back(static_cast<size_t>(number));
    cache_.keep_candidate({sequences[i], number});
    states_.add(sequences[i], numbers_of(wide[rows.back()]));
    first += std::ssize(candidates[i]);
  }
  choice.states = all_states.index_select(0, at::tensor(rows, at::kLong).to(model_.device()));
  choice.candidates = std::move(candidates);
  return choice;
}

}  // namespace cpx::generation
