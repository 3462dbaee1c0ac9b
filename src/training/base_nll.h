// SPDX-License-Identifier: Apache-2.0
// Token NLLs of texts under the frozen base, computed once and kept.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "cpx/data/contrast_groups.h"
#include "cpx/data/packed_batch.h"
#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/training/nll_cache.h"

namespace cpx::training {

/// Passes of the base: the model with its adapter off, without gradient.
class BasePasses {
 public:
  /// What `cache` holds is not computed; it may be null.
  explicit BasePasses(std::shared_ptr<NllCache> cache) : cache_(std::move(cache)) {}

  /// [N] token NLLs of all predictions of a pack.
  std::vector<float> of(nn::CausalLm& model, const data::PackedBatch& batch);

  /// Passes that were computed.
  int64_t num_passes() const { return num_passes_; }

 private:
  std::shared_ptr<NllCache> cache_;
  int64_t num_passes_ = 0;
};

/// What the base says of one text.
struct BaseText {
  std::vector<float> tokens;    // its predicted tokens
  float first_after_eos = 0.0;  // nll(first token | eos); only with pads
};

/// Values are computed in packs of `texts_per_pack` neighbouring texts of a record, neutral or
/// toxic: what a text's value is, to the bit, does not depend on which texts were asked for before.
class BaseNll {
 public:
  /// The records and the encoder must outlive the object. With pads, what pads predict is computed
  /// too: a pad sees itself alone, so the two-token text "eos first" tells it. `cache` may be null.
  BaseNll(std::span<const data::Record> records, const data::TextEncoder& encoder,
          int64_t texts_per_pack, bool with_pads, std::shared_ptr<NllCache> cache);

  /// What a drawn text is; the reference lives as long as the object.
  const BaseText& of(nn::CausalLm& model, const data::DrawnText& drawn);
  /// nll(eos | eos).
  float eos_after_eos(nn::CausalLm& model);
  int64_t num_passes() const { return passes_.num_passes(); }

 private:
  using Pack = std::vector<BaseText>;
  Pack compute(nn::CausalLm& model, std::span<const std::string> texts);

  std::span<const data::Record> records_;
  const data::TextEncoder& encoder_;
  int64_t texts_per_pack_;
  bool with_pads_;
  BasePasses passes_;
  std::optional<float> eos_after_eos_;
  std::map<std::tuple<bool, int64_t, int64_t>, Pack> packs_;  // is toxic, record, first text
};

}  // namespace cpx::training
