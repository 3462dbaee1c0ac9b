// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/eval_choice.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "choice_inputs.h"
#include "choice_items.h"
#include "cpx/core/error.h"
#include "cpx/core/hub.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/core/progress.h"
#include "cpx/core/text.h"
#include "cpx/evaluation/choice_report.h"
#include "cpx/evaluation/request_encoder.h"
#include "cpx/evaluation/score_requests.h"
#include "cpx/models/load.h"
#include "cpx/tensor/device.h"
#include "cpx/tokenizer/text_ends.h"
#include "exit_status.h"
#include "fingerprint.h"
#include "measured_model.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;
using evaluation::ChoiceDocument;
using evaluation::ChoiceReport;
using evaluation::DocumentScores;
using evaluation::EncodedRequest;
using evaluation::RequestScore;
using Adapter = std::optional<fs::path>;
using Clock = std::chrono::steady_clock;

constexpr int64_t kUnknownLength = 2048;  // of a model whose config has none, as in the harness
// Documents are finished in windows of so many passes: like lengths go together within one, and a
// killed run loses one at most.
constexpr int64_t kPassesPerWindow = 8;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A task's documents as tokens.
struct EncodedTask {
  std::vector<std::vector<EncodedRequest>> documents = {};
  std::vector<size_t> window_ends = {};
  int64_t num_cut = 0;  // requests
};

// Documents that begin alike stand in one tree; other documents are trees of their own.
int64_t tree_of(const ChoiceInput& input, size_t place, bool has_shots) {
  const evaluation::ChoiceTask& task = *input.task.task;
  if (task.has_common_beginning) return 0;
  if (!task.has_subjects || !has_shots) return static_cast<int64_t>(place);
  // Subjects stand together: the number of the first document of this one.
  const auto found =
      std::ranges::find(input.documents, input.documents[place].subject, &ChoiceDocument::subject);
  return found - input.documents.begin();
}

// Requests of some documents, end to end.
struct RequestWindow {
  std::vector<EncodedRequest> requests = {};
  std::vector<int64_t> trees = {};

  void add(const std::vector<EncodedRequest>& more, int64_t tree) {
    requests.insert(requests.end(), more.begin(), more.end());
    trees.insert(trees.end(), more.size(), tree);
  }
};

// A text in windows has one score.
RequestScore summed(std::span<const RequestScore> scores) {
  RequestScore sum;
  for (const RequestScore& score : scores) {
    sum.log_likelihood += score.log_likelihood;
    sum.is_greedy = sum.is_greedy && score.is_greedy;
    sum.num_tokens += score.num_tokens;
  }
  return sum;
}

// Encodes the documents of all tasks.
class Encoding {
 public:
  Encoding(const EvalChoiceCommand& command, int64_t max_length)
      : command_(command),
        tokenizer_(models::read_tokenizer(command.model)),
        encoder_(tokenizer_, {.bos = evaluation::parse_bos_rule(command.bos),
                              .max_length = max_length,
                              .scores_bos = !command.leaves_out_bos}) {}

  EncodedTask encode(const ChoiceInput& input) const {
    EncodedTask task;
    for (const ChoiceDocument& document : input.documents) {
      task.documents.push_back(input.task.task->is_rolling() ? encoder_.encode_rolling(document)
                                                             : encoder_.encode(document));
      task.num_cut += std::ranges::count_if(task.documents.back(), &EncodedRequest::is_cut);
    }
    set_windows(input, task);
    return task;
  }

  std::string describe_ends() const {
    return tokenizer::describe_ends(*tokenizer_, tokenizer_->encode("a").ids);
  }

 private:
  void set_windows(const ChoiceInput& input, EncodedTask& task) const {
    int64_t num_tokens = 0;
    for (size_t i = 0; i < task.documents.size(); ++i) {
      const std::vector<int64_t> trees(task.documents[i].size(), 0);
      num_tokens += evaluation::num_computed_tokens(task.documents[i], trees);
      const bool is_last = i + 1 == task.documents.size();
      if (!is_last && num_tokens < kPassesPerWindow * command_.batch_tokens) continue;
      task.window_ends.push_back(i + 1);
      num_tokens = 0;
    }
    if (task.num_cut > 0) {
      log_warning("[{}] {} longer than the model reads at once: their beginning was cut off",
                  input.name, counted(task.num_cut, "request is", "requests are"));
    }
  }

  const EvalChoiceCommand& command_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  evaluation::RequestEncoder encoder_;
};

MeasuredModelPlace measured_place(const EvalChoiceCommand& command, const torch::Device& device) {
  return {.model = command.model, .weights = command.weights, .device = device};
}

int64_t reading_length(const EvalChoiceCommand& command) {
  if (command.max_length > 0) return command.max_length;
  const int64_t length = models::read_config(command.model).max_position_embeddings;
  return length > 0 ? length : kUnknownLength;
}

std::vector<Adapter> sides_of(const EvalChoiceCommand& command) {
  std::vector<Adapter> sides = {command.adapter};
  sides.insert(sides.end(), command.compare.begin(), command.compare.end());
  return sides;
}

