// SPDX-License-Identifier: Apache-2.0
#include "choice_inputs.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/faults.h"
#include "cpx/core/json.h"
#include "cpx/core/log.h"
#include "cpx/core/path.h"
#include "cpx/core/text.h"

namespace cpx::recipes {

namespace fs = std::filesystem;
using evaluation::ChoiceDocument;
using evaluation::ChoicePart;
using evaluation::ChoiceRequest;
using evaluation::ShotRule;

namespace {

constexpr const char* kCommandLine = "command line";

struct NamedPath {
  std::string name;
  std::string path;
};

// "NAME=PATH"; without '=' the name is empty.
NamedPath named_path(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == text.npos) return {.name = "", .path = text};
  return {.name = text.substr(0, equals), .path = text.substr(equals + 1)};
}

// Splits the values of --task and --shots-from and says what is wrong with them.
class InputReader {
 public:
  explicit InputReader(const EvalChoiceCommand& command) : command_(command) {}

  std::vector<ChoiceInput> read() {
    for (const std::string& text : command_.tasks) add_task(text);
    for (const std::string& text : command_.shots_from) add_shots(text);
    if (command_.shots > 0) {
      for (const ChoiceInput& input : inputs_) check_shots(input);
    }
    faults_.throw_if_any();
    return std::move(inputs_);
  }

 private:
  void add_task(const std::string& text) {
    const NamedPath named = named_path(text);
    if (named.name.empty() || named.path.empty()) {
      faults_.add_at(kCommandLine, "--task", "got {}, expected NAME=FILE or NAME=FOLDER.",
                     quote(text));
      return;
    }
    try {
      inputs_.push_back({.name = named.name,
                         .task = evaluation::find_choice_task(named.name),
                         .path = expand_home(named.path)});
    } catch (const ConfigError& error) {
      faults_.append(error.faults());
    }
  }

  void add_shots(const std::string& text) {
    const NamedPath named = named_path(text);
    const bool is_for_one = named.name.empty() && inputs_.size() == 1;
    const auto found =
        is_for_one ? inputs_.begin() : std::ranges::find(inputs_, named.name, &ChoiceInput::name);
    if (found == inputs_.end()) {
      faults_.add_at(kCommandLine, "--shots-from",
                     "got {}, expected NAME=FILE with a task of --task.", quote(text));
      return;
    }
    found->shots_path = expand_home(named.path);
  }

  void check_shots(const ChoiceInput& input) {
    if (input.task.task->shots == ShotRule::kNone) {
      faults_.add_at(kCommandLine, "--shots",
                     "got {} for {}, expected 0: the harness has no examples for this task.",
                     command_.shots, input.name);
      return;
    }
    if (!input.shots_path.empty() || fs::is_directory(input.path)) return;
    faults_.add_at(kCommandLine, "--shots",
                   "got {} for {} without examples, expected --shots-from {}=FILE.", command_.shots,
                   input.name, input.name);
  }

  const EvalChoiceCommand& command_;
  std::vector<ChoiceInput> inputs_;
  Faults faults_;
};

void warn_of_missing_subjects(const ChoiceInput& input) {
  size_t num_known = 0;
  size_t num_found = 0;
  for (const auto& category : evaluation::mmlu_categories()) {
    for (const std::string_view subject : category.subjects) {
      ++num_known;
      if (std::ranges::find(input.documents, subject, &ChoiceDocument::subject) !=
          input.documents.end()) {
        ++num_found;
      }
    }
  }
  if (num_found < num_known) {
    log_warning("[{}] {} of {} subjects are there: the total is not that of published figures",
                input.name, num_found, num_known);
  }
}

std::string request_line(const ChoiceInput& input, const ChoiceDocument& document,
                         int64_t num_shots) {
  std::vector<std::string> requests;
  for (const ChoiceRequest& request : document.requests) {
    const std::string context = document.preamble + request.context;
    requests.push_back(input.task.task->is_rolling()
                           ? json_list({json_of(request.continuation)})
                           : json_list({json_of(context), json_of(request.continuation)}));
  }
  JsonObjectText line;
  line.set("task", json_of(document.subject.empty() ? std::string(input.task.task->name)
                                                    : "mmlu_" + document.subject));
  line.set("num_fewshot", fmt::format("{}", num_shots));
  line.set("doc_id", fmt::format("{}", document.number));
  line.set("requests", json_list(requests));
  if (document.gold) line.set("gold", fmt::format("{}", *document.gold));
  return line.json() + "\n";
}

}  // namespace

std::vector<ChoiceInput> choice_inputs(const EvalChoiceCommand& command) {
  return InputReader(command).read();
}

void add_inputs(OutputCheck& outputs, const std::vector<ChoiceInput>& inputs) {
  for (const ChoiceInput& input : inputs) {
    outputs.reads("--task", input.path);
    for (const std::string_view file : input.task.task->files) {
      if (fs::is_regular_file(input.path / file)) outputs.reads("--task", input.path / file);
    }
    if (!input.shots_path.empty()) outputs.reads("--shots-from", input.shots_path);
  }
}

void read_documents(const EvalChoiceCommand& command, std::vector<ChoiceInput>& inputs) {
  for (ChoiceInput& input : inputs) {
    evaluation::ChoiceData data =
        evaluation::read_choice_data(input.task, input.path, ChoicePart::kEvaluated, command.limit);
    input.documents = std::move(data.documents);
    input.files = std::move(data.files);
    evaluation::ChoiceData pool;
    if (command.shots > 0) {
      const fs::path& path = input.shots_path.empty() ? input.path : input.shots_path;
      pool = evaluation::read_choice_data(input.task, path, ChoicePart::kExamples);
    }
    input.shot_files = std::move(pool.files);
    evaluation::add_preambles(*input.task.task, pool.documents, command.shots, input.documents);
    if (input.name == "mmlu") warn_of_missing_subjects(input);
  }
}

std::string dumped_requests(const std::vector<ChoiceInput>& inputs, int64_t num_shots) {
  std::string lines;
  for (const ChoiceInput& input : inputs) {
    for (const ChoiceDocument& document : input.documents) {
      lines += request_line(input, document, num_shots);
    }
  }
  return lines;
}

}  // namespace cpx::recipes
