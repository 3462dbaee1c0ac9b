// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/attention_source.h"

#include <cassert>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>

#include "cpx/nn/forward_context.h"

namespace cpx::nn {

namespace {

using kernels::AttentionOptions;
using torch::Tensor;

std::vector<int32_t> prompt_bounds(const std::vector<PromptSlot>& prompts, int64_t num_added) {
  std::vector<int32_t> cu_seqlens = {0};
  const auto append = [&](int64_t num_tokens) {
    cu_seqlens.push_back(cu_seqlens.back() + static_cast<int32_t>(num_tokens));
  };
  for (const PromptSlot& prompt : prompts) append(prompt.num_tokens);
  if (num_added > 0) append(num_added);
  return cu_seqlens;
}

// The token at each place of the texts, [L].
std::vector<int64_t> tokens_of_places(const PackedTokens& tokens) {
  if (!tokens.token_of_place.empty()) return tokens.token_of_place;
  std::vector<int64_t> places(static_cast<size_t>(tokens.ids.size(0)));
  std::iota(places.begin(), places.end(), int64_t{0});
  return places;
}

}  // namespace

std::vector<int64_t> PackedTexts::positions() const {
  std::vector<int64_t> positions(static_cast<size_t>(cu_seqlens_.back()));
  for (size_t text = 0; text + 1 < cu_seqlens_.size(); ++text) {
    std::iota(positions.begin() + cu_seqlens_[text], positions.begin() + cu_seqlens_[text + 1],
              int64_t{0});
  }
  return positions;
}

Tensor PackedTexts::attend(int64_t /*layer*/, const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionOptions& options) const {
  return kernels::packed_attention(q, k, v, cu_seqlens_, options);
}

SharedTexts::SharedTexts(const PackedTokens& tokens) : beginning_(tokens.behind) {
  const std::vector<int64_t> places = tokens_of_places(tokens);
  const int64_t num_tokens = tokens.ids.size(0);
  const int64_t num_before = beginning_ == nullptr ? 0 : beginning_->num_tokens();
  shared_ = share_tokens(tokens.cu_seqlens, places, num_tokens, tokens.ids.device(), num_before);
  positions_ = token_positions(tokens.cu_seqlens, places, num_tokens);
  for (int64_t& position : positions_) position += num_before;
}

Tensor SharedTexts::attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionOptions& options) const {
  const auto at_places = [this](const Tensor& x) {
    return kernels::select_rows(x, shared_.tokens_of_places);  // [places, K, E]
  };
  if (beginning_ == nullptr) {
    return kernels::packed_attention(q, at_places(k), at_places(v), shared_.cu_seqlens, options,
                                     shared_.own_bounds);
  }
  const auto keys = at::cat({beginning_->keys(layer), k});      // [P + T, K, E]
  const auto values = at::cat({beginning_->values(layer), v});  // [P + T, K, E]
  return kernels::packed_attention(q, at_places(keys), at_places(values), shared_.cu_seqlens,
                                   options, shared_.own_bounds);
}

std::shared_ptr<const AttentionSource> attention_source(const PackedTokens& tokens) {
  const bool is_plain = tokens.token_of_place.empty() && tokens.behind == nullptr;
  if (is_plain) return std::make_shared<PackedTexts>(tokens.cu_seqlens);
  return std::make_shared<SharedTexts>(tokens);
}

BeginningToKeep::BeginningToKeep(std::shared_ptr<KeptBeginning> kept, int64_t num_added)
    : kept_(std::move(kept)), texts_(prompt_bounds({{0, kept_->num_tokens()}}, num_added)) {}

Tensor BeginningToKeep::attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionOptions& options) const {
  kept_->store(layer, k.narrow(0, 0, kept_->num_tokens()), v.narrow(0, 0, kept_->num_tokens()));
  return texts_.attend(layer, q, k, v, options);
}

CachedPrompts::CachedPrompts(KvCache& cache, std::vector<PromptSlot> prompts, int64_t num_added)
    : cache_(cache), prompts_(std::move(prompts)), texts_(prompt_bounds(prompts_, num_added)) {}

Tensor CachedPrompts::attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionOptions& options) const {
  int64_t begin = 0;
  for (const auto& [slot, num_tokens] : prompts_) {
    cache_.store_prompt(layer, slot, k.narrow(0, begin, num_tokens),
                        v.narrow(0, begin, num_tokens));
    begin += num_tokens;
  }
  return texts_.attend(layer, q, k, v, options);
}

std::vector<int64_t> NextTokens::positions() const {
  std::vector<int64_t> positions;
  for (const int64_t sequence : sequences_) positions.push_back(cache_.position(sequence));
  return positions;
}

Tensor NextTokens::attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionOptions& options) const {
  assert(options.window == cache_.options().window);
  return cache_.attend(layer, sequences_, q, k, v, options.scale);
}

std::vector<int64_t> CandidateTokens::positions() const {
  std::vector<int64_t> positions;
  for (const CandidateRow& row : candidates_) positions.push_back(cache_.position(row.sequence));
  return positions;
}

Tensor CandidateTokens::attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionOptions& options) const {
  assert(options.window == cache_.options().window);
  return cache_.attend_candidates(layer, candidates_, q, k, v, options.scale);
}

}  // namespace cpx::nn
