// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/prompt_file.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include <fmt/format.h>

#include "trimmed.h"

namespace cpx::pipeline {

namespace fs = std::filesystem;

namespace {

struct GroupName {
  std::string_view from;
  std::string_view usual;
};

// Source: SAP-samples/acl2025-contrastive-perplexity, 618ee4b: on the left the names of
// scripts/prepare_data.sh and scripts/clean_data.py, on the right those that training looks for
// (train_mistral.py).
constexpr std::array<GroupName, 5> kUsualNames = {{
    {"mental_disability", "mental_dis"},
    {"physical_disability", "physical_dis"},
    {"middle_east", "middle-eastern"},
    {"middle_eastern", "middle-eastern"},
    {"native_american", "native-american"},
}};

// Parts of a prompt file's name that are not of the group.
constexpr std::array<std::string_view, 3> kSidePrefixes = {"neutral_", "hate_", "toxic_"};
constexpr std::string_view kSizeSuffix = "_1k";

// Lists, after data::read_inputs() has made line breaks of their literal `\n`.
constexpr std::string_view kBullet = "- ";

bool is_list(std::string_view text) {
  return text.starts_with(kBullet) && text.find("\n-") != text.npos;
}

// Makes inputs of the sentences of lists, each sentence once.
class ListReader {
 public:
  explicit ListReader(PromptContent& content) : content_(content) {}

  void read(const data::Input& line) {
    if (!line.text.starts_with(kBullet)) {
      content_.faults.add(line.where,
                          "got a line that does not begin with '- ', expected a list like the "
                          "first line: '- one\\n- two' (or a file without lists).");
      return;
    }
    for (std::string_view rest = line.text; !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      add_sentence(rest.substr(0, end), line.where);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

 private:
  // "- a sentence"; the published lists end in a lone "-" that asks the model for the next one.
  void add_sentence(std::string_view item, const std::string& where) {
    if (item.starts_with('-')) item.remove_prefix(1);
    const std::string sentence(trimmed(item));
    if (sentence.empty()) return;
    if (!seen_.insert(sentence).second) {
      ++content_.num_repeated;
      return;
    }
    content_.inputs.push_back({.text = sentence, .where = where});
  }

  PromptContent& content_;
  std::unordered_set<std::string> seen_;
};

void read_lists(const std::vector<data::Input>& lines, PromptContent& content) {
  ListReader reader(content);
  for (const data::Input& line : lines) reader.read(line);
}

}  // namespace

PromptContent read_prompts(const fs::path& file) {
  data::InputContent read = data::read_inputs(file);
  const bool has_lists =
      !read.inputs.empty() && read.inputs.front().is_line && is_list(read.inputs.front().text);
  PromptContent content{.faults = std::move(read.faults)};
  if (has_lists) {
    read_lists(read.inputs, content);
  } else {
    content.inputs = std::move(read.inputs);
  }
  for (int64_t i = 0; data::Input & input : content.inputs) {
    input.group = input.group.empty() ? group_of_file(file) : normalize_group(input.group);
    if (input.id.empty()) input.id = fmt::format("{}-{}", input.group, i);
    ++i;
  }
  return content;
}

std::string normalize_group(std::string_view group) {
  const auto found = std::find_if(kUsualNames.begin(), kUsualNames.end(),
                                  [&](const GroupName& name) { return name.from == group; });
  return std::string(found == kUsualNames.end() ? group : found->usual);
}

std::string group_of_file(const fs::path& file) {
  const std::string stem = file.stem().string();
  std::string_view name = stem;
  for (const std::string_view prefix : kSidePrefixes) {
    if (name.starts_with(prefix) && name.size() > prefix.size()) {
      name.remove_prefix(prefix.size());
      break;
    }
  }
  if (name.ends_with(kSizeSuffix) && name.size() > kSizeSuffix.size()) {
    name.remove_suffix(kSizeSuffix.size());
  }
  return normalize_group(name);
}

}  // namespace cpx::pipeline
