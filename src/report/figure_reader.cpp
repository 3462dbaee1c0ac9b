// SPDX-License-Identifier: Apache-2.0
#include "figure_reader.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace cpx::report {

namespace {

constexpr size_t kLongestList = 12;  // of values that are shown one by one
constexpr std::string_view kChange = "change";
constexpr std::string_view kPercentSuffix = "_percent";
constexpr std::string_view kIntervalSuffix = "_interval";

// What names an element of a list of objects.
constexpr std::array<std::string_view, 7> kNameKeys = {"name",   "task",  "subject", "group",
                                                       "scorer", "label", "id"};

std::string list_text(const JsonValue& list) {
  const std::vector<JsonValue> elements = list.elements();
  if (elements.size() > kLongestList) return fmt::format("a list of {} values", elements.size());
  std::string text;
  for (const JsonValue& element : elements) {
    text += text.empty() ? "" : ", ";
    text += element.is_list() || element.is_object() ? element.describe() : scalar_text(element);
  }
  return text.empty() ? "none" : text;
}

// The key that names an element, or nothing.
std::string_view name_key_of(const JsonValue& element) {
  for (const std::string_view key : kNameKeys) {
    const auto name = element.is_object() ? element.find(key) : std::nullopt;
    if (name && name->is_text()) return key;
  }
  return {};
}

// Puts what is about another figure to that figure. Each pass looks at paths that end in a suffix.
class Attachments {
 public:
  explicit Attachments(FigureList& figures) : figures_(figures) {}

  void attach_all() {
    attach_intervals();
    attach("_stderr", [](EvaluationFigure& target, const EvaluationFigure& own) {
      target.error = own.number;
    });
    attach("_deviation", [](EvaluationFigure& target, const EvaluationFigure& own) {
      target.deviation = own.number;
    });
    attach("_difference", [](EvaluationFigure& target, const EvaluationFigure& own) {
      target.difference =
          FigureDifference{.value = *own.number, .is_percent = false, .interval = own.interval};
    });
    attach("_p_value", [](EvaluationFigure& target, const EvaluationFigure& own) {
      if (target.difference) target.difference->p_value = own.number;
    });
    attach_changes();
  }

 private:
  // The path without its suffix; empty where it does not end in it.
  static FigurePath without(const FigurePath& path, std::string_view suffix) {
    const std::string& last = path.back();
    if (!last.ends_with(suffix) || last.size() == suffix.size()) return {};
    FigurePath target = path;
    target.back().resize(last.size() - suffix.size());
    return target;
  }

  template <class Put>
  void attach(std::string_view suffix, const Put& put) {
    for (const FigurePath& path : std::vector<FigurePath>(figures_.paths())) {
      const FigurePath target_path = without(path, suffix);
      EvaluationFigure* const target = target_path.empty() ? nullptr : figures_.find(target_path);
      const EvaluationFigure* const own = figures_.find(path);
      if (target == nullptr || !own->number) continue;
      put(*target, *own);
      figures_.erase(path);
    }
  }

  // NAME_interval.low and NAME_interval.high; a null interval is a single figure without a number.
  void attach_intervals() {
    for (const FigurePath& path : std::vector<FigurePath>(figures_.paths())) {
      if (path.back() == "low" && path.size() > 1) {
        attach_interval(FigurePath(path.begin(), path.end() - 1));
      }
      const FigurePath target = without(path, kIntervalSuffix);
      if (target.empty() || figures_.find(target) == nullptr) continue;
      if (const auto* own = figures_.find(path); own != nullptr && own->text.empty()) {
        figures_.erase(path);
      }
    }
  }

  void attach_interval(const FigurePath& path) {
    const FigurePath target_path = without(path, kIntervalSuffix);
    EvaluationFigure* const target = target_path.empty() ? nullptr : figures_.find(target_path);
    const EvaluationFigure* const low = figures_.find(below(path, "low"));
    const EvaluationFigure* const high = figures_.find(below(path, "high"));
    if (target == nullptr || low == nullptr || high == nullptr || !low->number || !high->number) {
      return;
    }
    target->interval = {.low = *low->number, .high = *high->number};
    figures_.erase(below(path, "low"));
    figures_.erase(below(path, "high"));
  }

  // An object "change" repeats the figures beside it, as differences or in percent.
  void attach_changes() {
    for (const FigurePath& path : std::vector<FigurePath>(figures_.paths())) {
      const auto change = std::ranges::find(path, kChange);
      if (change == path.end()) continue;
      FigurePath target_path = path;
      target_path.erase(target_path.begin() + (change - path.begin()));
      const FigurePath of_percent =
          target_path.empty() ? FigurePath() : without(target_path, kPercentSuffix);
      const bool is_percent = !of_percent.empty();
      EvaluationFigure* const target =
          target_path.empty() ? nullptr : figures_.find(is_percent ? of_percent : target_path);
      const EvaluationFigure* const own = figures_.find(path);
      if (target == nullptr) continue;
      if (own->number) {
        target->difference = FigureDifference{
            .value = *own->number, .is_percent = is_percent, .interval = own->interval};
      }
      figures_.erase(path);
    }
  }

  FigureList& figures_;
};

}  // namespace

std::string scalar_text(const JsonValue& value) {
  if (value.is_null()) return "";
  if (value.is_text()) return value.text();
  if (value.is_boolean()) return value.boolean() ? "yes" : "no";
  return std::string(value.digits());
}

FigurePath below(const FigurePath& path, std::string_view key) {
  FigurePath longer = path;
  longer.emplace_back(key);
  return longer;
}

void FigureReader::read(const JsonValue& value, const FigurePath& path) {
  if (value.is_object()) {
    read_members(value, path, "");
  } else if (value.is_list()) {
    read_list(value, path);
  } else {
    figures_.set(path,
                 {.text = scalar_text(value),
                  .number = value.is_number() ? std::optional(value.number()) : std::nullopt});
  }
}

void FigureReader::read_members(const JsonValue& object, const FigurePath& path,
                                std::string_view left_out) {
  for (const JsonMember& member : object.members()) {
    if (member.key != left_out) read(member.value, below(path, member.key));
  }
}

void FigureReader::read_list(const JsonValue& list, const FigurePath& path) {
  const std::vector<JsonValue> elements = list.elements();
  if (elements.empty() || !std::ranges::all_of(elements, &JsonValue::is_object)) {
    figures_.set(path, {.text = list_text(list)});
    return;
  }
  for (size_t i = 0; i < elements.size(); ++i) {
    const std::string_view key = name_key_of(elements[i]);
    const std::string name = key.empty() ? std::to_string(i + 1) : elements[i].at(key).text();
    read_members(elements[i], below(path, name), key);
  }
}

FigureList FigureReader::take() {
  Attachments(figures_).attach_all();
  return std::move(figures_);
}

}  // namespace cpx::report
