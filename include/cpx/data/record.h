// SPDX-License-Identifier: Apache-2.0
// Contrast shards: one record holds an input with neutral and toxic wordings of its content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cpx::data {

/// One record of a shard; texts are unescaped and keep the file's order.
struct Record {
  std::string input;
  std::string group;  // the target: the people, or the topic, spoken of
  std::string id;
  std::vector<std::string> neutral;  // "paraphrases"
  std::vector<std::string> toxic;    // "paraphrases_toxic"
  /// Place in its file for messages: "service.json: record 3 (id 'service-3')".
  std::string where;
};

/// What reading shards gave: the records in the order of the files, and every fault found.
struct ShardContent {
  std::vector<Record> records;
  /// "[file: record i (id 'x')] key: got ..., expected ...", or with a line for JSONL.
  std::vector<std::string> faults;
};

/// The files of `patterns` (paths; `*` and `?` stand for any characters in a file's name), sorted
/// within a pattern, each once. A pattern without a file adds a line to `faults`.
std::vector<std::filesystem::path> expand_globs(std::span<const std::string> patterns,
                                                std::vector<std::string>& faults);

/// Reads JSON lists and JSONL of records, in both layouts (lists of texts, or {text: score} in the
/// file's order). Faults are collected, never thrown; a record with one is left out.
ShardContent read_shards(std::span<const std::filesystem::path> files);

/// `text` with literal `\n` and doubled backslashes turned into what they stand for.
std::string unescape(const std::string& text);

}  // namespace cpx::data
