// SPDX-License-Identifier: Apache-2.0
#include "retained_texts.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "config_messages.h"
#include "cpx/core/text_hash.h"
#include "cpx/data/globs.h"
#include "cpx/data/record.h"
#include "cpx/data/text_file.h"

namespace cpx::recipes {

namespace {

// The sums of neighbours, `count` at a time.
BatchMeter measure(const std::vector<int64_t>& lengths, size_t count) {
  BatchMeter meter;
  for (size_t begin = 0; begin < lengths.size(); begin += count) {
    BatchSize batch;
    for (size_t i = begin; i < std::min(begin + count, lengths.size()); ++i) {
      batch.tokens += lengths[i];
      batch.texts += 1;
      batch.longest_text = std::max(batch.longest_text, lengths[i]);
    }
    meter.add(batch);
  }
  return meter;
}

}  // namespace

RetainedTexts load_retained(const TrainConfig& config, Faults& faults) {
  RetainedTexts retained;
  Faults of_patterns;
  const auto files = data::expand_globs(config.data.retain, of_patterns);
  ConfigFaults(config, faults).append("data.retain", of_patterns);
  retained.num_files = files.size();
  for (const auto& file : files) {
    data::TextFileContent content = data::read_texts(file);
    faults.append(content.faults);
    for (size_t i = 0; i < content.texts.size(); ++i) {
      retained.texts.push_back({.text = std::move(content.texts[i]),
                                .where = fmt::format("{}: text {}", file.string(), i + 1)});
    }
  }
  return retained;
}

std::string retained_fingerprint(const RetainedTexts& retained) {
  TextHash hash;
  for (const training::RetainedText& one : retained.texts) hash.add_text(one.text);
  return fmt::format("{} retained texts, {}", retained.texts.size(), hash.hex());
}

BatchSizes retained_sizes(const RetainedTexts& retained, const data::TextEncoder& encoder,
                          int64_t texts_per_batch) {
  std::vector<int64_t> lengths;
  for (const training::RetainedText& one : retained.texts) {
    const auto length = std::ssize(encoder.encode_unframed(one.text).ids);
    if (length >= 2) lengths.push_back(length);
  }
  const auto count = static_cast<size_t>(std::min(texts_per_batch, std::ssize(lengths)));
  if (count == 0) return {};
  BatchSizes sizes = measure(lengths, count).sizes();
  const auto total =
      static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
  sizes.mean_tokens = total / static_cast<double>(lengths.size()) * static_cast<double>(count);
  std::ranges::sort(lengths, std::greater());
  lengths.resize(count);
  sizes.largest = measure(lengths, count).sizes().largest;
  return sizes;
}

}  // namespace cpx::recipes
