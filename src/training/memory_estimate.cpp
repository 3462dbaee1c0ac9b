// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/memory_estimate.h"

#include <algorithm>
#include <array>
#include <set>

#include <c10/core/ScalarType.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"

namespace cpx::training {

namespace {

constexpr int64_t kFloatBytes = 4;
constexpr int64_t kMib = int64_t{1} << 20;
// Resident bytes of a program with LibTorch's CPU library loaded and its threads started; measured.
constexpr int64_t kBaseBytes = 330 * kMib;
// As token_nll.cpp and attention.cpp cut their work.
constexpr int64_t kLogitChunkBytes = 32 * kMib;
constexpr int64_t kAttentionRows = 512;

// A linear layer of a block, or the head.
struct LinearSize {
  std::string_view name;
  int64_t inputs;
  int64_t outputs;
};

std::array<LinearSize, 8> linear_sizes(const nn::ModelShape& shape) {
  const int64_t queries = shape.num_heads * shape.head_dim;
  const int64_t keys = shape.num_kv_heads * shape.head_dim;
  return {{{"q_proj", shape.hidden_size, queries},
           {"k_proj", shape.hidden_size, keys},
           {"v_proj", shape.hidden_size, keys},
           {"o_proj", queries, shape.hidden_size},
           {"gate_proj", shape.hidden_size, shape.intermediate_size},
           {"up_proj", shape.hidden_size, shape.intermediate_size},
           {"down_proj", shape.intermediate_size, shape.hidden_size},
           {"lm_head", shape.hidden_size, shape.vocabulary_size}}};
}

bool is_head(const LinearSize& linear) { return linear.name == "lm_head"; }

// The linear layers that the names stand for.
std::vector<LinearSize> targeted(const nn::ModelShape& shape,
                                 const std::vector<std::string>& target_modules) {
  const auto sizes = linear_sizes(shape);
  std::set<std::string_view> names;
  for (const std::string& target : target_modules) {
    if (target == "all-linear") {
      for (const LinearSize& linear : sizes) {
        if (!is_head(linear)) names.insert(linear.name);
      }
      continue;
    }
    const bool is_known =
        std::ranges::any_of(sizes, [&](const LinearSize& linear) { return linear.name == target; });
    CPX_CHECK(is_known,
              "[memory estimate] target module: got '{}', expected q_proj, k_proj, v_proj, o_proj, "
              "gate_proj, up_proj, down_proj, lm_head or all-linear.",
              target);
    names.insert(target);
  }
  std::vector<LinearSize> found;
  std::ranges::copy_if(sizes, std::back_inserter(found),
                       [&](const LinearSize& linear) { return names.contains(linear.name); });
  return found;
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

// The counting, with the sizes of the legend: T tokens, N predictions, D model, F feed-forward,
// H query heads, E head size, V vocabulary, R rank.
class Counter {
 public:
  explicit Counter(const MemoryQuestion& question)
      : question_(question),
        shape_(question.shape),
        element_(static_cast<int64_t>(c10::elementSize(question.dtype))),
        tokens_(question.num_tokens),
        predictions_(question.num_tokens - question.num_texts),
        queries_(shape_.num_heads * shape_.head_dim),
        keys_(shape_.num_kv_heads * shape_.head_dim) {
    for (const LinearSize& linear : targeted(shape_, question.target_modules)) {
      targets_.insert(linear.name);
    }
  }

  int64_t weights() const {
    const int64_t embedding =
        question_.has_tied_embeddings ? 0 : shape_.vocabulary_size * shape_.hidden_size;
    const int64_t norms = (2 * shape_.num_layers + 1) * shape_.hidden_size;
    return (shape_.num_matmul_weights() + embedding + norms) * element_ +
           question_.mapped_file_bytes;
  }

  int64_t adapter_values() const {
    return num_adapter_values(shape_, question_.rank, question_.target_modules);
  }

  // What one block keeps: see the save_for_backward() of each function.
  int64_t block_saved() const {
    const int64_t norms = 2 * tokens_ * (shape_.hidden_size * element_ + kFloatBytes);
    const int64_t attention = rows(queries_ + 2 * keys_);  // rotated q and k, and v
    const int64_t swiglu = rows(2 * shape_.intermediate_size);
    return norms + attention + swiglu + block_lora_saved();
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
    const int64_t states = predictions_ * shape_.hidden_size * element_;
    return has_any({"lm_head"}) ? 3 * states + rows(2 * question_.rank) : 2 * states;
  }

  // Logits of a chunk in the compute type, their log-softmax, and the logits' gradient.
  int64_t logit_chunk() const {
    const int64_t rows_at_once = std::min(
        predictions_,
        std::clamp<int64_t>(kLogitChunkBytes / (shape_.vocabulary_size * kFloatBytes), 16, 4096));
    const int64_t values = rows_at_once * shape_.vocabulary_size;
    const int64_t conversions = element_ == kFloatBytes ? 0 : 2 * values * element_;
    return 2 * values * kFloatBytes + conversions;
  }

 private:
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

  // Weights, their gradient and the scores' gradient of one text's rows; gradients of q, k and v.
  int64_t attention_backward() const {
    const int64_t scores = shape_.num_heads * std::min(kAttentionRows, question_.longest_text) *
                           question_.longest_text;
    return 4 * scores * kFloatBytes + rows(2 * queries_ + 2 * keys_);
  }

  const MemoryQuestion& question_;
  const nn::ModelShape& shape_;
  int64_t element_;
  int64_t tokens_;
  int64_t predictions_;
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
  return {{"weights", weights},          {"adapter", adapter},         {"gradients", gradients},
          {"optimizer", optimizer},      {"activations", activations}, {"logits", logits},
          {"program and LibTorch", base}};
}

MemoryEstimate estimate_memory(const MemoryQuestion& question) {
  check(question);
  const Counter counter(question);
  const int64_t adapter = counter.adapter_values() * kFloatBytes;
  const int64_t logit_chunk = counter.logit_chunk();
  // The logits are gone when the backward pass through the blocks begins.
  const int64_t working = std::max<int64_t>(0, counter.backward_working_set() - logit_chunk);
  return {.weights = counter.weights(),
          .adapter = adapter,
          .gradients = adapter,
          .optimizer = 2 * adapter,
          .activations = counter.saved() + working,
          .logits = logit_chunk + counter.token_nll_saved(),
          .base = question.is_on_cpu ? kBaseBytes : 0};
}

int64_t num_adapter_values(const nn::ModelShape& shape, int64_t rank,
                           const std::vector<std::string>& target_modules) {
  int64_t values = 0;
  for (const LinearSize& linear : targeted(shape, target_modules)) {
    const int64_t layers = is_head(linear) ? 1 : shape.num_layers;
    values += layers * rank * (linear.inputs + linear.outputs);
  }
  return values;
}

bool should_recompute(MemoryQuestion question, int64_t available_bytes) {
  question.recompute_blocks = false;
  return estimate_memory(question).total() > available_bytes;
}

}  // namespace cpx::training
