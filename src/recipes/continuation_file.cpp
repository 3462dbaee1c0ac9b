// SPDX-License-Identifier: Apache-2.0
#include "continuation_file.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/progress.h"
#include "cpx/core/text_hash.h"
#include "decoding_settings.h"
#include "text_writer.h"

namespace cpx::recipes {

namespace {

using Lines = nlohmann::ordered_json;

std::vector<pipeline::Setting> continuation_settings(
    const Decoding& decoding, const std::vector<ContinuationPrompt>& prompts) {
  std::vector<pipeline::Setting> settings = decoding_settings(decoding);
  TextHash hash;
  for (const ContinuationPrompt& prompt : prompts) hash.add_text(prompt.fields.dump());
  settings.push_back({"groups", hash.hex()});
  return settings;
}

// Gives the prompts that are missing to the model, and the lines of each whole prompt, in the order
// of prompts, to the file.
class PromptContinuing {
 public:
  PromptContinuing(const std::vector<ContinuationPrompt>& prompts, const Decoding& decoding,
                   pipeline::GrowingOutput& output, const std::string& title)
      : prompts_(prompts),
        decoding_(decoding),
        output_(output),
        writer_(decoding),
        progress_(title, std::ssize(prompts), output.num_done()),
        next_to_ask_(static_cast<size_t>(output.num_done())),
        next_to_write_(static_cast<uint64_t>(output.num_done())) {}

  void run() {
    WriterRun run{.next = [this] { return next(); },
                  .num_prompts = std::ssize(prompts_) - output_.num_done(),
                  .on_answer = [this](Answer answer) { take(std::move(answer)); }};
    for (size_t i = next_to_ask_; i < prompts_.size(); ++i) {
      ids_.push_back(writer_.ids_of(prompts_[i].where, prompts_[i].text));
      run.max_prompt_tokens = std::max(run.max_prompt_tokens, std::ssize(ids_.back()));
    }
    first_ = next_to_ask_;
    writer_.write(run);
  }

 private:
  std::optional<generation::Prompt> next() {
    if (next_to_ask_ == prompts_.size()) return std::nullopt;
    const size_t number = next_to_ask_++;
    return generation::Prompt{.ids = std::move(ids_[number - first_]), .number = number};
  }

  void take(Answer answer) {
    num_tokens_ += answer.num_tokens;
    unfinished_[answer.prompt].push_back(std::move(answer));
    while (!unfinished_.empty() && unfinished_.begin()->first == next_to_write_ &&
           std::ssize(unfinished_.begin()->second) == decoding_.samples) {
      output_.add(lines_of(std::move(unfinished_.begin()->second)));
      unfinished_.erase(unfinished_.begin());
      ++next_to_write_;
      progress_.update(static_cast<int64_t>(next_to_write_),
                       fmt::format("prompts, {} tokens", num_tokens_));
    }
  }

  std::string lines_of(std::vector<Answer> answers) const {
    std::ranges::sort(answers, {}, &Answer::sample);
    std::string lines;
    for (const Answer& answer : answers) {
      const ContinuationPrompt& prompt = prompts_[answer.prompt];
      Lines line = {{"prompt", prompt.text}};
      line.update(prompt.fields);
      line["sample"] = answer.sample;
      line["text"] = answer.text;
      line["tokens"] = answer.num_tokens;
      line["finish"] = finish_name(answer.reason);
      lines += line.dump(-1, ' ', false, Lines::error_handler_t::replace) + "\n";
    }
    return lines;
  }

  const std::vector<ContinuationPrompt>& prompts_;
  const Decoding& decoding_;
  pipeline::GrowingOutput& output_;
  TextWriter writer_;
  Progress progress_;
  std::vector<std::vector<int64_t>> ids_;  // of the prompts from `first_` on
  size_t first_ = 0;
  size_t next_to_ask_;
  uint64_t next_to_write_;
  std::map<uint64_t, std::vector<Answer>> unfinished_;
  int64_t num_tokens_ = 0;
};

std::vector<std::string> texts_of_prompts(const std::vector<ContinuationPrompt>& prompts) {
  std::vector<std::string> texts;
  for (const ContinuationPrompt& prompt : prompts) texts.push_back(prompt.text);
  return texts;
}

}  // namespace

ContinuationFile::ContinuationFile(std::filesystem::path path,
                                   const std::vector<ContinuationPrompt>& prompts,
                                   Decoding decoding, bool overwrite)
    : path_(std::move(path)),
      prompts_(prompts),
      decoding_(std::move(decoding)),
      output_(std::make_unique<pipeline::GrowingOutput>(path_, texts_of_prompts(prompts_),
                                                        continuation_settings(decoding_, prompts_),
                                                        decoding_.samples, overwrite)) {}

bool ContinuationFile::write(const std::string& title) {
  const int64_t num_prompts = output_->num_prompts();
  if (output_->num_done() == num_prompts) {
    log_info("{}: written before with the same settings", path_.string());
    return true;
  }
  if (output_->num_done() > 0) {
    log_info("{}: going on, {} of {} prompts are done", path_.string(), output_->num_done(),
             num_prompts);
  }
  PromptContinuing(prompts_, decoding_, *output_, title).run();
  output_->finish();
  if (output_->num_done() == num_prompts) return true;
  log_warning("interrupted: {}: {} of {} prompts are done; the same command goes on from there",
              path_.string(), output_->num_done(), num_prompts);
  return false;
}

std::vector<pipeline::ContinuedPrompt> ContinuationFile::read() const {
  return pipeline::read_continuations(path_);
}

}  // namespace cpx::recipes
