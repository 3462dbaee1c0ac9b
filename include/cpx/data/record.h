// SPDX-License-Identifier: Apache-2.0
// Contrast shards: one record holds an input with neutral and toxic wordings of its content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cpx::data {

/// One record of a shard; texts are unescaped and keep the file's order. `paraphrases` and
/// `paraphrases_toxic` must be there with a text or more each; the other keys may be missing (then
/// empty), and keys that are not named here are passed over.
struct Record {
  std::string input = {};
  std::string group = {};                 // the target: the people, or the topic, spoken of
  std::string id = {};                    // a number is kept as its digits
  std::vector<std::string> neutral = {};  // "paraphrases"
  std::vector<std::string> toxic = {};    // "paraphrases_toxic"
  /// Place in its file for messages, counted from 1: "service.json: record 3 (id 'service-3')",
  /// of JSONL "service.jsonl: record 3, line 4 (id 'service-3')".
  std::string where = {};
};

/// What reading shards gave: the records in the order of the files, and every fault found.
struct ShardContent {
  std::vector<Record> records;
  /// "[file: record i (id 'x')] key: got ..., expected ...", or with a line for JSONL. Of a file
  /// with many faults the first twenty, then a line with the number of the others.
  std::vector<std::string> faults;
};

/// The files of `patterns` (paths; `*` and `?` stand for any characters in a file's name), sorted
/// within a pattern, each once, however it is spelled. A pattern without a file and a folder add a
/// line to `faults`.
std::vector<std::filesystem::path> expand_globs(std::span<const std::string> patterns,
                                                std::vector<std::string>& faults);

/// Reads JSON lists and JSONL (by the ending .jsonl) of records, in both layouts (lists of texts,
/// or {text: score} in the file's order). Faults are collected, never thrown; a record with one is
/// left out. Faults are also empty texts and lists, and a key, or a scored text, that stands twice
/// in one object; the same text twice in a list is none.
ShardContent read_shards(std::span<const std::filesystem::path> files);

/// `text` with doubled backslashes turned into one, then literal `\n` into line breaks.
std::string unescape(const std::string& text);

/// `text` with its backslashes doubled: unescape() gives `text` back, but for a literal `\n`, which
/// no escaping keeps from becoming a line break.
std::string escape(const std::string& text);

}  // namespace cpx::data
