// SPDX-License-Identifier: Apache-2.0
#include "side_texts.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/globs.h"
#include "cpx/data/record.h"
#include "cpx/data/text_file.h"

namespace cpx::recipes {

namespace {

using objectives::Side;

// What a draw is for: its part of the random numbers' key.
enum class Draw : uint64_t { kOfRecord, kOfSide };

std::vector<SideText> texts_of_shards(const std::vector<std::string>& patterns) {
  Faults faults;
  const auto files = data::expand_globs(patterns, faults);
  data::ShardContent content = data::read_shards(files, {.neutral = false, .toxic = false});
  faults.append(content.faults);
  faults.throw_first_if_any();
  std::vector<SideText> texts;
  int64_t number = 0;
  for (data::Record& record : content.records) {
    const auto add = [&](Side side, std::string_view kind, std::vector<std::string>& own) {
      for (size_t i = 0; i < own.size(); ++i) {
        texts.push_back({.side = side,
                         .group = record.group,
                         .text = std::move(own[i]),
                         .where = fmt::format("{}: {} text {}", record.where, kind, i + 1),
                         .record = number});
      }
    };
    add(Side::kNeutral, "neutral", record.neutral);
    add(Side::kToxic, "toxic", record.toxic);
    ++number;
  }
  return texts;
}

void append_file(std::vector<SideText>& texts, const std::optional<std::filesystem::path>& file,
                 Side side) {
  if (!file) return;
  data::TextFileContent content = data::read_texts(*file);
  content.faults.throw_first_if_any();
  for (size_t i = 0; i < content.texts.size(); ++i) {
    texts.push_back({.side = side,
                     .text = std::move(content.texts[i]),
                     .where = fmt::format("{}: text {}", file->string(), i + 1)});
  }
}

std::vector<SideText> read_texts(const EvalPplCommand& command) {
  std::vector<SideText> texts = texts_of_shards(command.shards);
  append_file(texts, command.toxic, Side::kToxic);
  append_file(texts, command.neutral, Side::kNeutral);
  if (texts.empty()) throw DataError("[texts] the files hold no text: got 0, expected at least 1.");
  return texts;
}

void drop_repeated(std::vector<SideText>& texts) {
  std::unordered_set<std::string> seen[2];
  std::erase_if(texts, [&](const SideText& text) {
    return !seen[text.side == Side::kToxic].insert(text.text).second;
  });
}

// Of the texts under each key keeps as many as `limit_of` says (0: all), drawn by seed and key.
template <class KeyOf, class LimitOf>
void draw_some(std::vector<SideText>& texts, uint64_t seed, Draw draw, const KeyOf& key_of,
               const LimitOf& limit_of) {
  using Key = decltype(key_of(texts.front()));
  std::map<Key, std::vector<size_t>> by_key;
  for (size_t i = 0; i < texts.size(); ++i) by_key[key_of(texts[i])].push_back(i);
  std::vector<bool> is_kept(texts.size(), true);
  for (const auto& [key, own] : by_key) {
    const int64_t limit = limit_of(key);
    if (limit == 0 || limit >= std::ssize(own)) continue;
    for (const size_t i : own) is_kept[i] = false;
    const CounterRng rng(seed, {static_cast<uint64_t>(draw), static_cast<uint64_t>(key.first),
                                static_cast<uint64_t>(key.second)});
    for (const int64_t i : sample_without_replacement(std::ssize(own), limit, rng)) {
      is_kept[own[static_cast<size_t>(i)]] = true;
    }
  }
  size_t number = 0;
  std::erase_if(texts, [&](const SideText&) { return !is_kept[number++]; });
}

}  // namespace

std::vector<SideText> chosen_texts(const EvalPplCommand& command) {
  using Key = std::pair<int64_t, Side>;
  std::vector<SideText> texts = read_texts(command);
  if (command.is_distinct) drop_repeated(texts);
  draw_some(
      texts, command.seed, Draw::kOfRecord,
      [](const SideText& text) { return Key(text.record, text.side); },
      [&](const Key& key) {
        if (key.first < 0) return int64_t{0};
        return key.second == Side::kToxic ? command.num_toxic : command.num_neutral;
      });
  draw_some(
      texts, command.seed, Draw::kOfSide, [](const SideText& text) { return Key(0, text.side); },
      [&](const Key&) { return command.limit; });
  return texts;
}

std::optional<int64_t> num_distinct(const std::vector<SideText>& texts, Side side) {
  std::unordered_set<std::string_view> distinct;
  int64_t num_texts = 0;
  for (const SideText& text : texts) {
    if (text.side != side) continue;
    distinct.insert(text.text);
    ++num_texts;
  }
  return std::ssize(distinct) < num_texts ? std::optional(std::ssize(distinct)) : std::nullopt;
}

std::string texts_fingerprint(const std::vector<SideText>& texts) {
  TextHash hash;
  for (const SideText& text : texts) {
    hash.add_text(text.side == Side::kToxic ? "toxic" : "neutral");
    hash.add_text(text.group);
    hash.add_text(text.text);
  }
  return fmt::format("{} texts, {}", texts.size(), hash.hex());
}

}  // namespace cpx::recipes
