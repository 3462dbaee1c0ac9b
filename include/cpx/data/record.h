// SPDX-License-Identifier: Apache-2.0
// Contrast shards: one record holds an input with neutral and toxic wordings of its content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cpx::data {

/// One record of a shard; texts are unescaped and keep the file's order. Keys that are missing or
/// null are empty, and keys that are not named here are passed over.
struct Record {
  std::string input = {};  // of this and the next two a number is kept as its digits
  std::string group = {};  // the target: the people, or the topic, spoken of
  std::string id = {};
  std::vector<std::string> neutral = {};  // "paraphrases"
  std::vector<std::string> toxic = {};    // "paraphrases_toxic"
  /// Place in its file for messages, counted from 1: "service.json: record 3 (id 'service-3')",
  /// of JSONL "service.jsonl: record 3, line 4 (id 'service-3')".
  std::string where = {};
};

/// What reading shards gave: the records in the order of the files, and every fault found.
struct ShardContent {
  std::vector<Record> records;
  /// "[file: record i (id 'x')] 'key' is ..., expected ...", or with a line for JSONL. Of a file
  /// with many faults the first twenty, then a line with the number of the others.
  std::vector<std::string> faults;
};

/// The files of `patterns` (paths; `*` and `?` stand for any characters in a file's name), sorted
/// within a pattern, each once, however it is spelled. A pattern without a file and a folder add a
/// line to `faults`.
std::vector<std::filesystem::path> expand_globs(std::span<const std::string> patterns,
                                                std::vector<std::string>& faults);

/// The sides that a job cannot do without. A record needs one in any case.
struct NeededSides {
  bool neutral = true;
  bool toxic = true;
};

/// Reads JSON lists, JSON lines and objects alone (see JsonStream), in both layouts (lists of
/// texts, or {text: score} in the file's order). Faults are collected, never thrown; a record with
/// one is left out. Faults are also blank texts, and a key that is used or a scored text that
/// stands twice in one object; the same text twice in a list is none. A side that is missing, null
/// or empty is a fault where it is needed.
ShardContent read_shards(std::span<const std::filesystem::path> files, NeededSides needed = {});

/// `text` with doubled backslashes turned into one, then literal `\n` into line breaks.
std::string unescape(const std::string& text);

/// `text` with its backslashes doubled: unescape() gives `text` back, but for a literal `\n`, which
/// no escaping keeps from becoming a line break.
std::string escape(const std::string& text);

}  // namespace cpx::data
