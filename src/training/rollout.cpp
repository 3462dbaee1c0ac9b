// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/rollout.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/formats/safetensors.h"
#include "cpx/generation/text_generator.h"
#include "cpx/generation/text_stream.h"
#include "cpx/kernels/row_distribution.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

constexpr const char* kRolloutFile = "rollout.safetensors";

// Streams of a rollout's random numbers.
constexpr uint64_t kLengthStream = 1;
constexpr uint64_t kSampleStream = 2;

// ---- Sampling -----------------------------------------------------------------------------------

int64_t drawn_length(const RolloutOptions& options, uint64_t rollout, int64_t prompt) {
  CounterRng rng(options.seed, {kLengthStream, rollout, static_cast<uint64_t>(prompt)});
  const auto choices = static_cast<uint64_t>(options.max_new_tokens - options.min_new_tokens + 1);
  return options.min_new_tokens + static_cast<int64_t>(rng.below(choices));
}

generation::SamplingOptions sampling_options(const RolloutOptions& options) {
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_new_tokens = options.min_tokens_before_stop,
          .max_new_tokens = options.max_new_tokens,
          .stop_ids = options.stop_ids};
}

int64_t longest(std::span<const NumberedPrompt> prompts) {
  int64_t length = 0;
  for (const NumberedPrompt& prompt : prompts) length = std::max(length, std::ssize(prompt.ids));
  return length;
}

std::vector<tokenizer::TokenId> to_token_ids(std::span<const int64_t> ids) {
  return {ids.begin(), ids.end()};
}

torch::Tensor doubles(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }
torch::Tensor integers(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

// ---- Passes -------------------------------------------------------------------------------------

void append(std::vector<double>& values, const torch::Tensor& more) {
  const auto numbers = nn::to_doubles(more);
  values.insert(values.end(), numbers.begin(), numbers.end());
}

// Of the policy's distributions from the reference's, whose states are `reference_hidden`.
torch::Tensor full_kl_of(const Policies& policies, const torch::Tensor& hidden,
                         const torch::Tensor& reference_hidden) {
  nn::CausalLm& model = policies.trained;
  const int64_t step = nn::rows_in_a_piece(model.shape());
  const auto reference_pieces = reference_hidden.split(step);
  std::vector<torch::Tensor> pieces;
  for (const auto& rows : hidden.split(step)) {
    const auto logits = model.logits(rows, {});
    const ReferenceGuard reference(policies.reference, model);
    pieces.push_back(
        kernels::row_kl(logits, reference.model().logits(reference_pieces[pieces.size()], {})));
  }
  return at::cat(pieces);
}

torch::Tensor targets_of(const nn::CausalLm& model, const data::PackedBatch& packed) {
  return integers(packed.targets).to(model.device());
}

PolicyPass reference_pass(const Policies& policies, const data::PackedBatch& packed) {
  const ReferenceGuard reference(policies.reference, policies.trained);
  return policy_pass(reference.model(), packed, {});
}

// ---- Files --------------------------------------------------------------------------------------

std::vector<int64_t> to_integers(const torch::Tensor& values) {
  const auto wide = values.to(at::kLong).contiguous();
  const int64_t* first = wide.const_data_ptr<int64_t>();
  return {first, first + wide.numel()};
}

// Texts of ids end to end, and where each ends.
struct JoinedIds {
  std::vector<int64_t> ids;
  std::vector<int64_t> ends;

  void add(std::span<const int64_t> more) {
    ids.insert(ids.end(), more.begin(), more.end());
    ends.push_back(std::ssize(ids));
  }

  std::vector<int64_t> text(size_t i) const {
    const int64_t begin = i == 0 ? 0 : ends[i - 1];
    return {ids.begin() + begin, ids.begin() + ends[i]};
  }

  // False where an end lies before the one in front of it, or past the ids.
  bool is_sound() const {
    int64_t begin = 0;
    for (const int64_t end : ends) {
      if (end <= begin) return false;
      begin = end;
    }
    return begin == std::ssize(ids);
  }
};

}  // namespace