std::string adapter_fingerprint(const Adapter& adapter) {
  return adapter ? model_fingerprint(resolve_hub_name("adapter", *adapter, "an adapter's folder"))
                 : std::string();
}

// A setting that is a number or a text, as the journal of the items has it.
decltype(pipeline::Setting::value) journal_value(const evaluation::SettingValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* is_on = std::get_if<bool>(&value)) return *is_on;
  return std::get<std::string>(value);
}

class ChoiceRun {
 public:
  ChoiceRun(const EvalChoiceCommand& command, std::vector<ChoiceInput> inputs)
      : command_(command),
        inputs_(std::move(inputs)),
        device_(tensor::resolve_device(command.device)),
        dtype_(measured_dtype(measured_place(command, device_), command.dtype)),
        max_length_(reading_length(command)),
        sides_(sides_of(command)),
        model_(measured_place(command, device_), dtype_) {
    const Encoding encoding(command_, max_length_);
    log_info("{}: {}", describe_model(command_.model), encoding.describe_ends());
    const auto start = Clock::now();
    for (const ChoiceInput& input : inputs_) tasks_.push_back(encoding.encode(input));
    encoding_seconds_ = seconds_since(start);
  }

  int run() {
    ChoiceItems items(command_, settings());
    std::vector<ChoiceReport> reports;
    std::vector<DocumentScores> first;
    for (const Adapter& side : sides_) {
      std::vector<DocumentScores> scores;
      const auto start = Clock::now();
      for (size_t task = 0; task < inputs_.size(); ++task) {
        scores.push_back(score_task(side, task, items));
        if (interrupt_requested()) return interrupted(items);
      }
      reports.push_back(report_of(side, scores, first, encoding_seconds_ + seconds_since(start)));
      if (first.empty()) first = std::move(scores);
    }
    items.finish();
    print(reports);
    return kDone;
  }

 private:
  // What is done stands in `items` already, where they are kept.
  DocumentScores score_task(const Adapter& side, size_t number, ChoiceItems& items) {
    const ChoiceInput& input = inputs_[number];
    const EncodedTask& task = tasks_[number];
    DocumentScores scores = items.take_done(input.documents.size());
    const auto num_before = std::ssize(scores);
    Progress progress(side ? input.name + ", " + side->string() : input.name,
                      std::ssize(input.documents), num_before);
    for (const size_t end : task.window_ends) {
      if (end <= scores.size()) continue;
      const size_t begin = scores.size();
      const DocumentScores window = score_window(side, input, task, begin, end, progress);
      if (interrupt_requested()) return {};
      items.add(input, side, begin, window);
      scores.insert(scores.end(), window.begin(), window.end());
    }
    return scores;
  }

  // Documents [begin, end) of a task; nothing where a signal stopped the work.
  DocumentScores score_window(const Adapter& side, const ChoiceInput& input,
                              const EncodedTask& task, size_t begin, size_t end,
                              Progress& progress) {
    RequestWindow window;
    for (size_t i = begin; i < end; ++i) {
      window.add(task.documents[i], tree_of(input, i, command_.shots > 0));
    }
    models::Llama& model = *model_.with(side);
    const auto num_requests = std::ssize(window.requests);
    const auto num_documents = static_cast<int64_t>(end - begin);
    const auto scores = evaluation::score_requests(
        model, window.requests, window.trees,
        {.batch_tokens = command_.batch_tokens,
         .is_by_row = model.is_quantized(),
         .on_progress = [&](int64_t done) {
           progress.update(static_cast<int64_t>(begin) + done * num_documents / num_requests,
                           "documents");
           return !interrupt_requested();
         }});
    if (interrupt_requested()) return {};
    return by_document(input, task, begin, end, scores);
  }

  static DocumentScores by_document(const ChoiceInput& input, const EncodedTask& task, size_t begin,
                                    size_t end, std::span<const RequestScore> scores) {
    DocumentScores result;
    for (size_t i = begin; i < end; ++i) {
      const auto own = scores.first(task.documents[i].size());
      scores = scores.subspan(own.size());
      if (input.task.task->is_rolling()) {
        result.push_back({summed(own)});
      } else {
        result.emplace_back(own.begin(), own.end());
      }
    }
    return result;
  }

