// SPDX-License-Identifier: Apache-2.0
// Preferences: a prompt with wanted and unwanted answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/faults.h"
#include "cpx/data/record.h"
#include "cpx/data/text_encoder.h"

namespace cpx::data {

/// The published prompt (SAP-samples/acl2025-contrastive-perplexity at be8b4fd, train_dpo.py). It
/// ends in a space, which is the beginning of an answer's first token.
constexpr std::string_view kPublishedPromptTemplate = "### Input: ```{input}```\n ### Output: ";

/// What surrounds a prompt and its answer.
enum class Frame {
  kTemplate,  // data.template, the special tokens of the tokenizer, and EOS
  kRendered,  // nothing: the texts are a conversation that a chat template has rendered
};

/// A prompt with the answers from which pairs are made.
struct PreferenceItem {
  std::string prompt = {};
  std::vector<std::string> chosen = {};
  std::vector<std::string> rejected = {};
  std::string where = {};  // its place in the file for messages, as in Record
  Frame frame = Frame::kTemplate;
};

/// Items in the order of the files, and every fault found.
struct PreferenceContent {
  std::vector<PreferenceItem> items = {};
  int64_t num_without_input = 0;  // records of shards left out for lack of an input
  Faults faults = {};             // as in ShardContent
};

/// Makes one item from each record: the prompt is `prompt_template` with the input of the record in
/// place of each `{input}`, the neutral texts are the chosen answers and the toxic ones the
/// rejected answers. A record without an input is left out and counted. Throws
/// std::invalid_argument for a template without `{input}`.
PreferenceContent preferences_of(std::span<const Record> records,
                                 const std::string& prompt_template);

/// Reads JSON lists and JSON lines (see JsonStream) of contrast records, or of objects with
/// `prompt` (used as it is; may be empty) or `input` (put into `prompt_template`), `chosen` (a
/// text) and `rejected` (a text or a list of texts). A file contains records of one kind; its first
/// known key decides which. Texts of contrast records are unescaped, the others are not. Faults,
/// including blank answers, are collected; an item with a fault is left out.
///
/// `prompt`, `chosen` and `rejected` may also be lists of messages ({"role", "content"}), as in
/// TRL. Without `prompt`, the prompt is the beginning that chosen and rejected have in common.
/// `encoder` has the chat template that renders them; if it is null, conversations are checked but
/// give no item. Throws DataError only for conversations without a chat template.
PreferenceContent read_preferences(std::span<const std::filesystem::path> files,
                                   const std::string& prompt_template,
                                   const TextEncoder* encoder = nullptr);

/// Answers that are wanted or not, each by itself: the same files, of whose records one side is
/// enough, and objects with `prompt` or `input`, `completion` and `label` (true: wanted), prompt
/// and completion being texts or lists of messages. A wanted completion is its item's only chosen
/// answer, another one its only rejected one.
PreferenceContent read_labelled(std::span<const std::filesystem::path> files,
                                const std::string& prompt_template,
                                const TextEncoder* encoder = nullptr);

/// As read_preferences(), but objects need neither `chosen` nor `rejected`; they are read if
/// present.
PreferenceContent read_prompts(std::span<const std::filesystem::path> files,
                               const std::string& prompt_template);

}  // namespace cpx::data