void check_rollout(std::span<const data::EncodedPrompt> prompts, const RolloutOptions& options,
                   int64_t max_position) {
  if (options.min_new_tokens < 1 || options.max_new_tokens < options.min_new_tokens) {
    throw_<ConfigError>(
        "[rollout] min_new_tokens and max_new_tokens: got {} and {}, expected at least 1, the "
        "second not less than the first.",
        options.min_new_tokens, options.max_new_tokens);
  }
  generation::check(sampling_options(options));
  int64_t length = 0;
  for (const data::EncodedPrompt& prompt : prompts) {
    length = std::max(length, std::ssize(prompt.ids));
  }
  if (length + options.max_new_tokens > max_position) {
    throw_<DataError>(
        "[rollout] prompts of up to {} tokens and {} new ones: got {}, expected at most {} (the "
        "model's context). Lower rollout.max_prompt_tokens or rollout.max_new_tokens.",
        length, options.max_new_tokens, length + options.max_new_tokens, max_position);
  }
}

std::vector<Response> sample_responses(nn::CausalLm& model, std::span<const NumberedPrompt> prompts,
                                       const RolloutOptions& options, uint64_t rollout) {
  // Continuations come back by these numbers, in the order of the prompts' own.
  std::vector<generation::Prompt> asked;
  for (const NumberedPrompt& prompt : prompts) {
    asked.push_back({.ids = {prompt.ids.begin(), prompt.ids.end()},
                     .number = static_cast<uint64_t>(prompt.number),
                     .max_new_tokens = drawn_length(options, rollout, prompt.number)});
  }
  const generation::TextGeneratorOptions generator{
      .sampling = sampling_options(options),
      .seed = mix_seed(options.seed, {kSampleStream, rollout}),
      .batch_size = std::ssize(prompts),
      .max_prompt_tokens = longest(prompts)};
  std::map<int64_t, Response> by_prompt;
  for (generation::Continuation& continuation :
       generation::continue_prompts(model, asked, generator)) {
    const auto prompt = static_cast<int64_t>(continuation.prompt);
    by_prompt[prompt] = {.prompt = prompt,
                         .ids = std::move(continuation.ids),
                         .is_stopped = continuation.stop_id.has_value()};
    if (continuation.stop_id) by_prompt[prompt].ids.push_back(*continuation.stop_id);
  }
  std::vector<Response> responses;
  for (const NumberedPrompt& prompt : prompts) {
    responses.push_back(std::move(by_prompt.at(prompt.number)));
    responses.back().prompt_ids.assign(prompt.ids.begin(), prompt.ids.end());
  }
  return responses;
}

std::string prompt_text(const tokenizer::Tokenizer& tokenizer, const Response& response) {
  return tokenizer.decode(to_token_ids(response.prompt_ids), /*skip_special_tokens=*/true);
}

std::string response_text(const tokenizer::Tokenizer& tokenizer, const Response& response) {
  generation::TextStream stream(tokenizer, response.prompt_ids);
  std::string text;
  for (const int64_t id : response.ids) text += stream.add(id);
  return text + stream.finish();
}

std::vector<objectives::TokenRange> token_ranges(std::span<const Response> responses) {
  std::vector<objectives::TokenRange> ranges;
  int64_t first = 0;
  for (const Response& response : responses) {
    ranges.push_back({.first = first, .count = std::ssize(response.ids)});
    first += std::ssize(response.ids);
  }
  return ranges;
}

data::PackedBatch pack_responses(std::span<const Response> responses) {
  std::vector<std::vector<tokenizer::TokenId>> ids;
  for (const Response& response : responses) {
    ids.push_back(to_token_ids(response.prompt_ids));
    ids.back().insert(ids.back().end(), response.ids.begin(), response.ids.end());
  }
  std::vector<data::BatchText> texts;
  for (size_t i = 0; i < ids.size(); ++i) {
    texts.push_back({.ids = ids[i], .num_given = std::ssize(responses[i].prompt_ids)});
  }
  return data::pack(texts);
}

PolicyPass policy_pass(nn::CausalLm& model, const data::PackedBatch& packed,
                       const nn::ForwardOptions& options) {
  const auto hidden = nn::predicting_states(model, predictions_of(packed), options);
  return {.hidden = hidden, .nll = model.token_nll(hidden, targets_of(model, packed), options)};
}

