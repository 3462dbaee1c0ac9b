// SPDX-License-Identifier: Apache-2.0
#include "cpx/generation/text_generator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ranges>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/generation/contrastive_search.h"
#include "cpx/nn/kv_cache.h"

namespace cpx::generation {

namespace {

using torch::Tensor;

// Short prompts go through the model together, up to this many tokens.
constexpr int64_t kPassTokens = 512;

int64_t prompts_at_once(const TextGeneratorOptions& options) {
  if (options.num_prompts > 0) return options.num_prompts;
  const int64_t samples = std::max<int64_t>(1, options.samples_per_prompt);
  // Prompts with all their samples, one whose last samples finish and one whose first ones begin.
  return std::min(options.batch_size, options.batch_size / samples + 2);
}

nn::KvCacheOptions cache_options(const nn::CausalLm& model, const TextGeneratorOptions& options) {
  const nn::ModelShape& shape = model.shape();
  const auto dtype = model.device().is_cpu() ? torch::kFloat32 : model.dtype();
  const SamplingOptions& sampling = options.sampling;
  return {.num_layers = shape.num_layers,
          .num_kv_heads = shape.num_kv_heads,
          .head_dim = shape.head_dim,
          .window = shape.sliding_window,
          .num_prompts = prompts_at_once(options),
          .prompt_capacity = options.max_prompt_tokens,
          .num_sequences = options.batch_size,
          .sequence_capacity = sampling.max_new_tokens,
          .num_candidates =
              sampling.is_contrastive() ? std::min(sampling.top_k, shape.vocabulary_size) : 0,
          .tensor_options = torch::TensorOptions().device(model.device()).dtype(dtype)};
}

// A prompt whose keys and values are in the cache.
struct LoadedPrompt {
  Prompt prompt;
  Tensor logits = {};  // of the token after it, float32 [1, V] on the CPU
  int64_t num_begun = 0;
  int64_t num_running = 0;

  int64_t num_left() const { return prompt.num_samples - num_begun; }
  bool is_needed() const { return num_running > 0 || num_left() > 0; }
};

struct Sequence {
  size_t prompt_slot = 0;
  int64_t sample = 0;
  std::vector<int64_t> ids;  // prompt and new tokens
  int64_t num_new = 0;
  Tensor logits = {};  // of the next token, float32 [V] on the CPU; only in contrastive search
  std::vector<float> raw = {};  // the logits [V] before they are processed; only with log_probs
  std::vector<TokenLogProbs> log_probs = {};
};

// One run: what is loaded and what is running.
class Run {
 public:
  Run(nn::CausalLm& model, const TextGeneratorOptions& options,
      const std::function<std::optional<Prompt>()>& next, const TextGeneratorListener& listener)
      : model_(model),
        options_(options),
        next_(next),
        listener_(listener),
        cache_(cache_options(model, options)),
        prompts_(static_cast<size_t>(prompts_at_once(options))),
        sequences_(static_cast<size_t>(options.batch_size)),
        samplers_(static_cast<size_t>(options.batch_size), Sampler(options.sampling)) {
    if (options.sampling.is_contrastive()) {
      search_.emplace(model, cache_, options.sampling.penalty_alpha);
    }
  }

  TextGeneratorStatistics operator()() {
    const torch::NoGradGuard no_grad;
    fill();
    while (step() && (!listener_.goes_on || listener_.goes_on())) fill();
    return statistics_;
  }

 private:
  // Gives free slots to samples that have not begun, until there are no more of either. It takes
  // several rounds because a sample may end with its first token, which frees its slot.
  void fill() {
    bool has_begun = true;
    while (has_begun) {
      has_begun = false;
      load_prompts();
      for (size_t slot = 0; slot < sequences_.size(); ++slot) {
        if (sequences_[slot]) continue;
        const auto prompt = prompt_with_samples();
        if (!prompt) break;
        begin(slot, *prompt);
        has_begun = true;
      }
    }
  }

