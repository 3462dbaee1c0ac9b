// SPDX-License-Identifier: Apache-2.0
#include "repeated_texts.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

namespace cpx::recipes {

namespace {

// The texts of a side of the data, and in how many places each stands. Views of what the data hold.
class TextPlaces {
 public:
  explicit TextPlaces(const TrainData& data) {
    data.visit_texts([this](std::string_view text) {
      most_ = std::max(most_, ++places_[text]);
      ++num_texts_;
    });
  }

  int64_t num_texts() const { return num_texts_; }
  int64_t num_distinct() const { return std::ssize(places_); }
  // Of the text that stands in the most.
  int64_t most() const { return most_; }
  bool contains(std::string_view text) const { return places_.contains(text); }

 private:
  std::unordered_map<std::string_view, int64_t> places_;
  int64_t num_texts_ = 0;
  int64_t most_ = 0;
};

}  // namespace

std::vector<std::string> repetition_warnings(const TrainData& train, const TrainData* evaluation) {
  const TextPlaces places(train);
  std::vector<std::string> lines;
  if (places.num_distinct() < places.num_texts()) {
    lines.push_back(fmt::format(
        "data.train: {} texts, {} of them different, one in {} places: a text that stands in many "
        "records weighs more, and is not new where one of these is held out. Hold out by text.",
        places.num_texts(), places.num_distinct(), places.most()));
  }
  if (evaluation == nullptr) return lines;
  int64_t num_texts = 0;
  int64_t num_shared = 0;
  evaluation->visit_texts([&](std::string_view text) {
    ++num_texts;
    num_shared += places.contains(text) ? 1 : 0;
  });
  if (num_shared > 0) {
    lines.push_back(fmt::format(
        "data.eval: {} of {} texts stand in data.train too: the evaluation is not of held-out text "
        "alone. Hold out by text.",
        num_shared, num_texts));
  }
  return lines;
}

}  // namespace cpx::recipes
