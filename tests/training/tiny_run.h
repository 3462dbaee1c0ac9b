// SPDX-License-Identifier: Apache-2.0
// A whole run in miniature: a one-block model, a tokenizer of plain numbers, a few records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/nn/decoder_block.h"
#include "cpx/nn/linear.h"
#include "cpx/tokenizer/tokenizer.h"
#include "cpx/training/trainer.h"

namespace cpx::training {

/// "5 17 2" is the ids 5, 17, 2; it adds nothing. EOS is 2.
class NumberTokenizer : public tokenizer::Tokenizer {
 public:
  tokenizer::Encoding encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const tokenizer::TokenId> ids,
                     bool skip_special_tokens) const override;
  int64_t vocabulary_size() const override { return 64; }
  std::string piece(tokenizer::TokenId id) const override { return std::to_string(id); }
  std::optional<tokenizer::TokenId> find(std::string_view piece) const override;
  bool is_special(tokenizer::TokenId id) const override { return id == 2; }
  std::optional<tokenizer::TokenId> bos_id() const override { return std::nullopt; }
  std::optional<tokenizer::TokenId> eos_id() const override { return 2; }
  const std::string& chat_template() const override { return no_template_; }

 private:
  std::string no_template_;
};

/// Numbers as NumberTokenizer, any other word as 3 plus its length.
class WordTokenizer : public NumberTokenizer {
 public:
  tokenizer::Encoding encode(std::string_view text, bool add_special_tokens) const override;
};

/// Ids as they are: no EOS is added and nothing is cut.
data::TextEncoder number_encoder();
data::TextEncoder word_encoder();

/// The text that NumberTokenizer reads as `ids`.
std::string number_text(std::span<const int64_t> ids);

/// Embedding, one decoder block with adapters on q_proj and v_proj, norm, head; random by a seed.
class TinyModel : public nn::CausalLm {
 public:
  explicit TinyModel(double dropout = 0.0);

  torch::Tensor hidden_states(const nn::PackedTokens& tokens,
                              const nn::ForwardOptions& options) override;
  torch::Tensor prefill(nn::KvCache& cache, const torch::Tensor& ids,
                        const std::vector<nn::PromptSlot>& prompts) override;
  torch::Tensor next_tokens(nn::KvCache& cache, const torch::Tensor& ids,
                            const std::vector<int64_t>& sequences) override;
  torch::Tensor token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                          const nn::ForwardOptions& options) override;
  torch::Tensor logits(const torch::Tensor& hidden, const nn::ForwardOptions& options) override;
  std::vector<nn::NamedParameter> trainable() const override;
  const nn::ModelShape& shape() const override { return shape_; }
  torch::Device device() const override { return torch::kCPU; }
  torch::Dtype dtype() const override { return dtype_; }

  /// Only said, not computed in.
  void claim_dtype(torch::Dtype dtype) { dtype_ = dtype; }

 private:
  torch::Tensor states(const torch::Tensor& ids, nn::ForwardContext context);  // [T, D]

  nn::ModelShape shape_;
  torch::Dtype dtype_ = torch::kFloat32;
  torch::Tensor embedding_;  // [V, D]
  torch::Tensor head_;       // [V, D]
  nn::DecoderBlock block_{nullptr};
};

/// Sum of the NLLs of the tokens of `ids` behind the first `num_given`, by the model's logits.
double nll_behind(TinyModel& model, const std::vector<int64_t>& ids, int64_t num_given);

/// `count` records with 4 neutral and 4 toxic texts of 3 to 9 tokens, of two targets.
std::vector<data::Record> tiny_records(int64_t count, uint64_t seed = 1);

/// Two micro batches a step, dropout's seed 3, every figure at its least.
TrainerOptions tiny_options(const std::filesystem::path& output);

RunInfo tiny_info();

/// Trains 20 steps of one micro batch each, at a rate of 1e-2.
void train_twenty_steps(TinyModel& model, StepTask& task);

/// A folder of its own for the running test, empty.
std::filesystem::path fresh_folder();

/// The adapter's tensors of a PEFT folder, one after the other.
torch::Tensor adapter_values(const std::filesystem::path& folder);

/// The lines of `run_folder`/metrics.jsonl with what depends on the clock or the machine left out.
std::vector<std::string> repeatable_metrics(const std::filesystem::path& run_folder);

}  // namespace cpx::training
