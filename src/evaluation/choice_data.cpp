// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/choice_data.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "choice_texts.h"
#include "cpx/core/error.h"
#include "cpx/core/json_stream.h"
#include "cpx/core/nearest.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text.h"
#include "cpx/core/text_file.h"
#include "cpx/evaluation/python_random.h"
#include "cpx/tokenizer/python_strings.h"
#include "csv_rows.h"

namespace cpx::evaluation {

namespace fs = std::filesystem;

namespace {

constexpr size_t kCsvFields = 6;  // question, four choices, letter

// ---- Which files -----------------------------------------------------------------------------

std::vector<std::string> subjects_of(const ChoiceTaskName& name) {
  if (!name.subject.empty()) return {name.subject};
  std::vector<std::string> subjects;
  for (const SubjectCategory& category : mmlu_categories()) {
    subjects.insert(subjects.end(), category.subjects.begin(), category.subjects.end());
  }
  return subjects;
}

std::string_view csv_suffix(ChoicePart part) {
  return part == ChoicePart::kEvaluated ? "_test.csv" : "_dev.csv";
}

// The original files of MMLU in `folder`, or in its folder test/ or dev/.
std::vector<fs::path> subject_files(const ChoiceTaskName& name, const fs::path& folder,
                                    ChoicePart part) {
  const std::string_view inner = part == ChoicePart::kEvaluated ? "test" : "dev";
  std::vector<fs::path> files;
  for (const std::string& subject : subjects_of(name)) {
    const std::string file = fmt::format("{}{}", subject, csv_suffix(part));
    for (const fs::path& candidate : {folder / inner / file, folder / file}) {
      if (!fs::is_regular_file(candidate)) continue;
      files.push_back(candidate);
      break;
    }
  }
  return files;
}

std::vector<fs::path> files_of(const ChoiceTaskName& name, const fs::path& path, ChoicePart part) {
  if (!fs::is_directory(path)) return {path};
  const auto& known = part == ChoicePart::kEvaluated ? name.task->files : name.task->shot_files;
  for (const std::string_view file : known) {
    if (fs::is_regular_file(path / file)) return {path / file};
  }
  if (name.task->has_subjects) {
    const auto files = subject_files(name, path, part);
    if (!files.empty()) return files;
  }
  throw_<DataError>(
      "[{}] {}: got a folder without the {} of this task, expected {}{}. Name the "
      "file itself.",
      name.task->name, path.string(), part == ChoicePart::kEvaluated ? "documents" : "examples",
      fmt::join(known, " or "),
      name.task->has_subjects ? fmt::format(" or SUBJECT{}", csv_suffix(part)) : std::string());
}

// ---- Records ---------------------------------------------------------------------------------

// The labels of PIQA's original files stand in a file of their own: valid.jsonl,
// valid-labels.lst.
std::optional<std::vector<std::string>> labels_beside(const fs::path& file) {
  const fs::path labels = file.parent_path() / (file.stem().string() + "-labels.lst");
  if (!fs::is_regular_file(labels)) return std::nullopt;
  std::vector<std::string> lines;
  LineReader reader(labels);
  while (const auto line = reader.next()) lines.emplace_back(*line);
  return lines;
}

JsonValue with_label(const JsonValue& record, const std::vector<std::string>& labels,
                     size_t number) {
  if (number >= labels.size()) {
    record.fail_missing("label",
                        fmt::format("one here or in line {} of the labels beside it", number + 1));
  }
  JsonObjectText object(record);
  object.set("label", json_of(labels[number]));
  return JsonValue::parse(record.place(), object.json());
}

// read_text() refuses tables.
std::string csv_text(const fs::path& file) {
  std::string text = tokenizer::python_replace(read_text_file(file), "\r\n", "\n");
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

// A row of MMLU's original files as a record of the data set.
JsonValue csv_record(const CsvRow& row, const fs::path& file, const std::string& subject) {
  const std::string place = fmt::format("[{}: line {}]", file.string(), row.line);
  if (row.fields.size() != kCsvFields) {
    throw DataError(
        at_place(place, fmt::format("got {}, expected {}: question, four choices, letter.",
                                    counted(std::ssize(row.fields), "field"), kCsvFields)));
  }
  std::vector<std::string> choices;
  for (size_t i = 1; i + 1 < kCsvFields; ++i) choices.push_back(json_of(row.fields[i]));
  JsonObjectText object;
  object.set("question", json_of(row.fields.front()));
  object.set("subject", json_of(subject));
  object.set("choices", json_list(choices));
  object.set("answer", json_of(row.fields.back()));
  return JsonValue::parse(place, object.json());
}

// Collects the documents of one task.
class Collector {
 public:
  Collector(const ChoiceTaskName& name, int64_t limit) : name_(name), limit_(limit) {}

  void read(const fs::path& file) {
    const std::string stem = file.stem().string();
    if (name_.task->has_subjects && file.extension() == ".csv") {
      const std::string subject = stem.substr(0, stem.rfind('_'));
      for (const CsvRow& row : csv_rows(csv_text(file))) add(csv_record(row, file, subject));
    } else if (name_.task->is_rolling() && !holds_json(file)) {
      read_plain(file);
    } else {
      read_json(file);
    }
  }

  std::vector<ChoiceDocument> take() {
    if (name_.task->has_subjects) sort_by_subject();
    return std::move(documents_);
  }

 private:
  void read_json(const fs::path& file) {
    JsonStream stream(file, "document");
    const auto labels = labels_beside(file);
    for (size_t number = 0; auto record = stream.next(); ++number) {
      const bool is_bare = labels && record->is_object() && !record->contains("label");
      add(is_bare ? with_label(*record, *labels, number) : *record);
    }
  }

  // A raw file of WikiText is cut into its pages; of others a line is a text.
  void read_plain(const fs::path& file) {
    const auto add_text = [&](std::string_view key, std::string_view text, size_t number) {
      JsonObjectText object;
      object.set(key, json_of(text));
      add(JsonValue::parse(fmt::format("[{}: {} {}]", file.string(), key, number), object.json()));
    };
    size_t number = 0;
    if (name_.task->name == "wikitext") {
      for (const std::string& page : wikitext_pages(read_text(file))) {
        add_text("page", page, ++number);
      }
      return;
    }
    LineReader reader(file);
    while (const auto line = reader.next()) {
      if (!is_blank(*line)) add_text("text", *line, ++number);
    }
  }

  void add(const JsonValue& record) {
    const std::string subject = name_.task->has_subjects ? subject_of(record) : std::string();
    if (!name_.subject.empty() && subject != name_.subject) return;
    int64_t& count = counts_[subject];
    if (limit_ > 0 && count == limit_) return;
    ChoiceDocument document = choice_document(*name_.task, record);
    document.subject = subject;
    document.number = count++;
    documents_.push_back(std::move(document));
  }

  std::string subject_of(const JsonValue& record) const {
    if (!record.contains("subject") && !name_.subject.empty()) return name_.subject;
    const JsonValue value = record.at("subject");
    const std::string subject = value.text();
    const auto known = subjects_of({.task = name_.task});
    if (std::ranges::find(known, subject) != known.end()) return subject;
    const auto nearest = nearest_name(subject, known);
    value.fail("a subject of MMLU" + (nearest ? fmt::format(" ('{}'?)", *nearest) : ""));
  }

  void sort_by_subject() {
    const auto known = subjects_of({.task = name_.task});
    std::ranges::stable_sort(documents_, {}, [&](const ChoiceDocument& document) {
      return std::ranges::find(known, document.subject) - known.begin();
    });
  }

  const ChoiceTaskName& name_;
  int64_t limit_;
  std::vector<ChoiceDocument> documents_;
  std::map<std::string, int64_t> counts_;  // by subject
};

// ---- Few-shot examples -----------------------------------------------------------------------

// An example: the question with its right answer.
std::string example_text(const ChoiceDocument& example) {
  const ChoiceRequest& right = example.requests[static_cast<size_t>(example.gold.value())];
  return right.context + right.continuation + "\n\n";
}

// Draws the examples of one document after the other.
class ExampleDrawing {
 public:
  static constexpr uint32_t kSeed = 1234;

  ExampleDrawing(const ChoiceTask& task, std::span<const ChoiceDocument> pool, int64_t num_shots)
      : task_(task), pool_(pool), num_shots_(num_shots) {}

  std::string next(const ChoiceDocument& document) {
    std::string text;
    for (const ChoiceDocument* example : examples_of(document)) text += example_text(*example);
    return text;
  }

 private:
  std::vector<const ChoiceDocument*> examples_of(const ChoiceDocument& document) {
    if (task_.shots == ShotRule::kFirst) return first_of(document.subject);
    const std::vector<const ChoiceDocument*> all = pool_without(nullptr);
    if (task_.shots == ShotRule::kDrawn) return drawn_from(all, num_shots_);
    auto examples = drawn_from(all, num_shots_ + 1);
    std::erase_if(examples, [&](const auto* example) { return is_same(*example, document); });
    if (std::ssize(examples) < num_shots_) return drawn_from(pool_without(&document), num_shots_);
    examples.resize(static_cast<size_t>(num_shots_));
    return examples;
  }

  std::vector<const ChoiceDocument*> first_of(const std::string& subject) const {
    std::vector<const ChoiceDocument*> examples;
    for (const ChoiceDocument& example : pool_) {
      const bool is_full = std::ssize(examples) == num_shots_;
      if (!is_full && example.subject == subject) examples.push_back(&example);
    }
    check_number(num_shots_, std::ssize(examples), fmt::format("{}, {}", task_.name, subject));
    return examples;
  }

  std::vector<const ChoiceDocument*> drawn_from(const std::vector<const ChoiceDocument*>& pool,
                                                int64_t count) {
    check_number(count, std::ssize(pool), std::string(task_.name));
    std::vector<const ChoiceDocument*> drawn;
    for (const int64_t number : random_.sample(std::ssize(pool), count)) {
      drawn.push_back(pool[static_cast<size_t>(number)]);
    }
    return drawn;
  }

  std::vector<const ChoiceDocument*> pool_without(const ChoiceDocument* document) const {
    std::vector<const ChoiceDocument*> pool;
    for (const ChoiceDocument& example : pool_) {
      if (document == nullptr || !is_same(example, *document)) pool.push_back(&example);
    }
    return pool;
  }

  static bool is_same(const ChoiceDocument& one, const ChoiceDocument& other) {
    return one.record == other.record;
  }

  void check_number(int64_t count, int64_t num_examples, const std::string& where) const {
    if (count <= num_examples) return;
    throw_<DataError>(
        "[{}] --shots {}: got {}, expected {} or more{}.", where, num_shots_,
        counted(num_examples, "example"), count,
        count > num_shots_ ? " (one is drawn in reserve, as it may be the document itself)" : "");
  }

  const ChoiceTask& task_;
  std::span<const ChoiceDocument> pool_;
  int64_t num_shots_;
  PythonRandom random_{kSeed};
};

}  // namespace

ChoiceData read_choice_data(const ChoiceTaskName& name, const fs::path& path, ChoicePart part,
                            int64_t limit) {
  ChoiceData data{.files = files_of(name, path, part)};
  Collector collector(name, limit);
  for (const fs::path& file : data.files) collector.read(file);
  data.documents = collector.take();
  if (data.documents.empty()) {
    throw_<DataError>("[{}] {}: got no document{}, expected at least 1.", name.task->name,
                      path.string(),
                      name.subject.empty() ? "" : fmt::format(" of {}", name.subject));
  }
  return data;
}

void add_preambles(const ChoiceTask& task, std::span<const ChoiceDocument> pool, int64_t num_shots,
                   std::vector<ChoiceDocument>& documents) {
  ExampleDrawing drawing(task, pool, num_shots);
  for (ChoiceDocument& document : documents) {
    if (task.has_subjects) document.preamble = subject_description(document.subject);
    if (num_shots > 0) document.preamble += drawing.next(document);
  }
}

}  // namespace cpx::evaluation
