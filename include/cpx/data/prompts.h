// SPDX-License-Identifier: Apache-2.0
// Prompts for a policy to continue: the beginnings of texts, some of them kept for evaluation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpx/data/preferences.h"
#include "cpx/data/text_encoder.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::data {

struct PromptOptions {
  int64_t min_tokens = 30;  // shorter texts are left out
  int64_t max_tokens = 40;  // 0: texts are not cut
  /// Appends a rejected answer to the prompt, if there is one, without a space between: the
  /// published queries.
  bool append_rejected = false;
  double held_out = 0.0;  // share of the prompts for evaluation, at least 0 and less than 1
  bool shuffle = true;
  uint64_t seed = 0;
};

/// The first tokens of a text. BOS is among them if the tokenizer adds it; EOS never is.
struct EncodedPrompt {
  std::vector<tokenizer::TokenId> ids = {};
  int64_t item = 0;  // the item it comes from
};

/// The prompts of a data set, one per item. The length of each is drawn from min_tokens..max_tokens
/// by f(seed, item), the same in every epoch; a text shorter than that stays whole. Source:
/// SAP-samples/acl2025-contrastive-perplexity at be8b4fd, train_ppo.py (build_dataset), whose
/// LengthSampler(30, 40) never draws 40; here max_tokens is drawn too.
class Prompts {
 public:
  /// Texts are put into the encoder's template; its append_eos and max_tokens have no effect.
  /// Throws DataError if no item gives a prompt, or if all of them would be kept for evaluation.
  Prompts(std::span<const PreferenceItem> items, const TextEncoder& encoder,
          const PromptOptions& options);

  const std::vector<EncodedPrompt>& train() const { return train_; }
  /// The prompts kept for evaluation; the seed alone decides which. In the order of the items.
  const std::vector<EncodedPrompt>& held_out() const { return held_out_; }
  /// Number of texts that were too short.
  int64_t num_short() const { return num_short_; }

  /// The order of `epoch` as indices of train(): a function of (seed, epoch) alone; without
  /// shuffling the order of the items.
  std::vector<int64_t> epoch_order(int64_t epoch) const;

 private:
  std::vector<tokenizer::TokenId> encode(const PreferenceItem& item, int64_t number,
                                         const TextEncoder& encoder) const;
  int64_t draw_length(int64_t number) const;
  void hold_out(std::vector<EncodedPrompt> all);

  PromptOptions options_;
  std::vector<EncodedPrompt> train_;
  std::vector<EncodedPrompt> held_out_;
  int64_t num_short_ = 0;
};

}  // namespace cpx::data
