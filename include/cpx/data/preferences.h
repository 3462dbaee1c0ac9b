// SPDX-License-Identifier: Apache-2.0
// Preferences: a prompt with wanted and unwanted answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/data/record.h"

namespace cpx::data {

/// The published prompt (SAP-samples/acl2025-contrastive-perplexity at be8b4fd, train_dpo.py). It
/// ends in a space, which is the beginning of an answer's first token.
constexpr std::string_view kPublishedPromptTemplate = "### Input: ```{input}```\n ### Output: ";

/// A prompt with the answers from which pairs are made.
struct PreferenceItem {
  std::string prompt = {};
  std::vector<std::string> chosen = {};
  std::vector<std::string> rejected = {};
  std::string where = {};  // its place in the file for messages, as in Record
};

/// Items in the order of the files, and every fault found.
struct PreferenceContent {
  std::vector<PreferenceItem> items = {};
  int64_t num_without_input = 0;         // records of shards left out for lack of an input
  std::vector<std::string> faults = {};  // as in ShardContent
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
/// including blank answers, are collected, never thrown; an item with a fault is left out.
PreferenceContent read_preferences(std::span<const std::filesystem::path> files,
                                   const std::string& prompt_template);

/// As read_preferences(), but objects need neither `chosen` nor `rejected`; they are read if
/// present.
PreferenceContent read_prompts(std::span<const std::filesystem::path> files,
                               const std::string& prompt_template);

}  // namespace cpx::data