  // The slot of a prompt that has samples left to begin.
  std::optional<size_t> prompt_with_samples() const {
    for (size_t i = 0; i < prompts_.size(); ++i) {
      if (prompts_[i] && prompts_[i]->num_left() > 0) return i;
    }
    return std::nullopt;
  }

  // Loads prompts into free slots until each free sequence slot has a sample to begin.
  void load_prompts() {
    int64_t num_missing = std::ranges::count_if(
        sequences_, [](const auto& sequence) { return !sequence.has_value(); });
    for (const auto& prompt : prompts_) num_missing -= prompt ? prompt->num_left() : 0;
    std::vector<size_t> slots;  // of prompts that go through the model together
    int64_t num_tokens = 0;
    const auto load_those = [&] {
      if (!slots.empty()) load(slots);
      slots.clear();
      num_tokens = 0;
    };
    while (num_missing > 0 && !is_exhausted_) {
      const auto free = std::ranges::find_if(
          prompts_, [](const auto& prompt) { return !prompt || !prompt->is_needed(); });
      if (free == prompts_.end()) break;
      auto prompt = next_();
      is_exhausted_ = !prompt;
      if (!prompt || prompt->num_samples == 0) continue;
      const auto length = std::ssize(prompt->ids);
      CPX_CHECK(length > 0 && length <= options_.max_prompt_tokens,
                "[decoder] prompt {} has {} tokens, expected 1 to {}.", prompt->number, length,
                options_.max_prompt_tokens);
      if (num_tokens + length > kPassTokens || length > nn::kMaxJoinedPrompt) load_those();
      num_missing -= prompt->num_samples;
      *free = {.prompt = std::move(*prompt)};
      slots.push_back(static_cast<size_t>(free - prompts_.begin()));
      num_tokens += length;
      if (length > nn::kMaxJoinedPrompt) load_those();
    }
    load_those();
  }

  // Computes the prompts in `slots` in one pass: keys, values and logits.
  void load(const std::vector<size_t>& slots) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<nn::PromptSlot> prompts;
    std::vector<int64_t> ids, last_rows;
    for (const size_t slot : slots) {
      const auto& own = prompts_[slot]->prompt.ids;
      ids.insert(ids.end(), own.begin(), own.end());
      prompts.push_back({.slot = static_cast<int64_t>(slot), .num_tokens = std::ssize(own)});
      last_rows.push_back(std::ssize(ids) - 1);
    }
    const auto to_device = [this](const std::vector<int64_t>& numbers) {
      return at::tensor(numbers, at::kLong).to(model_.device());
    };
    const auto states = model_.prefill(cache_, to_device(ids), prompts);  // [T, D]
    const auto logits = logits_of(states.index_select(0, to_device(last_rows)));
    for (size_t i = 0; i < slots.size(); ++i) {
      prompts_[slots[i]]->logits = logits.narrow(0, static_cast<int64_t>(i), 1);
      if (!search_) continue;
      const auto& [slot, length] = prompts[i];
      search_->begin_prompt(slot, states.narrow(0, last_rows[i] + 1 - length, length));
    }
    statistics_.num_prompt_tokens += std::ssize(ids);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    statistics_.prompt_seconds += elapsed.count();
  }

  Tensor logits_of(const Tensor& states) {
    return model_.logits(states, {.is_by_row = true}).to(at::kCPU, at::kFloat).contiguous();
  }

  void begin(size_t slot, size_t prompt) {
    LoadedPrompt& loaded = *prompts_[prompt];
    sequences_[slot] = {
        .prompt_slot = prompt, .sample = loaded.num_begun++, .ids = loaded.prompt.ids};
    ++loaded.num_running;
    cache_.begin_sequence(static_cast<int64_t>(slot), static_cast<int64_t>(prompt));
    auto logits = loaded.logits.clone();  // sampling changes them
    if (search_) {
      search_->begin_sequence(static_cast<int64_t>(slot), static_cast<int64_t>(prompt));
      sequences_[slot]->logits = logits[0];
    } else {
      add(slot, sample(slot, logits.mutable_data_ptr<float>(), logits.size(1)));
    }
  }

