// SPDX-License-Identifier: Apache-2.0
#include "tiny_run.h"

#include <sstream>
#include <system_error>
#include <tuple>
#include <unistd.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "cpx/core/random.h"
#include "cpx/formats/peft.h"
#include "cpx/kernels/elementwise.h"
#include "cpx/kernels/token_nll.h"
#include "cpx/nn/attention_source.h"
#include "cpx/nn/rotary_embedding.h"

namespace cpx::training {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kVocabulary = 64;
constexpr int64_t kHidden = 16;
constexpr int64_t kIntermediate = 24;
constexpr int64_t kHeads = 2;
constexpr int64_t kHeadDim = 8;

// Normal numbers of a given spread; a function of the seed.
torch::Tensor random_matrix(const std::vector<int64_t>& shape, double spread, uint64_t seed) {
  auto values = at::empty(shape, at::kFloat);
  CounterRng rng(seed, {});
  float* data = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) data[i] = static_cast<float>(spread * rng.normal());
  return values;
}

void fill(nn::Linear& linear, uint64_t seed) {
  linear->set_frozen(
      "weight",
      random_matrix({linear->options.out_features, linear->options.in_features}, 0.25, seed));
}

void attach(nn::Linear& linear, double dropout, uint64_t seed) {
  linear->attach_lora({.rank = 2, .alpha = 4.0, .dropout = dropout}, seed, /*dropout_stream=*/seed);
  const torch::NoGradGuard no_grad;
  linear->lora_B->weight.copy_(random_matrix({linear->options.out_features, 2}, 0.1, seed + 1));
}

const torch::Tensor& frequencies() {
  static const auto values =
      nn::inverse_frequencies({.head_dim = kHeadDim, .frequency_divisors = {}});
  return values;
}

// A folder that lives as long as the process.
struct RemovedAtExit {
  explicit RemovedAtExit(fs::path folder) : path(std::move(folder)) {}
  ~RemovedAtExit() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  RemovedAtExit(const RemovedAtExit&) = delete;
  RemovedAtExit& operator=(const RemovedAtExit&) = delete;

  fs::path path;
};

std::string random_text(CounterRng& rng) {
  std::vector<int64_t> ids;
  const uint64_t length = 2 + rng.below(7);
  for (uint64_t i = 0; i < length; ++i) ids.push_back(static_cast<int64_t>(3 + rng.below(61)));
  ids.push_back(2);
  return number_text(ids);
}

}  // namespace

tokenizer::Encoding NumberTokenizer::encode(std::string_view text,
                                            bool /*add_special_tokens*/) const {
  tokenizer::Encoding encoding;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const auto end = words.eof() ? text.size() : static_cast<size_t>(words.tellg());
    encoding.ids.push_back(std::stoll(word));
    encoding.offsets.emplace_back(end - word.size(), end);
  }
  return encoding;
}

std::string NumberTokenizer::decode(std::span<const tokenizer::TokenId> ids,
                                    bool /*skip_special_tokens*/) const {
  return number_text(std::vector<int64_t>(ids.begin(), ids.end()));
}

std::optional<tokenizer::TokenId> NumberTokenizer::find(std::string_view piece) const {
  const auto ids = encode(piece, /*add_special_tokens=*/false).ids;
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

data::TextEncoder number_encoder() {
  return {std::make_shared<NumberTokenizer>(), {.append_eos = false, .max_tokens = 0}};
}

tokenizer::Encoding WordTokenizer::encode(std::string_view text,
                                          bool /*add_special_tokens*/) const {
  tokenizer::Encoding encoding;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const bool is_number = word.find_first_not_of("0123456789") == std::string::npos;
    encoding.ids.push_back(is_number ? std::stoll(word) : 3 + std::ssize(word));
    encoding.offsets.emplace_back(0, 0);
  }
  return encoding;
}

data::TextEncoder word_encoder() {
  return {std::make_shared<WordTokenizer>(), {.append_eos = false, .max_tokens = 0}};
}

