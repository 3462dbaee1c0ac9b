// SPDX-License-Identifier: Apache-2.0
#include "text_measure.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/interrupt.h"
#include "cpx/core/log.h"
#include "cpx/core/progress.h"
#include "cpx/core/text_hash.h"
#include "cpx/pipeline/growing_output.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;
using Line = nlohmann::ordered_json;

// Texts that are measured together, from places that do not depend on where a run began: so a run
// that goes on gives the same bits.
constexpr size_t kWindow = 256;

std::vector<pipeline::Setting> measure_settings(std::span<const MeasuredText> texts,
                                                const TextMeasure& measure) {
  std::vector<pipeline::Setting> settings = measure.settings;
  TextHash hash;
  for (const MeasuredText& text : texts) hash.add_text(text.text);
  settings.push_back({"texts", fmt::format("{} texts, {}", texts.size(), hash.hex())});
  return settings;
}

std::vector<std::string> prompts_of(std::span<const MeasuredText> texts) {
  std::vector<std::string> prompts;
  for (const MeasuredText& text : texts) prompts.push_back(text.prompt);
  return prompts;
}

std::string line_of(const MeasuredText& text, const TextMeasure& measure,
                    const TextNumbers& numbers) {
  Line line = {{"prompt", text.prompt}, {"sample", text.sample}, {"text", text.text}};
  for (size_t i = 0; i < numbers.size(); ++i) line[measure.keys[i]] = numbers[i];
  return line.dump(-1, ' ', false, Line::error_handler_t::replace) + "\n";
}

// The numbers of the lines of a file that GrowingOutput has found to be of these texts.
std::vector<TextNumbers> read_numbers(const fs::path& path, const TextMeasure& measure) {
  std::ifstream file(path, std::ios::binary);
  std::vector<TextNumbers> all;
  for (std::string text; std::getline(file, text);) {
    const Line line = Line::parse(text, nullptr, /*allow_exceptions=*/false);
    TextNumbers numbers;
    for (const std::string& key : measure.keys) {
      if (!line.is_object() || !line.contains(key) || !line.at(key).is_number()) {
        throw_<DataError>("[{}: line {}] '{}' is missing, expected a number. Give --overwrite.",
                          path.string(), all.size() + 1, key);
      }
      numbers.push_back(line.at(key).get<double>());
    }
    all.push_back(std::move(numbers));
  }
  return all;
}

// Gives each window that is not done to `take`, with the number of its first text. False when
// interrupted.
bool measure_windows(
    std::span<const MeasuredText> texts, const TextMeasure& measure, size_t num_done,
    const std::function<void(size_t first, const std::vector<TextNumbers>&)>& take) {
  Progress progress(measure.title, std::ssize(texts), static_cast<int64_t>(num_done));
  for (size_t first = num_done / kWindow * kWindow; first < texts.size(); first += kWindow) {
    if (interrupt_requested()) return false;
    const size_t size = std::min(kWindow, texts.size() - first);
    take(first, measure.compute(texts.subspan(first, size)));
    progress.update(static_cast<int64_t>(first + size), "texts");
  }
  return true;
}

std::optional<std::vector<TextNumbers>> measure_in_memory(std::span<const MeasuredText> texts,
                                                          const TextMeasure& measure) {
  std::vector<TextNumbers> all;
  const bool is_whole =
      measure_windows(texts, measure, 0, [&](size_t, const std::vector<TextNumbers>& window) {
        all.insert(all.end(), window.begin(), window.end());
      });
  if (!is_whole) log_warning("interrupted: no report was written");
  return is_whole ? std::optional(std::move(all)) : std::nullopt;
}

}  // namespace

std::optional<std::vector<TextNumbers>> measure_texts(std::span<const MeasuredText> texts,
                                                      const TextMeasure& measure,
                                                      const std::optional<fs::path>& file,
                                                      bool overwrite) {
  if (!file) return measure_in_memory(texts, measure);
  pipeline::GrowingOutput output(*file, prompts_of(texts), measure_settings(texts, measure),
                                 /*lines_per_prompt=*/1, overwrite);
  const auto num_done = static_cast<size_t>(output.num_done());
  const auto write = [&](size_t first, const std::vector<TextNumbers>& window) {
    for (size_t i = num_done > first ? num_done - first : 0; i < window.size(); ++i) {
      output.add(line_of(texts[first + i], measure, window[i]));
    }
  };
  const bool is_whole =
      num_done == texts.size() || measure_windows(texts, measure, num_done, write);
  output.finish();
  if (!is_whole) {
    log_warning("interrupted: {}: {} of {} texts are done; the same command goes on from there",
                file->string(), output.num_done(), texts.size());
    return std::nullopt;
  }
  return read_numbers(*file, measure);
}

}  // namespace cpx::recipes
