// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/memory_estimate.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string>

#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/nn/linear.h"
#include "cpx/training/adamw.h"

namespace cpx::training {

namespace {

constexpr int64_t kFloatBytes = 4;
constexpr int64_t kBytesPerMib = int64_t{1} << 20;
// Resident bytes of a program with LibTorch's CPU library and its working memory; measured.
constexpr int64_t kBaseBytes = 180 * kBytesPerMib;
// About 20 matrix products a step, whose kernels take 0.75 MiB each for every number of rows;
// measured. oneDNN keeps 1024.
constexpr int64_t kCompiledBytes = 15 * kBytesPerMib;
constexpr int64_t kMaxRowCounts = 1024 / 20;
// What the allocator holds beside the tensors that live, of the activations; measured: 3 to 8 %.
constexpr double kHoles = 0.05;
// As token_nll.cpp, attention.cpp and short_attention.h cut their work.
constexpr int64_t kLogitChunkBytes = 32 * kBytesPerMib;
constexpr int64_t kKernelLogitChunkBytes = 128 * kBytesPerMib;
constexpr int64_t kLogitTileRows = 256;
constexpr int64_t kLogitBlockRows = 1024;
constexpr int64_t kLogitBlockColumns = 2048;
constexpr int64_t kAttentionRows = 512;
constexpr int64_t kMaxShortText = 128;

// The linear layers of one kind: one a block, or the head.
struct LinearKind {
  std::string_view name;  // "q_proj"
  std::string_view path;  // its name after "model.layers.N."; of the head the whole name
  int64_t inputs;
  int64_t outputs;

  bool is_head() const { return name == "lm_head"; }
  int64_t count(const nn::ModelShape& shape) const { return is_head() ? 1 : shape.num_layers; }
  std::string layer_name(int64_t index) const {
    return is_head() ? std::string(path) : fmt::format("model.layers.{}.{}", index, path);
  }
};

std::array<LinearKind, 8> linear_kinds(const nn::ModelShape& shape) {
  const int64_t queries = shape.num_heads * shape.head_dim;
  const int64_t keys = shape.num_kv_heads * shape.head_dim;
  return {{{"q_proj", "self_attn.q_proj", shape.hidden_size, queries},
           {"k_proj", "self_attn.k_proj", shape.hidden_size, keys},
           {"v_proj", "self_attn.v_proj", shape.hidden_size, keys},
           {"o_proj", "self_attn.o_proj", queries, shape.hidden_size},
           {"gate_proj", "mlp.gate_proj", shape.hidden_size, shape.intermediate_size},
           {"up_proj", "mlp.up_proj", shape.hidden_size, shape.intermediate_size},
           {"down_proj", "mlp.down_proj", shape.intermediate_size, shape.hidden_size},
           {"lm_head", "lm_head", shape.hidden_size, shape.vocabulary_size}}};
}

// Layers of a kind that a target means.
int64_t num_targeted(const LinearKind& kind, const nn::ModelShape& shape,
                     std::span<const std::string> targets) {
  int64_t num_found = 0;
  for (int64_t i = 0; i < kind.count(shape); ++i) {
    const std::string name = kind.layer_name(i);
    num_found += std::ranges::any_of(
        targets, [&](const std::string& target) { return nn::matches_target(name, target); });
  }
  return num_found;
}

void check_targets(const nn::ModelShape& shape, const std::vector<std::string>& targets) {
  for (const std::string& target : targets) {
    const bool is_known = std::ranges::any_of(linear_kinds(shape), [&](const LinearKind& kind) {
      return num_targeted(kind, shape, std::span(&target, 1)) > 0;
    });
    CPX_CHECK(is_known,
              "[memory estimate] target module: got '{}', expected q_proj, k_proj, v_proj, o_proj, "
              "gate_proj, up_proj, down_proj, lm_head or all-linear.",
              target);
  }
}

void check(const MemoryQuestion& question) {
  const nn::ModelShape& shape = question.shape;
  CPX_CHECK(shape.vocabulary_size > 0 && shape.hidden_size > 0 && shape.intermediate_size > 0 &&
                shape.num_layers > 0 && shape.num_heads > 0 && shape.num_kv_heads > 0 &&
                shape.head_dim > 0 && question.rank > 0,
            "[memory estimate] got a model size or rank that is not positive.");
  CPX_CHECK(question.num_texts > 0 && question.num_tokens >= question.num_texts &&
                question.longest_text > 0,
            "[memory estimate] got {} tokens in {} texts, the longest of {}, expected a token a "
            "text or more.",
            question.num_tokens, question.num_texts, question.longest_text);
}

// The counting, with the sizes of the legend: T tokens, D model, F feed-forward, H query heads,
// E head size, V vocabulary, R rank. A text's last token predicts nothing and is not computed.
class Counter {
 public:
  explicit Counter(const MemoryQuestion& question)
      : question_(question),
        shape_(question.shape),
        element_(static_cast<int64_t>(c10::elementSize(question.dtype))),
        tokens_(question.num_tokens - question.num_texts),
        longest_(question.longest_text - 1),
        queries_(shape_.num_heads * shape_.head_dim),
        keys_(shape_.num_kv_heads * shape_.head_dim) {
    for (const LinearKind& kind : linear_kinds(shape_)) {
      // What a block keeps is counted as if all of a kind were targeted.
      if (num_targeted(kind, shape_, question.target_modules) > 0) targets_.insert(kind.name);
    }
  }