std::string number_text(std::span<const int64_t> ids) {
  std::string text;
  for (const int64_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

TinyModel::TinyModel(double dropout)
    : shape_{.vocabulary_size = kVocabulary,
             .hidden_size = kHidden,
             .intermediate_size = kIntermediate,
             .num_layers = 1,
             .num_heads = kHeads,
             .num_kv_heads = 1,
             .head_dim = kHeadDim,
             .max_position = 64},
      embedding_(random_matrix({kVocabulary, kHidden}, 1.0, 11)),
      head_(random_matrix({kVocabulary, kHidden}, 0.5, 12)),
      block_(nn::DecoderBlockOptions{.hidden_size = kHidden,
                                     .intermediate_size = kIntermediate,
                                     .num_heads = kHeads,
                                     .num_kv_heads = 1,
                                     .head_dim = kHeadDim}) {
  block_->input_layernorm->set_frozen("weight", at::ones({kHidden}));
  block_->post_attention_layernorm->set_frozen("weight", at::ones({kHidden}));
  fill(block_->self_attn->q_proj, 21);
  fill(block_->self_attn->k_proj, 22);
  fill(block_->self_attn->v_proj, 23);
  fill(block_->self_attn->o_proj, 24);
  fill(block_->mlp->gate_proj, 25);
  fill(block_->mlp->up_proj, 26);
  fill(block_->mlp->down_proj, 27);
  attach(block_->self_attn->q_proj, dropout, 31);
  attach(block_->self_attn->v_proj, dropout, 41);
}

torch::Tensor TinyModel::hidden_states(const nn::PackedTokens& tokens,
                                       const nn::ForwardOptions& options) {
  return states(tokens.ids, {.source = nn::attention_source(tokens), .options = options});
}

torch::Tensor TinyModel::prefill(nn::KvCache& cache, const torch::Tensor& ids,
                                 const std::vector<nn::PromptSlot>& prompts) {
  const torch::NoGradGuard no_grad;
  cache.begin_prompts(prompts, ids.size(0));
  return states(ids, {.source = std::make_shared<nn::CachedPrompts>(cache, prompts),
                      .options = {.is_by_row = true}});
}

torch::Tensor TinyModel::next_tokens(nn::KvCache& cache, const torch::Tensor& ids,
                                     const std::vector<int64_t>& sequences) {
  const torch::NoGradGuard no_grad;
  auto hidden = states(ids, {.source = std::make_shared<nn::NextTokens>(cache, sequences),
                             .options = {.is_by_row = true}});
  cache.advance(sequences);
  return hidden;
}

torch::Tensor TinyModel::states(const torch::Tensor& ids, nn::ForwardContext context) {
  std::tie(context.cosine, context.sine) =
      nn::rotary_tables(frequencies(), context.source->positions());
  const auto hidden = block_->forward(at::embedding(embedding_, ids), context);
  return kernels::rms_norm(hidden, at::ones({kHidden}), 1e-5);
}

torch::Tensor TinyModel::token_nll(const torch::Tensor& hidden, const torch::Tensor& targets,
                                   const nn::ForwardOptions& /*options*/) {
  return kernels::token_nll(hidden, head_, targets);
}

torch::Tensor TinyModel::logits(const torch::Tensor& hidden,
                                const nn::ForwardOptions& /*options*/) {
  return at::mm(hidden, head_.t());
}

std::vector<nn::NamedParameter> TinyModel::trainable() const {
  const std::string prefix = "model.layers.0.self_attn.";
  const auto& attention = block_->self_attn;
  return {{prefix + "q_proj.lora_A.weight", attention->q_proj->lora_A->weight},
          {prefix + "q_proj.lora_B.weight", attention->q_proj->lora_B->weight},
          {prefix + "v_proj.lora_A.weight", attention->v_proj->lora_A->weight},
          {prefix + "v_proj.lora_B.weight", attention->v_proj->lora_B->weight}};
}

double nll_behind(TinyModel& model, const std::vector<int64_t>& ids, int64_t num_given) {
  const torch::NoGradGuard no_grad;
  const auto hidden = model.hidden_states(
      {.ids = at::tensor(ids, at::kLong), .cu_seqlens = {0, static_cast<int32_t>(ids.size())}}, {});
  const auto log_probs = model.logits(hidden, {}).to(at::kDouble).log_softmax(-1);
  double sum = 0.0;
  for (int64_t t = num_given; t < std::ssize(ids); ++t) {
    sum -= log_probs[t - 1][ids[static_cast<size_t>(t)]].item<double>();
  }
  return sum;
}

std::vector<data::Record> tiny_records(int64_t count, uint64_t seed) {
  std::vector<data::Record> records;
  CounterRng rng(seed, {});
  for (int64_t i = 0; i < count; ++i) {
    data::Record record;
    record.id = "tiny-" + std::to_string(i);
    record.where = "tiny.json: record " + std::to_string(i) + " (id '" + record.id + "')";
    record.group = i % 2 == 0 ? "even" : "odd";
    for (int text = 0; text < 4; ++text) record.neutral.push_back(random_text(rng));
    for (int text = 0; text < 4; ++text) record.toxic.push_back(random_text(rng));
    record.input = record.neutral.front();
    records.push_back(record);
  }
  return records;
}

TrainerOptions tiny_options(const fs::path& output) {
  return {.output = output,
          .epochs = 2,
          .accumulate = 2,
          .seed = 3,
          .learning_rate = 1e-2,
          .max_grad_norm = 1.0,
          .schedule = {.kind = ScheduleKind::kCosine, .warmup_ratio = 0.1},
          .evaluate_every = 2,
          .checkpoint_every = 1,
          .keep_last = 0,
          .log_every = 0,
          .tensorboard = false};
}

RunInfo tiny_info() {
  return {.peft = {.rank = 2,
                   .alpha = 4.0,
                   .target_modules = {"q_proj", "v_proj"},
                   .base_model = "tiny"},
          .card = {.base_model = "tiny", .objective = "contrastive_perplexity"},
          .fingerprints = {{"model", "tiny"}, {"data.train", "8 records"}}};
}

fs::path fresh_folder() {
  static const RemovedAtExit all_folders(fs::path(testing::TempDir()) /
                                         fmt::format("cpx_training_{}", getpid()));
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const fs::path folder =
      all_folders.path / fmt::format("{}.{}", test->test_suite_name(), test->name());
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

void train_twenty_steps(TinyModel& model, StepTask& task) {
  auto options = tiny_options(fresh_folder());
  options.max_steps = 20;
  options.epochs = 0;
  options.accumulate = 1;
  options.learning_rate = 1e-2;
  Trainer(model, task, tiny_info(), options).run();
}

torch::Tensor adapter_values(const fs::path& folder) {
  std::vector<torch::Tensor> values;
  for (const auto& factor : formats::read_peft(folder).factors) {
    values.push_back(factor.value.flatten().clone());
  }
  return at::cat(values);
}

std::vector<std::string> repeatable_metrics(const fs::path& run_folder) {
  std::vector<std::string> lines;
  std::istringstream content(read_text_file(run_folder / "metrics.jsonl"));
  for (std::string line; std::getline(content, line);) {
    auto json = nlohmann::ordered_json::parse(line);
    for (const char* key :
         {"tokens_per_second", "cpu_seconds", "mfu", "peak_memory_mib", "eval_seconds",
          "sampling_seconds", "scoring_seconds", "policy_seconds"}) {
      json.erase(key);
    }
    lines.push_back(json.dump());
  }
  return lines;
}

}  // namespace cpx::training
