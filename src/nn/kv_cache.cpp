// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/kv_cache.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "cpx/core/error.h"

namespace cpx::nn {

namespace {

using kernels::kKeyBlock;
using torch::Tensor;

int64_t whole_blocks(int64_t places) { return (places + kKeyBlock - 1) / kKeyBlock * kKeyBlock; }

// Places for the last tokens of `tokens` that a window still sees.
int64_t needed_places(const KvCacheOptions& options, int64_t tokens) {
  return whole_blocks(options.window > 0 ? std::min(tokens, options.window) : tokens);
}

const KvCacheOptions& checked(const KvCacheOptions& options) {
  CPX_CHECK(options.num_layers > 0 && options.num_kv_heads > 0 && options.head_dim > 0 &&
                options.num_prompts > 0 && options.prompt_capacity > 0 &&
                options.num_sequences > 0 && options.sequence_capacity > 0 &&
                options.num_candidates >= 0 && options.window >= 0,
            "[kv cache] got a size that is not positive.");
  return options;
}

}  // namespace

KvCache::Area::Area(const KvCacheOptions& options, int64_t slots, int64_t places)
    : keys(at::empty({options.num_layers, slots, options.num_kv_heads, places / kKeyBlock,
                      options.head_dim, kKeyBlock},
                     options.tensor_options)),
      values(at::empty({options.num_layers, slots, options.num_kv_heads, places, options.head_dim},
                       options.tensor_options)) {}

int64_t KvCache::Area::offset(int64_t layer, int64_t slot, int64_t head) const {
  const int64_t slots = values.size(1), heads = values.size(2), size = values.size(4);
  return ((layer * slots + slot) * heads + head) * places() * size;
}

void KvCache::Area::store(int64_t layer, int64_t slot, int64_t place, const Tensor& k,
                          const Tensor& v) {
  values[layer][slot].narrow(1, place, v.size(0)).copy_(v.transpose(0, 1));
  const auto by_place = keys[layer][slot].permute({1, 3, 0, 2});  // [blocks, 16, K, E]
  for (int64_t t = 0; t < k.size(0); ++t) {
    by_place[(place + t) / kKeyBlock][(place + t) % kKeyBlock].copy_(k[t]);
  }
}

void KvCache::Area::store_numbers(int64_t layer, int64_t slot, int64_t place, int64_t num_tokens,
                                  const float* k, const float* v) {
  const int64_t heads = values.size(2), size = values.size(4);
  for (int64_t head = 0; head < heads; ++head) {
    float* head_keys = keys.mutable_data_ptr<float>() + offset(layer, slot, head);
    float* head_values = values.mutable_data_ptr<float>() + offset(layer, slot, head);
    for (int64_t t = 0; t < num_tokens; ++t) {
      const int64_t from = (t * heads + head) * size;
      kernels::store_key(k + from, size, place + t, head_keys);
      std::copy(v + from, v + from + size, head_values + (place + t) * size);
    }
  }
}

std::array<Tensor, 2> KvCache::Area::token(int64_t slot, int64_t place) const {
  const auto block = keys.select(1, slot).select(2, place / kKeyBlock);  // [layers, K, E, 16]
  return {block.select(3, place % kKeyBlock), values.select(1, slot).select(2, place)};
}

KvCache::KvCache(const KvCacheOptions& options)
    : options_(checked(options)),
      prompts_(options, options.num_prompts, needed_places(options, options.prompt_capacity)),
      sequences_(options, options.num_sequences, needed_places(options, options.sequence_capacity)),
      candidates_(options, options.num_sequences, whole_blocks(options.num_candidates)),
      prompt_lengths_(static_cast<size_t>(options.num_prompts)),
      state_(static_cast<size_t>(options.num_sequences)) {}

int64_t KvCache::num_bytes() const {
  int64_t numbers = 0;
  for (const Area* area : {&prompts_, &sequences_, &candidates_}) {
    numbers += area->keys.numel() + area->values.numel();
  }
  return numbers * prompts_.keys.element_size();
}

void KvCache::begin_prompt(int64_t prompt, int64_t num_tokens) {
  CPX_CHECK(num_tokens > 0 && num_tokens <= options_.prompt_capacity,
            "[kv cache] got a prompt of {} tokens, expected 1 to {}.", num_tokens,
            options_.prompt_capacity);
  prompt_lengths_.at(static_cast<size_t>(prompt)) = num_tokens;
}

void KvCache::begin_prompts(const std::vector<PromptSlot>& prompts, int64_t num_tokens) {
  int64_t sum = 0;
  for (const PromptSlot& prompt : prompts) sum += prompt.num_tokens;
  CPX_CHECK(sum == num_tokens,
            "[kv cache] got {} ids for {} prompts, expected {}: one for each of their tokens.",
            num_tokens, prompts.size(), sum);
  for (const auto& [slot, length] : prompts) begin_prompt(slot, length);
}

void KvCache::begin_sequence(int64_t sequence, int64_t prompt) {
  CPX_CHECK(prompt_lengths_.at(static_cast<size_t>(prompt)) > 0,
            "[kv cache] there is no prompt at place {}.", prompt);
  state_.at(static_cast<size_t>(sequence)) = {.prompt = prompt, .num_new = 0};
}

int64_t KvCache::position(int64_t sequence) const {
  const Sequence& own = state_.at(static_cast<size_t>(sequence));
  return prompt_lengths_[static_cast<size_t>(own.prompt)] + own.num_new;
}

bool KvCache::has_kernel() const {
  return prompts_.keys.is_cpu() && prompts_.keys.scalar_type() == at::kFloat &&
         kernels::has_cached_attention(options_.head_dim);
}

void KvCache::store_prompt(int64_t layer, int64_t prompt, const Tensor& k, const Tensor& v) {
  const int64_t kept = std::min(k.size(0), prompts_.places());  // the window sees no more
  const auto last_keys = k.narrow(0, k.size(0) - kept, kept);
  const auto last_values = v.narrow(0, v.size(0) - kept, kept);
  if (!has_kernel()) return prompts_.store(layer, prompt, 0, last_keys, last_values);
  const auto keys = last_keys.to(at::kFloat).contiguous();
  const auto values = last_values.to(at::kFloat).contiguous();
  prompts_.store_numbers(layer, prompt, 0, kept, keys.const_data_ptr<float>(),
                         values.const_data_ptr<float>());
}

// With the place of the next token itself, unless that token is a candidate.
KvCache::Ranges KvCache::seen_by_next(int64_t sequence, bool is_tried) {
  const Sequence& own = state_.at(static_cast<size_t>(sequence));
  CPX_CHECK(own.num_new < options_.sequence_capacity,
            "[kv cache] sequence {} is full: it has {} new tokens.", sequence, own.num_new);
  const int64_t prompt_length = prompt_lengths_[static_cast<size_t>(own.prompt)];
  const int64_t position = prompt_length + own.num_new;
  const int64_t first = options_.window > 0 ? std::max<int64_t>(0, position - options_.window + 1)
                                            : 0;  // position that is seen
  Ranges ranges;
  if (first < prompt_length) {
    const int64_t end = std::min(prompt_length, prompts_.places());
    const int64_t forgotten = prompt_length - end;
    ranges.push_back({&prompts_, own.prompt, first - forgotten, end});
  }
  const int64_t places = sequences_.places();
  const int64_t first_new = std::max<int64_t>(0, first - prompt_length);
  const int64_t begin = first_new % places;
  const int64_t end = begin + own.num_new - first_new + (is_tried ? 0 : 1);
  if (begin < end) ranges.push_back({&sequences_, sequence, begin, std::min(end, places)});
  if (end > places) ranges.push_back({&sequences_, sequence, 0, end - places});
  return ranges;
}

Tensor KvCache::attend(int64_t layer, std::span<const int64_t> sequences, const Tensor& q,
                       const Tensor& k, const Tensor& v, double scale) {
  std::vector<Ranges> seen;
  for (const int64_t sequence : sequences) {
    seen.push_back(seen_by_next(sequence, /*is_tried=*/false));
  }
  return attend_to(seen, layer, q, k, v, scale);
}

Tensor KvCache::attend_candidates(int64_t layer, std::span<const CandidateRow> candidates,
                                  const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  std::vector<Ranges> seen;
  for (const auto& [sequence, number] : candidates) {
    CPX_CHECK(number >= 0 && number < options_.num_candidates,
              "[kv cache] got the candidate {} of sequence {}, expected 0 to {}.", number, sequence,
              options_.num_candidates - 1);
    seen.push_back(seen_by_next(sequence, /*is_tried=*/true));
    seen.back().push_back({&candidates_, sequence, number, number + 1});
  }
  return attend_to(seen, layer, q, k, v, scale);
}

Tensor KvCache::attend_to(const std::vector<Ranges>& seen, int64_t layer, const Tensor& q,
                          const Tensor& k, const Tensor& v, double scale) {
  store_own(seen, layer, k, v);
  return has_kernel() ? attend_by_kernel(seen, layer, q, scale)
                      : attend_by_operators(seen, layer, q, scale);
}

void KvCache::store_own(const std::vector<Ranges>& seen, int64_t layer, const Tensor& k,
                        const Tensor& v) const {
  const auto keys = has_kernel() ? k.to(at::kFloat).contiguous() : k;
  const auto values = has_kernel() ? v.to(at::kFloat).contiguous() : v;
  const int64_t row_size = options_.num_kv_heads * options_.head_dim;
  for (size_t row = 0; row < seen.size(); ++row) {
    const Range& own = seen[row].back();
    const auto at = static_cast<int64_t>(row);
    if (has_kernel()) {
      own.area->store_numbers(layer, own.slot, own.end - 1, 1,
                              keys.const_data_ptr<float>() + at * row_size,
                              values.const_data_ptr<float>() + at * row_size);
    } else {
      own.area->store(layer, own.slot, own.end - 1, keys.narrow(0, at, 1), values.narrow(0, at, 1));
    }
  }
}

Tensor KvCache::attend_by_kernel(const std::vector<Ranges>& seen, int64_t layer, const Tensor& q,
                                 double scale) const {
  const int64_t num_heads = options_.num_kv_heads;
  const int64_t size = options_.head_dim;
  const int64_t group = q.size(1) / num_heads;
  const auto rows = q.to(at::kFloat).contiguous();  // [N, H, E]
  auto output = at::empty_like(rows);
  std::vector<kernels::CachedQuery> queries;
  queries.reserve(seen.size() * static_cast<size_t>(num_heads));
  for (size_t row = 0; row < seen.size(); ++row) {
    for (int64_t head = 0; head < num_heads; ++head) {
      const int64_t offset = (static_cast<int64_t>(row) * num_heads + head) * group * size;
      kernels::CachedQuery query{.q = rows.const_data_ptr<float>() + offset,
                                 .output = output.mutable_data_ptr<float>() + offset};
      for (const Range& range : seen[row]) {
        const Area& area = *range.area;
        const int64_t begin = area.offset(layer, range.slot, head);
        query.ranges[static_cast<size_t>(query.num_ranges++)] = {
            .keys = area.keys.const_data_ptr<float>() + begin,
            .values = area.values.const_data_ptr<float>() + begin,
            .begin = range.begin,
            .end = range.end};
      }
      queries.push_back(query);
    }
  }
  kernels::cached_attention(queries, group, size, static_cast<float>(scale));
  return output.to(q.scalar_type());
}

// For any device, type and head size; one row at a time.
Tensor KvCache::attend_by_operators(const std::vector<Ranges>& seen, int64_t layer, const Tensor& q,
                                    double scale) const {
  const int64_t num_heads = options_.num_kv_heads;
  const int64_t size = options_.head_dim;
  auto output = at::empty_like(q);
  for (size_t row = 0; row < seen.size(); ++row) {
    std::vector<Tensor> keys, values;  // [K, places, E] each
    for (const Range& range : seen[row]) {
      const int64_t count = range.end - range.begin;
      keys.push_back(range.area->keys[layer][range.slot]
                         .transpose(2, 3)
                         .reshape({num_heads, range.area->places(), size})
                         .narrow(1, range.begin, count));
      values.push_back(range.area->values[layer][range.slot].narrow(1, range.begin, count));
    }
    const auto at = static_cast<int64_t>(row);
    const auto own = q[at].view({num_heads, -1, size}).to(keys[0].scalar_type());  // [K, G, E]
    auto scores = at::bmm(own, at::cat(keys, 1).transpose(1, 2)).mul_(scale);
    if (scores.scalar_type() != at::kDouble) scores = scores.to(at::kFloat);
    const auto weights = at::softmax(scores, -1).to(keys[0].scalar_type());
    output[at].copy_(at::bmm(weights, at::cat(values, 1)).view({-1, size}));
  }
  return output;
}

void KvCache::advance(std::span<const int64_t> sequences) {
  for (const int64_t sequence : sequences) ++state_.at(static_cast<size_t>(sequence)).num_new;
}

void KvCache::keep_candidate(const CandidateRow& candidate) {
  int64_t& num_new = state_.at(static_cast<size_t>(candidate.sequence)).num_new;
  const auto from = candidates_.token(candidate.sequence, candidate.number);
  const auto to = sequences_.token(candidate.sequence, num_new % sequences_.places());
  to[0].copy_(from[0]);
  to[1].copy_(from[1]);
  ++num_new;
}

}  // namespace cpx::nn