  int64_t weights() const {
    const int64_t embedding =
        question_.has_tied_embeddings ? 0 : shape_.vocabulary_size * shape_.hidden_size;
    const int64_t norms = (2 * shape_.num_layers + 1) * shape_.hidden_size;
    return (shape_.num_matmul_weights() + embedding + norms) * element_;
  }

  int64_t adapter_values() const {
    return num_adapter_values(shape_, question_.rank, question_.target_modules);
  }

  int64_t optimizer() const {
    const auto state_bytes = [this](int64_t num_values) {
      return adamw_state_bytes(num_values, question_.has_8bit_optimizer);
    };
    int64_t bytes = 0;
    for (const LinearKind& kind : linear_kinds(shape_)) {
      bytes +=
          num_targeted(kind, shape_, question_.target_modules) *
          (state_bytes(question_.rank * kind.inputs) + state_bytes(question_.rank * kind.outputs));
    }
    return bytes;
  }

  // What one block keeps: see the save_for_backward() of each function.
  int64_t block_saved() const {
    const int64_t norms = 2 * tokens_ * (shape_.hidden_size * element_ + kFloatBytes);
    const int64_t attention = rows(queries_ + 2 * keys_) + attention_output_saved();
    const int64_t swiglu = rows(2 * shape_.intermediate_size);
    return norms + attention + swiglu + block_lora_saved();
  }

  // Output and log-sums, beside the rotated q and k, and v.
  int64_t attention_output_saved() const {
    const bool is_saved = attention() == Attention::kFlash ||
                          (attention() == Attention::kCpuKernels && longest_ > kMaxShortText);
    return is_saved ? rows(queries_) + tokens_ * shape_.num_heads * kFloatBytes : 0;
  }

  // Inputs of the layers with an update, each once, and their [T, R].
  int64_t block_lora_saved() const {
    int64_t bytes = 0;
    if (has_any({"q_proj", "k_proj", "v_proj"})) bytes += rows(shape_.hidden_size);
    if (has_any({"o_proj"})) bytes += rows(queries_);
    if (has_any({"gate_proj", "up_proj"})) bytes += rows(shape_.hidden_size);
    if (has_any({"down_proj"})) bytes += rows(shape_.intermediate_size);
    const auto num_targets = static_cast<int64_t>(targets_.size()) - (has_any({"lm_head"}) ? 1 : 0);
    return bytes + num_targets * rows(question_.rank);
  }

  int64_t saved() const {
    const int64_t last_norm = tokens_ * (shape_.hidden_size * element_ + kFloatBytes);
    if (!question_.recompute_blocks) return shape_.num_layers * block_saved() + last_norm;
    return shape_.num_layers * rows(shape_.hidden_size) + block_saved() + last_norm;
  }

  // The largest set of tensors that live at once in a backward pass and are not saved ones.
  int64_t backward_working_set() const {
    return std::max(swiglu_backward(), attention_backward()) + rows(3 * shape_.hidden_size);
  }

  // Stored gradient of the token NLL, and its input.
  int64_t token_nll_saved() const {
    const int64_t states = rows(shape_.hidden_size);
    return has_any({"lm_head"}) ? 3 * states + rows(2 * question_.rank) : 2 * states;
  }

  int64_t logits() const { return nll_logits() + held_logits(); }

 private:
  // The token NLL's working set: on the CPU logits of a block of columns in the compute type and
  // in float, and the sum of its rows; on the GPU logits of a chunk of rows in the compute type,
  // their log-softmax, and the logits' gradient, or the larger chunk of the kernels alone.
  int64_t nll_logits() const {
    const int64_t copies = element_ == kFloatBytes ? 0 : 2 * element_;
    if (question_.is_on_cpu) {
      const int64_t block_rows = std::min(tokens_, kLogitBlockRows);
      const int64_t columns = std::min(shape_.vocabulary_size, kLogitBlockColumns);
      return block_rows * columns * (kFloatBytes + copies) +
             block_rows * shape_.hidden_size * (kFloatBytes + element_);
    }
    const int64_t chunk_rows = std::min(
        tokens_,
        std::clamp<int64_t>(kLogitChunkBytes / (shape_.vocabulary_size * kFloatBytes), 16, 4096));
    const int64_t row_bytes = shape_.vocabulary_size * element_;
    const int64_t tiles =
        std::clamp<int64_t>(kKernelLogitChunkBytes / (row_bytes * kLogitTileRows), 1, 16);
    return std::max(chunk_rows * shape_.vocabulary_size * (2 * kFloatBytes + copies),
                    std::min(tokens_, tiles * kLogitTileRows) * row_bytes);
  }