  int64_t sample(size_t slot, float* logits, int64_t vocabulary) {
    Sequence& own = *sequences_[slot];
    const std::span row(logits, static_cast<size_t>(vocabulary));
    CounterRng rng(options_.seed,
                   {prompts_[own.prompt_slot]->prompt.number, static_cast<uint64_t>(own.sample),
                    static_cast<uint64_t>(own.num_new)});
    if (!options_.log_probs) return samplers_[slot].next(row, own.ids, own.num_new, rng);
    own.raw.assign(row.begin(), row.end());
    const int64_t id = samplers_[slot].next(row, own.ids, own.num_new, rng);
    add_log_probs(own, row, id, /*has_probabilities=*/options_.sampling.temperature != 0.0);
    return id;
  }

  // `row` [V] is what `id` was chosen from: probabilities, or processed scores.
  static void add_log_probs(Sequence& own, std::span<const float> row, int64_t id,
                            bool has_probabilities) {
    const double processed = has_probabilities
                                 ? std::log(static_cast<double>(row[static_cast<size_t>(id)]))
                                 : log_probability(row, id);
    own.log_probs.push_back({.raw = log_probability(own.raw, id), .processed = processed});
  }

  // Appends a token to the sequence, or ends it.
  void add(size_t slot, int64_t id) {
    Sequence& own = *sequences_[slot];
    const uint64_t prompt = prompts_[own.prompt_slot]->prompt.number;
    if (std::ranges::find(options_.sampling.stop_ids, id) != options_.sampling.stop_ids.end()) {
      return finish(slot, FinishReason::kStopToken, id);
    }
    own.ids.push_back(id);
    ++own.num_new;
    ++statistics_.num_new_tokens;
    if (listener_.on_token && listener_.on_token(prompt, own.sample, id)) {
      return finish(slot, FinishReason::kStopString);
    }
    if (own.num_new == max_new_tokens(own)) finish(slot, FinishReason::kLength);
  }

  int64_t max_new_tokens(const Sequence& sequence) const {
    const int64_t all = options_.sampling.max_new_tokens;
    const int64_t own = prompts_[sequence.prompt_slot]->prompt.max_new_tokens;
    return own > 0 ? std::min(own, all) : all;
  }

  void finish(size_t slot, FinishReason reason, std::optional<int64_t> stop_id = std::nullopt) {
    Sequence own = std::move(*sequences_[slot]);
    sequences_[slot].reset();
    LoadedPrompt& loaded = *prompts_[own.prompt_slot];
    --loaded.num_running;
    own.ids.erase(own.ids.begin(), own.ids.begin() + std::ssize(loaded.prompt.ids));
    if (listener_.on_finished) {
      listener_.on_finished({.prompt = loaded.prompt.number,
                             .sample = own.sample,
                             .ids = std::move(own.ids),
                             .reason = reason,
                             .stop_id = stop_id,
                             .log_probs = std::move(own.log_probs)});
    }
  }

  // Computes the next token of every running sequence; false if there is none.
  bool step() {
    std::vector<int64_t> slots;
    for (size_t slot = 0; slot < sequences_.size(); ++slot) {
      if (sequences_[slot]) slots.push_back(static_cast<int64_t>(slot));
    }
    if (slots.empty()) return false;
    if (search_) {
      search_next(slots);
    } else {
      sample_next(slots);
    }
    ++statistics_.num_steps;
    return true;
  }

