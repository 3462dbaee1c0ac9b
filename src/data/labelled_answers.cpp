// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/labelled_answers.h"

#include <algorithm>

#include "cpx/core/error.h"
#include "epoch_order.h"

namespace cpx::data {

namespace {

const std::vector<std::string>& side_of(const PreferenceItem& item, bool is_desirable) {
  return is_desirable ? item.chosen : item.rejected;
}

}  // namespace

LabelledAnswers::LabelledAnswers(std::span<const PreferenceItem> items,
                                 const LabelledOptions& options)
    : items_(items), options_(options), starts_{0} {
  CPX_CHECK(options.desirable_per_prompt >= 0 && options.undesirable_per_prompt >= 0,
            "[labelled_answers] answers of a prompt: got {} and {}, expected 0 or more.",
            options.desirable_per_prompt, options.undesirable_per_prompt);
  for (int64_t i = 0; i < std::ssize(items); ++i) {
    const int64_t desirable = num_of_side(items[i], /*is_desirable=*/true);
    const int64_t count = desirable + num_of_side(items[i], /*is_desirable=*/false);
    if (count == 0) continue;
    usable_.push_back(i);
    starts_.push_back(starts_.back() + count);
    num_desirable_ += desirable;
  }
  if (usable_.empty()) {
    throw_<DataError>(
        "[labelled_answers] got {} records without an answer, expected one with an answer. Check "
        "the data.",
        items.size());
  }
}

int64_t LabelledAnswers::num_of_side(const PreferenceItem& item, bool is_desirable) const {
  const int64_t limit =
      is_desirable ? options_.desirable_per_prompt : options_.undesirable_per_prompt;
  const int64_t available = std::ssize(side_of(item, is_desirable));
  return limit > 0 ? std::min(available, limit) : available;
}

std::vector<int64_t> LabelledAnswers::epoch_order(int64_t epoch) const {
  CPX_CHECK(epoch >= 0, "[labelled_answers] epoch: got {}, expected 0 or more.", epoch);
  return visit_order(num_answers(), options_.shuffle, options_.seed, epoch);
}

DrawnAnswer LabelledAnswers::draw(int64_t number, int64_t epoch) const {
  CPX_CHECK(epoch >= 0, "[labelled_answers] epoch: got {}, expected 0 or more.", epoch);
  CPX_CHECK(number >= 0 && number < num_answers(),
            "[labelled_answers] answer: got {}, expected 0 to {}.", number, num_answers() - 1);
  const auto slot = std::ranges::upper_bound(starts_, number) - starts_.begin() - 1;
  const int64_t item = usable_[slot];
  int64_t index = number - starts_[slot];  // among the item's, the desirable ones first
  const int64_t desirable = num_of_side(items_[item], /*is_desirable=*/true);
  DrawnAnswer drawn{.item = item, .is_desirable = index < desirable};
  if (!drawn.is_desirable) index -= desirable;
  const TextRole role = drawn.is_desirable ? TextRole::kPositive : TextRole::kHardNegative;
  const auto order = text_order(std::ssize(side_of(items_[item], drawn.is_desirable)), role, item,
                                options_.shuffle, options_.seed, epoch);
  drawn.answer = order[static_cast<size_t>(index)];
  return drawn;
}

const std::string& LabelledAnswers::text(const DrawnAnswer& drawn) const {
  return side_of(item(drawn), drawn.is_desirable)[static_cast<size_t>(drawn.answer)];
}

}  // namespace cpx::data
