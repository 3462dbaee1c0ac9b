// SPDX-License-Identifier: Apache-2.0
#include "base_nll.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "packed_micro_batch.h"

namespace cpx::training {

using tokenizer::TokenId;

std::vector<float> BasePasses::of(nn::CausalLm& model, const data::PackedBatch& batch) {
  const uint64_t id = cache_ ? pack_id(batch) : 0;
  if (cache_) {
    const auto kept = cache_->get(id, std::ssize(batch.targets));
    if (kept) return {kept->begin(), kept->end()};
  }
  const torch::NoGradGuard no_grad;
  const nn::AdapterOffGuard adapter_off;
  const auto nll = nn::to_doubles(token_nll(model, batch, {}));  // float32 in float64
  ++num_passes_;
  std::vector<float> values(nll.begin(), nll.end());
  if (cache_) cache_->put(id, values);
  return values;
}

BaseNll::BaseNll(std::span<const data::Record> records, const data::TextEncoder& encoder,
                 int64_t texts_per_pack, bool with_pads, std::shared_ptr<NllCache> cache)
    : records_(records),
      encoder_(encoder),
      texts_per_pack_(texts_per_pack),
      with_pads_(with_pads),
      passes_(std::move(cache)) {
  CPX_CHECK(texts_per_pack > 0, "[base NLL] got {} texts a pack, expected 1 or more.",
            texts_per_pack);
}

const BaseText& BaseNll::of(nn::CausalLm& model, const data::DrawnText& drawn) {
  const bool is_toxic = drawn.role != TextRole::kPositive;
  const data::Record& record = records_[static_cast<size_t>(drawn.record)];
  const std::span<const std::string> texts = is_toxic ? record.toxic : record.neutral;
  const int64_t first = drawn.text / texts_per_pack_ * texts_per_pack_;
  const std::tuple key{is_toxic, drawn.record, first};
  auto found = packs_.find(key);
  if (found == packs_.end()) {
    const int64_t num_texts = std::min(texts_per_pack_, std::ssize(texts) - first);
    const auto own = texts.subspan(static_cast<size_t>(first), static_cast<size_t>(num_texts));
    found = packs_.emplace(key, compute(model, own)).first;
  }
  return found->second[static_cast<size_t>(drawn.text - first)];
}

float BaseNll::eos_after_eos(nn::CausalLm& model) {
  if (!eos_after_eos_) {
    const TokenId eos = encoder_.tokenizer().eos_id().value();
    const std::vector<TokenId> ids = {eos, eos};
    const std::vector<data::BatchText> texts = {{.ids = ids}};
    eos_after_eos_ = passes_.of(model, data::pack(texts)).front();
  }
  return *eos_after_eos_;
}

BaseNll::Pack BaseNll::compute(nn::CausalLm& model, std::span<const std::string> texts) {
  const int64_t num_texts = std::ssize(texts);
  std::vector<std::vector<TokenId>> ids;
  for (const std::string& text : texts) {
    ids.push_back(encoder_.encode(text).ids);
    if (ids.back().empty()) ids.back().push_back(0);  // left out of every micro batch
  }
  if (with_pads_) {
    const TokenId eos = encoder_.tokenizer().eos_id().value();
    for (int64_t i = 0; i < num_texts; ++i) ids.push_back({eos, ids[static_cast<size_t>(i)][0]});
  }
  std::vector<data::BatchText> packed;
  for (const auto& text : ids) packed.push_back({.ids = text});

  const auto batch = data::pack(packed);
  const auto nll = passes_.of(model, batch);
  const auto own = [&](int64_t i) {
    const data::PackedText& text = batch.texts[static_cast<size_t>(i)];
    return std::vector<float>(nll.begin() + text.first, nll.begin() + text.first + text.count);
  };
  Pack pack(static_cast<size_t>(num_texts));
  for (int64_t i = 0; i < num_texts; ++i) {
    pack[static_cast<size_t>(i)].tokens = own(i);
    if (with_pads_) pack[static_cast<size_t>(i)].first_after_eos = own(num_texts + i).front();
  }
  return pack;
}

}  // namespace cpx::training