  // The working set of held distributions: of a piece of rows the logits of both models, both
  // log-softmaxes and the base's probabilities; the base's states and the gradient of the policy's.
  int64_t held_logits() const {
    if (!question_.holds_distributions) return 0;
    const int64_t piece_rows = std::min(tokens_, nn::rows_in_a_piece(shape_));
    return piece_rows * shape_.vocabulary_size * (2 * element_ + 3 * kFloatBytes) +
           2 * rows(shape_.hidden_size);
  }

  int64_t rows(int64_t width) const { return tokens_ * width * element_; }

  bool has_any(std::initializer_list<std::string_view> names) const {
    return std::ranges::any_of(names,
                               [this](std::string_view name) { return targets_.contains(name); });
  }

  // The incoming gradient, its product, and the gradients of gate and up.
  int64_t swiglu_backward() const {
    const int64_t mask = question_.dropout > 0.0 && has_any({"down_proj"})
                             ? tokens_ * shape_.intermediate_size * (kFloatBytes + element_)
                             : 0;
    return rows(4 * shape_.intermediate_size) + mask;
  }

  // How attention.cpp computes.
  enum class Attention { kCpuKernels, kFlash, kBlocks };
  Attention attention() const {
    const bool is_aligned = shape_.head_dim % 8 == 0;
    if (question_.is_on_cpu) return is_aligned ? Attention::kCpuKernels : Attention::kBlocks;
    const bool is_flash = is_aligned && shape_.head_dim <= 256 && element_ < kFloatBytes;
    return is_flash ? Attention::kFlash : Attention::kBlocks;
  }

  // Gradients of q, k and v and of the output, and what the way computes beside them.
  int64_t attention_backward() const {
    const int64_t gradients = 2 * queries_ + 2 * keys_;
    switch (attention()) {
      case Attention::kFlash:
        return rows(gradients);
      case Attention::kCpuKernels: {
        // Half types are computed in float; each query head of a long text has its own keys.
        const int64_t floats = element_ == kFloatBytes ? 0 : gradients + queries_ + 2 * keys_;
        const bool is_by_head = longest_ > kMaxShortText && queries_ != keys_;
        return rows(gradients) + tokens_ * (floats + (is_by_head ? 2 * queries_ : 0)) * kFloatBytes;
      }
      case Attention::kBlocks:
        break;
    }
    // Weights, their gradient and the scores' gradient of one text's rows.
    const int64_t scores = shape_.num_heads * std::min(kAttentionRows, longest_) * longest_;
    return 4 * scores * kFloatBytes + rows(gradients);
  }

  const MemoryQuestion& question_;
  const nn::ModelShape& shape_;
  int64_t element_;
  int64_t tokens_;
  int64_t longest_;
  int64_t queries_;
  int64_t keys_;
  std::set<std::string_view> targets_;
};

}  // namespace

int64_t MemoryEstimate::total() const {
  int64_t sum = 0;
  for (const auto& [name, bytes] : parts()) sum += bytes;
  return sum;
}

std::vector<std::pair<std::string_view, int64_t>> MemoryEstimate::parts() const {
  return {{"weights", weights},           {"adapter", adapter},          {"gradients", gradients},
          {"optimizer", optimizer},       {"activations", activations},  {"logits", logits},
          {"compiled kernels", compiled}, {"program and LibTorch", base}};
}

MemoryEstimate estimate_memory(const MemoryQuestion& question) {
  check(question);
  const Counter counter(question);
  const int64_t adapter = counter.adapter_values() * kFloatBytes;
  const int64_t logits = counter.logits();
  // The logits are gone when the backward pass through the blocks begins.
  const int64_t working = std::max<int64_t>(0, counter.backward_working_set() - logits);
  MemoryEstimate estimate{.weights = counter.weights(),
                          .adapter = adapter,
                          .gradients = adapter,
                          .optimizer = counter.optimizer(),
                          .activations = counter.saved() + working,
                          .logits = logits + counter.token_nll_saved()};
  if (question.is_on_cpu) {
    estimate.activations +=
        static_cast<int64_t>(kHoles * static_cast<double>(estimate.activations));
    // Files are mapped only while the weights are loaded: they count where a step takes less.
    const int64_t beside_weights = estimate.total() - estimate.weights;
    estimate.weights += std::max<int64_t>(0, question.mapped_file_bytes - beside_weights);
    estimate.base = kBaseBytes;
    if (question.dtype == torch::kBFloat16 || question.dtype == torch::kFloat16) {
      estimate.compiled = std::min(question.num_row_counts, kMaxRowCounts) * kCompiledBytes;
    }
  }
  return estimate;
}

int64_t num_adapter_values(const nn::ModelShape& shape, int64_t rank,
                           const std::vector<std::string>& target_modules) {
  check_targets(shape, target_modules);
  int64_t values = 0;
  for (const LinearKind& kind : linear_kinds(shape)) {
    values += num_targeted(kind, shape, target_modules) * rank * (kind.inputs + kind.outputs);
  }
  return values;
}

bool should_recompute(MemoryQuestion question, int64_t available_bytes) {
  question.recompute_blocks = false;
  return estimate_memory(question).total() > available_bytes;
}

}  // namespace cpx::training
