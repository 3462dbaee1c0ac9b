// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/continuations.h"

#include <map>
#include <set>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/json_stream.h"
#include "evaluation_json.h"

namespace cpx::pipeline {

namespace {

JsonValue text_value(const JsonValue& object) {
  if (auto text = object.find("text")) return *text;
  const auto continuation = object.find("continuation");
  if (!continuation) {
    object.fail_missing("text", "a text under 'text', 'continuation' or 'continuation.text'");
  }
  return continuation->is_object() ? continuation->at("text") : *continuation;
}

class ContinuationReader {
 public:
  void read(const JsonValue& object) {
    const auto prompt = prompt_value(object);
    if (!prompt) object.fail_missing("prompt", "a text under 'prompt' or 'prompt.text'");
    check_side(object);
    WrittenText written{.text = text_value(object).text(),
                        .tokens = object.find_integer("tokens"),
                        .where = place_without_brackets(object)};
    ContinuedPrompt& owner =
        prompt_of(prompt->text(), object.find_integer("sample"), object, written.sample);
    owner.texts.push_back(std::move(written));
  }

  std::vector<ContinuedPrompt> take() { return std::move(prompts_); }

 private:
  // The samples that a prompt has so far, and its place among the prompts.
  struct Found {
    size_t index = 0;
    std::set<int64_t> samples = {};
  };

  void check_side(const JsonValue& object) {
    const auto side = object.find_text("side");
    if (is_first_) side_ = side;
    is_first_ = false;
    if (side != side_) {
      object.fail("side", "that of the first line: a file holds the continuations of one model");
    }
  }

  ContinuedPrompt& prompt_of(const std::string& text, std::optional<int64_t> sample,
                             const JsonValue& object, int64_t& number) {
    const auto [found, is_new] = by_text_.try_emplace(text);
    Found& last = found->second;
    number = sample.value_or(is_new ? 0 : std::ssize(last.samples));
    if (is_new || last.samples.contains(number)) {
      last = {.index = prompts_.size()};
      prompts_.push_back(new_prompt(text, object));
    }
    last.samples.insert(number);
    return prompts_[last.index];
  }

  static ContinuedPrompt new_prompt(const std::string& text, const JsonValue& object) {
    ContinuedPrompt prompt{
        .prompt = text, .group = group_of_object(object), .input = object.text_or("input", "")};
    if (const auto subsets = object.find("subsets")) {
      for (const JsonValue& subset : subsets->elements()) prompt.subsets.push_back(subset.text());
    }
    return prompt;
  }

  std::vector<ContinuedPrompt> prompts_;
  std::map<std::string, Found> by_text_;
  std::optional<std::string> side_;
  bool is_first_ = true;
};

}  // namespace

std::vector<ContinuedPrompt> read_continuations(const std::filesystem::path& file) {
  ContinuationReader reader;
  Faults faults;
  for_each_json(file, "record", faults, [&](const JsonValue& object) { reader.read(object); });
  faults.throw_first_if_any();
  return reader.take();
}

}  // namespace cpx::pipeline
