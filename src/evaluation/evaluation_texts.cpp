// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/evaluation_texts.h"

#include <utility>

#include "cpx/data/record.h"
#include "cpx/data/text_file.h"

namespace cpx::evaluation {

namespace {

using objectives::Side;

void add_texts(Side side, const std::string& group, std::vector<std::string> texts,
               EvaluationTexts& result) {
  for (std::string& text : texts) {
    result.texts.push_back({.side = side, .group = group, .text = std::move(text)});
  }
}

void add_file(Side side, const std::optional<std::filesystem::path>& file,
              EvaluationTexts& result) {
  if (!file) return;
  data::TextFileContent content = data::read_texts(*file);
  add_texts(side, /*group=*/"", std::move(content.texts), result);
  result.faults.insert(result.faults.end(), content.faults.begin(), content.faults.end());
}

}  // namespace

EvaluationTexts read_shard_texts(std::span<const std::string> patterns) {
  EvaluationTexts result;
  const auto files = data::expand_globs(patterns, result.faults);
  data::ShardContent content = data::read_shards(files);
  for (data::Record& record : content.records) {
    add_texts(Side::kNeutral, record.group, std::move(record.neutral), result);
    add_texts(Side::kToxic, record.group, std::move(record.toxic), result);
  }
  result.faults.insert(result.faults.end(), content.faults.begin(), content.faults.end());
  return result;
}

EvaluationTexts read_side_texts(const std::optional<std::filesystem::path>& toxic,
                                const std::optional<std::filesystem::path>& neutral) {
  EvaluationTexts result;
  add_file(Side::kToxic, toxic, result);
  add_file(Side::kNeutral, neutral, result);
  return result;
}

}  // namespace cpx::evaluation
