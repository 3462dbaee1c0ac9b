// SPDX-License-Identifier: Apache-2.0
// Contrast shards: one record holds an input with neutral and toxic wordings of its content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cpx/core/faults.h"

namespace cpx::data {

/// One record of a shard; texts are unescaped and keep the order of the file. Missing and null keys
/// give empty values, and other keys are ignored.
struct Record {
  std::string input = {};  // in these three a number is read as its digits
  std::string group = {};  // the target: the people, or the topic, spoken of
  std::string id = {};
  std::vector<std::string> neutral = {};  // "paraphrases"
  std::vector<std::string> toxic = {};    // "paraphrases_toxic"
  /// Its place in the file for messages, counted from 1: "service.json: record 3 (id 'service-3')",
  /// or for JSONL "service.jsonl: record 3, line 4 (id 'service-3')".
  std::string where = {};
};

/// The result of reading shards: the records in the order of the files, and every fault found.
struct ShardContent {
  std::vector<Record> records;
  /// "[file: record i (id 'x')] 'key' is ..., expected ...", with a line number for JSONL. A file
  /// with many faults contributes the first twenty and one line with the number of the rest.
  Faults faults;
};

/// The sides that a job requires. A record needs at least one in any case.
struct NeededSides {
  bool neutral = true;
  bool toxic = true;
};

/// Reads JSON lists, JSON lines and single objects (see JsonStream), in both layouts (lists of
/// texts, or {text: score} in the order of the file). Faults are collected, never thrown; a record
/// with a fault is left out. Blank texts are faults, and so are a duplicate of a key that is used
/// and a duplicate text in {text: score}; the same text twice in a list is not. A side that is
/// missing, null or empty is a fault if it is required.
ShardContent read_shards(std::span<const std::filesystem::path> files, NeededSides needed = {});

/// `text` with doubled backslashes turned into one, then literal `\n` into line breaks.
std::string unescape(const std::string& text);

/// `text` with its backslashes doubled: unescape() restores it, except that a literal `\n`, which
/// no escaping can protect, becomes a line break.
std::string escape(const std::string& text);

}  // namespace cpx::data