  ChoiceReport report_of(const Adapter& side, const std::vector<DocumentScores>& scores,
                         const std::vector<DocumentScores>& first, double seconds) const {
    ChoiceReport report{.model = command_.model.string(),
                        .adapter = side ? std::optional(side->string()) : std::nullopt,
                        .origin = {.model_fingerprint = model_fingerprint(command_.model),
                                   .adapter_fingerprint = adapter_fingerprint(side),
                                   .settings = report_settings()},
                        .seconds = seconds};
    int64_t num_documents = 0;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      evaluation::TaskFigures figures =
          evaluation::task_figures(*inputs_[i].task.task, inputs_[i].name, inputs_[i].documents,
                                   scores[i], first.empty() ? nullptr : &first[i]);
      figures.settings = task_settings(i);
      num_documents += figures.num_documents;
      report.tasks.push_back(std::move(figures));
    }
    log_info("{} in {:.1f} s, {:.1f} a second", counted(num_documents, "document"), seconds,
             static_cast<double>(num_documents) / seconds);
    return report;
  }

  std::vector<evaluation::ReportSetting> report_settings() const {
    return {{"shots", command_.shots},
            {"limit", command_.limit},
            {"bos", command_.bos},
            {"leave_out_bos", command_.leaves_out_bos},
            {"max_length", max_length_},
            {"batch_tokens", command_.batch_tokens},
            {"dtype", tensor::dtype_name(dtype_)},
            {"device", command_.device},
            {"weights", command_.weights}};
  }

  std::vector<evaluation::ReportSetting> task_settings(size_t number) const {
    const auto names = [](const std::vector<fs::path>& files) {
      return files.size() == 1 ? files.front().string()
                               : fmt::format("{} and {} more", files.front().string(),
                                             counted(std::ssize(files) - 1, "file"));
    };
    const ChoiceInput& input = inputs_[number];
    std::vector<evaluation::ReportSetting> settings = {{"file", names(input.files)}};
    if (!input.shot_files.empty()) settings.push_back({"shots_from", names(input.shot_files)});
    if (tasks_[number].num_cut > 0) settings.push_back({"cut_requests", tasks_[number].num_cut});
    return settings;
  }

  // All that the items depend on.
  std::vector<pipeline::Setting> settings() const {
    std::vector<std::string> tasks;
    for (const ChoiceInput& input : inputs_) {
      std::string text = input.name;
      for (const fs::path& file : input.files) text += "; " + file_fingerprint(file);
      for (const fs::path& file : input.shot_files) text += "; shots " + file_fingerprint(file);
      tasks.push_back(std::move(text));
    }
    std::vector<std::string> adapters;
    for (const Adapter& side : sides_) {
      adapters.push_back(side ? side->string() + ": " + adapter_fingerprint(side) : "base");
    }
    std::vector<pipeline::Setting> settings = {
        {"model", model_fingerprint(command_.model)},
        {"adapters", fmt::format("{}", fmt::join(adapters, " | "))},
        {"tasks", fmt::format("{}", fmt::join(tasks, " | "))}};
    for (const auto& [name, value] : report_settings()) {
      settings.push_back({name, journal_value(value)});
    }
    return settings;
  }

  static int interrupted(const ChoiceItems& items) {
    if (items.are_kept()) {
      log_warning("interrupted: {} done; the same command goes on from there",
                  counted(items.num_done(), "document is", "documents are"));
    } else {
      log_warning("interrupted: no report was written; with --items a run goes on after a stop");
    }
    return kInterrupted;
  }

  void print(const std::vector<ChoiceReport>& reports) const {
    const auto is_output = [](const std::optional<fs::path>& path) {
      return path && is_standard_output(*path);
    };
    if (is_output(command_.report)) {
      std::cout << evaluation::choice_report_json(reports);
      return;
    }
    if (command_.report) {
      write_file_atomically(*command_.report, evaluation::choice_report_json(reports));
    }
    (is_output(command_.items) ? std::cerr : std::cout) << evaluation::choice_report_table(reports);
  }

  const EvalChoiceCommand& command_;
  std::vector<ChoiceInput> inputs_;
  torch::Device device_;
  torch::Dtype dtype_;
  int64_t max_length_;
  std::vector<Adapter> sides_;
  MeasuredModel model_;
  std::vector<EncodedTask> tasks_;
  double encoding_seconds_ = 0.0;
};

void check_outputs(const EvalChoiceCommand& command, const std::vector<ChoiceInput>& inputs) {
  OutputCheck outputs;
  if (!command.model.empty()) outputs.reads("--model", command.model);
  if (command.adapter) outputs.reads("--adapter", *command.adapter);
  for (const fs::path& adapter : command.compare) outputs.reads("--compare", adapter);
  add_inputs(outputs, inputs);
  if (command.items) outputs.writes("--items", *command.items);
  if (command.report) outputs.writes("--report", *command.report);
  if (command.dump_requests) outputs.writes("--dump-requests", *command.dump_requests);
  outputs.check();
}

}  // namespace

int run_eval_choice(const EvalChoiceCommand& command) {
  std::vector<ChoiceInput> inputs = choice_inputs(command);
  check_outputs(command, inputs);
  read_documents(command, inputs);
  if (command.dump_requests) {
    write_file_atomically(*command.dump_requests, dumped_requests(inputs, command.shots));
    return kDone;
  }
  return ChoiceRun(command, std::move(inputs)).run();
}

std::string choice_task_names() {
  std::string names;
  for (const evaluation::ChoiceTask& task : evaluation::choice_tasks()) {
    names += (names.empty() ? "" : ", ") + std::string(task.name);
  }
  return names;
}

}  // namespace cpx::recipes
