// SPDX-License-Identifier: Apache-2.0
#include "evaluation_inputs.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "cpx/core/random.h"
#include "cpx/data/globs.h"
#include "fingerprint.h"

namespace cpx::recipes {

namespace {

constexpr uint64_t kInputDraw = 0x696e707574;  // "input": apart from the numbers of the texts drawn

}  // namespace

std::vector<int64_t> drawn_numbers(int64_t size, int64_t limit, uint64_t seed) {
  std::vector<int64_t> numbers(static_cast<size_t>(size));
  std::iota(numbers.begin(), numbers.end(), 0);
  if (limit == 0 || limit >= size) return numbers;
  numbers = sample_without_replacement(size, limit, CounterRng(seed, {kInputDraw}));
  std::ranges::sort(numbers);
  return numbers;
}

std::vector<std::string> described_files(const std::vector<std::string>& patterns) {
  Faults told_before;
  std::vector<std::string> names;
  for (const auto& file : data::expand_globs(patterns, told_before)) {
    names.push_back(fmt::format("{}: {}", file.string(), file_fingerprint(file)));
  }
  return names;
}

void add_evaluation_files(OutputCheck& outputs, const std::filesystem::path& model,
                          const std::vector<ComparedModel>& models,
                          const std::vector<std::filesystem::path>& scorers,
                          const std::optional<std::filesystem::path>& report) {
  if (!model.empty()) outputs.reads("--model", model);
  for (const ComparedModel& one : models) {
    if (one.adapter) outputs.reads("--compare", *one.adapter);
  }
  for (const auto& scorer : scorers) outputs.reads("--scorer", scorer);
  for (const ComparedModel& one : models) outputs.writes("--output", one.texts);
  if (report) outputs.writes("--report", *report);
}

}  // namespace cpx::recipes
