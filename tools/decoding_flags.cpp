// SPDX-License-Identifier: Apache-2.0
#include "decoding_flags.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "cpx/core/log.h"
#include "flag_effects.h"
#include "path_option.h"

namespace cpx::tools {

void add_decoding_flags(CLI::App& app, recipes::Decoding& decoding) {
  auto& sampling = decoding.sampling;
  add_path_option(app, "--model", decoding.model, "Hugging Face folder or .gguf");
  add_path_option(app, "--adapter", decoding.adapter, "PEFT LoRA folder");
  app.add_option("--system", decoding.system, "A chat's first message");
  add_path_option(app, "--chat-template", decoding.chat_template,
                  "Jinja file in place of the model's chat template");
  app.add_option("--samples", decoding.samples, "Texts a prompt")->capture_default_str();
  app.add_option("--temperature", sampling.temperature, "0: greedy")->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "Only the k likeliest tokens (0: all)")
      ->capture_default_str();
  app.add_option("--top-p", sampling.top_p, "Only the likeliest that reach p together (1: all)")
      ->capture_default_str();
  app.add_option("--min-p", sampling.min_p, "Only those of at least p times the likeliest's")
      ->capture_default_str();
  app.add_option("--repetition-penalty", sampling.repetition_penalty, "1: none")
      ->capture_default_str();
  app.add_option("--no-repeat-ngram", sampling.no_repeat_ngram,
                 "No run of so many tokens twice (0: off)")
      ->capture_default_str();
  app.add_option("--penalty-alpha", sampling.penalty_alpha,
                 "Contrastive search at --temperature 0: weight of being unlike the text, for the "
                 "--top-k likeliest tokens (0: off)")
      ->capture_default_str();
  app.add_option("--min-new-tokens", sampling.min_new_tokens, "No end before")
      ->capture_default_str();
  app.add_option("--max-new-tokens", sampling.max_new_tokens, "End there")->capture_default_str();
  app.add_option("--stop", decoding.stop_strings, "End before this text (may be given again)");
  app.add_option("--seed", decoding.seed, "Of the random numbers")->capture_default_str();
  app.add_option("--batch", decoding.batch_size, "Texts at once; changes no text")
      ->capture_default_str();
  app.add_option("--weights", decoding.weights,
                 "In memory: auto (a quantised GGUF as it is), float32, bfloat16, q8_0 or q4_0")
      ->capture_default_str();
  app.add_option("--dtype", decoding.dtype,
                 "Of the computation: auto, float32 (with quantised weights always), bfloat16 or "
                 "float16")
      ->capture_default_str();
}

namespace {

void check_effects(const CLI::App& app, const recipes::Decoding& decoding,
                   const std::string& form_flag, Faults& faults) {
  FlagEffects effects(app, faults);
  if (decoding.prompt_form != "auto" && decoding.prompt_form != "chat") {
    effects.refuse({"--system"}, fmt::format("with {} {}: only a chat has a system message",
                                             form_flag, decoding.prompt_form));
  }
  if (decoding.sampling.temperature != 0.0) return;
  const std::string_view reason = "at --temperature 0: nothing is drawn";
  effects.warn({"--seed", "--top-p", "--min-p"}, reason);
  if (!decoding.sampling.is_contrastive()) effects.warn({"--top-k"}, reason);
  if (decoding.samples > 1) {
    log_warning("[command line] --samples: all {} are the same text at --temperature 0",
                decoding.samples);
  }
}

}  // namespace

void check_decoding_flags(const CLI::App& app, const recipes::Decoding& decoding,
                          const std::string& form_flag, Faults& faults) {
  if (decoding.model.empty()) {
    faults.add_at("command line", "--model",
                  "got nothing, expected a Hugging Face folder or a .gguf.");
  }
  constexpr std::string_view kForms[] = {"auto", "plain", "chat", "llama2", "tulu"};
  if (std::find(std::begin(kForms), std::end(kForms), decoding.prompt_form) == std::end(kForms)) {
    faults.add_at("command line", form_flag,
                  "got '{}', expected auto, plain, chat, llama2 or tulu.", decoding.prompt_form);
  }
  if (decoding.chat_template && decoding.prompt_form != "auto" && decoding.prompt_form != "chat") {
    faults.add_at("command line", "--chat-template", "got {} {}, expected auto or chat beside it.",
                  form_flag, decoding.prompt_form);
  }
  check_at_least("--samples", decoding.samples, 1, faults);
  check_at_least("--batch", decoding.batch_size, 1, faults);
  check_effects(app, decoding, form_flag, faults);
}

}  // namespace cpx::tools