ResponseFigures response_figures(const Policies& policies, std::span<const Response> responses,
                                 int64_t responses_per_pass, const RolloutFigures& wanted) {
  const torch::NoGradGuard no_grad;
  nn::CausalLm& model = policies.trained;
  ResponseFigures figures;
  for (size_t begin = 0; begin < responses.size();) {
    const size_t count =
        std::min(responses.size() - begin, static_cast<size_t>(responses_per_pass));
    const auto packed = pack_responses(responses.subspan(begin, count));
    const auto hidden = nn::predicting_states(model, predictions_of(packed), {});
    const auto targets = targets_of(model, packed);
    if (wanted.entropy) {
      const auto policy = model.token_nll_and_entropy(hidden, targets);
      append(figures.token_nll, policy.nll);
      append(figures.token_entropy, policy.entropy);
    } else {
      append(figures.token_nll, model.token_nll(hidden, targets, {}));
    }
    if (wanted.values) append(figures.values, policies.head.forward(hidden, {}));
    const auto reference = reference_pass(policies, packed);
    append(figures.reference_token_nll, reference.nll);
    if (wanted.full_kl) append(figures.full_kl, full_kl_of(policies, hidden, reference.hidden));
    begin += count;
  }
  return figures;
}

void write_rollout(const std::filesystem::path& folder, const Rollout& rollout) {
  JoinedIds prompts;
  JoinedIds responses;
  std::vector<int64_t> numbers;
  std::vector<int64_t> stopped;
  for (const Response& response : rollout.responses) {
    prompts.add(response.prompt_ids);
    responses.add(response.ids);
    numbers.push_back(response.prompt);
    stopped.push_back(response.is_stopped ? 1 : 0);
  }
  const std::vector<formats::NamedTensor> tensors = {{"prompt", integers(numbers)},
                                                     {"prompt_ids", integers(prompts.ids)},
                                                     {"prompt_ends", integers(prompts.ends)},
                                                     {"response_ids", integers(responses.ids)},
                                                     {"response_ends", integers(responses.ends)},
                                                     {"is_stopped", integers(stopped)},
                                                     {"scores", doubles(rollout.scores)},
                                                     {"kl", doubles(rollout.kl)},
                                                     {"old_nll", doubles(rollout.old_nll)},
                                                     {"old_values", doubles(rollout.old_values)},
                                                     {"advantages", doubles(rollout.advantages)},
                                                     {"returns", doubles(rollout.returns)}};
  formats::write_safetensors(folder / kRolloutFile, tensors);
}

Rollout read_rollout(const std::filesystem::path& folder) {
  const auto file = formats::SafetensorsFile::open(folder / kRolloutFile);
  const auto of = [&](const char* name, size_t size) {
    const auto values = file->tensor(name);
    if (values.numel() != static_cast<int64_t>(size)) {
      throw_<DataError>("[rollout] {}: '{}' has {} numbers, expected {}. The file is damaged.",
                        file->path().string(), name, values.numel(), size);
    }
    return values;
  };
  const auto numbers = to_integers(file->tensor("prompt"));
  const size_t count = numbers.size();
  const JoinedIds prompts{.ids = to_integers(file->tensor("prompt_ids")),
                          .ends = to_integers(of("prompt_ends", count))};
  const JoinedIds responses{.ids = to_integers(file->tensor("response_ids")),
                            .ends = to_integers(of("response_ends", count))};
  if (!prompts.is_sound() || !responses.is_sound()) {
    throw_<DataError>("[rollout] {}: the texts' ends do not fit their ids. The file is damaged.",
                      file->path().string());
  }
  const auto stopped = to_integers(of("is_stopped", count));
  const size_t num_tokens = responses.ids.size();
  Rollout rollout{.scores = nn::to_doubles(of("scores", count)),
                  .kl = nn::to_doubles(of("kl", count)),
                  .old_nll = nn::to_doubles(of("old_nll", num_tokens)),
                  .old_values = nn::to_doubles(of("old_values", num_tokens)),
                  .advantages = nn::to_doubles(of("advantages", num_tokens)),
                  .returns = nn::to_doubles(of("returns", num_tokens))};
  for (size_t i = 0; i < count; ++i) {
    rollout.responses.push_back({.prompt = numbers[i],
                                 .prompt_ids = prompts.text(i),
                                 .ids = responses.text(i),
                                 .is_stopped = stopped[i] != 0});
  }
  return rollout;
}

}  // namespace cpx::training