  void sample_next(const std::vector<int64_t>& slots) {
    std::vector<int64_t> ids;
    for (const int64_t slot : slots) {
      ids.push_back(sequences_[static_cast<size_t>(slot)]->ids.back());
    }
    const auto states =
        model_.next_tokens(cache_, at::tensor(ids, at::kLong).to(model_.device()), slots);
    auto logits = logits_of(states);  // [N, V]
    std::vector<int64_t> next(slots.size());
    at::parallel_for(0, std::ssize(slots), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const auto i = static_cast<size_t>(row);
        next[i] = sample(static_cast<size_t>(slots[i]),
                         logits.mutable_data_ptr<float>() + row * logits.size(1), logits.size(1));
      }
    });
    for (size_t i = 0; i < slots.size(); ++i) add(static_cast<size_t>(slots[i]), next[i]);
  }

  void search_next(const std::vector<int64_t>& slots) {
    std::vector<std::vector<Candidate>> candidates(slots.size());
    at::parallel_for(0, std::ssize(slots), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        candidates[static_cast<size_t>(i)] =
            candidates_of(static_cast<size_t>(slots[static_cast<size_t>(i)]));
      }
    });
    const auto choice = search_->choose(slots, std::move(candidates));
    const auto logits = logits_of(choice.states);  // [N, V]
    for (size_t i = 0; i < slots.size(); ++i) {
      const auto slot = static_cast<size_t>(slots[i]);
      Sequence& own = *sequences_[slot];
      const int64_t id = choice.candidates[i][choice.best[i]].id;
      if (options_.log_probs) {
        add_log_probs(own, scores_of(own), id, /*has_probabilities=*/true);
      }
      own.logits = logits[static_cast<int64_t>(i)];
      add(slot, id);
    }
  }

  static std::span<float> scores_of(Sequence& own) {
    return {own.logits.mutable_data_ptr<float>(), static_cast<size_t>(own.logits.size(0))};
  }

  std::vector<Candidate> candidates_of(size_t slot) {
    Sequence& own = *sequences_[slot];
    const std::span<float> scores = scores_of(own);
    if (options_.log_probs) own.raw.assign(scores.begin(), scores.end());
    samplers_[slot].to_probabilities(scores, own.ids, own.num_new);
    return likeliest(scores, options_.sampling.top_k);
  }

  nn::CausalLm& model_;
  const TextGeneratorOptions& options_;
  const std::function<std::optional<Prompt>()>& next_;
  const TextGeneratorListener& listener_;
  nn::KvCache cache_;
  std::vector<std::optional<LoadedPrompt>> prompts_;
  std::vector<std::optional<Sequence>> sequences_;
  std::vector<Sampler> samplers_;
  std::optional<ContrastiveSearch> search_;
  bool is_exhausted_ = false;
  TextGeneratorStatistics statistics_;
};

}  // namespace

TextGenerator::TextGenerator(nn::CausalLm& model, const TextGeneratorOptions& options)
    : model_(model), options_(options) {
  const int64_t context = model.shape().max_position;
  const int64_t wanted = options.max_prompt_tokens + options.sampling.max_new_tokens;
  CPX_CHECK(options.batch_size > 0 && options.max_prompt_tokens > 0 &&
                options.sampling.max_new_tokens > 0,
            "[decoder] got batch size {}, {} prompt tokens and {} new tokens, expected at least 1 "
            "each.",
            options.batch_size, options.max_prompt_tokens, options.sampling.max_new_tokens);
  CPX_CHECK(wanted <= context,
            "[decoder] got prompts of up to {} tokens and {} new ones, expected at most {} "
            "together (the model's context).",
            options.max_prompt_tokens, options.sampling.max_new_tokens, context);
  check(options.sampling);
}

TextGeneratorStatistics TextGenerator::run(const std::function<std::optional<Prompt>()>& next,
                                           const TextGeneratorListener& listener) {
  return Run(model_, options_, next, listener)();
}

std::vector<Continuation> continue_prompts(nn::CausalLm& model, const std::vector<Prompt>& prompts,
                                           const TextGeneratorOptions& options) {
  std::vector<Continuation> continuations;
  size_t next = 0;
  TextGenerator(model, options)
      .run(
          [&]() -> std::optional<Prompt> {
            return next < prompts.size() ? std::optional(prompts[next++]) : std::nullopt;
          },
          {.on_finished = [&](Continuation one) { continuations.push_back(std::move(one)); }});
  std::ranges::sort(continuations, {},
                    [](const Continuation& one) { return std::pair(one.prompt, one.sample); });
  return continuations;
}

}  // namespace cpx::generation
