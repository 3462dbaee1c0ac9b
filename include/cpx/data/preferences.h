// SPDX-License-Identifier: Apache-2.0
// Preferences: a prompt with answers that are wanted and answers that are not.
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

/// A prompt with the answers that pairs are made of.
struct PreferenceItem {
  std::string prompt = {};
  std::vector<std::string> chosen = {};
  std::vector<std::string> rejected = {};
  std::string where = {};  // place in its file for messages, as in Record
};

/// Items in the order of the files, and every fault found.
struct PreferenceContent {
  std::vector<PreferenceItem> items = {};
  int64_t num_without_input = 0;         // records of shards that are left out, having no input
  std::vector<std::string> faults = {};  // as in ShardContent
};

/// An item of each record: the prompt is `prompt_template` with the record's input for each
/// `{input}`, chosen are its neutral texts, rejected its toxic ones. A record without an input is
/// left out and counted. Throws std::invalid_argument for a template without `{input}`.
PreferenceContent preferences_of(std::span<const Record> records,
                                 const std::string& prompt_template);

/// Reads JSON lists and lines (see JsonStream) of contrast records, or of objects with
/// `prompt` (taken as it stands; it may be empty) or `input` (put into `prompt_template`), `chosen`
/// (a text) and `rejected` (a text or a list of texts). A file holds records of one kind; its first
/// known key tells which. Texts of contrast records are unescaped, the others stay as they are.
/// Faults, blank answers among them, are collected, never thrown; an item with one is left out.
PreferenceContent read_preferences(std::span<const std::filesystem::path> files,
                                   const std::string& prompt_template);

/// The same for prompts alone: objects need neither `chosen` nor `rejected`; where these are there,
/// they are read.
PreferenceContent read_prompts(std::span<const std::filesystem::path> files,
                               const std::string& prompt_template);

}  // namespace cpx::data
