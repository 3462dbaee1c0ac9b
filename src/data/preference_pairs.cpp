// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/preference_pairs.h"

#include <algorithm>
#include <numeric>

#include "cpx/core/error.h"
#include "epoch_order.h"

namespace cpx::data {

namespace {

void check_options(const PairOptions& options) {
  CPX_CHECK(options.pairs_per_group >= 0,
            "[preference_pairs] pairs_per_group: got {}, expected 0 or more.",
            options.pairs_per_group);
  CPX_CHECK(options.rejected_per_chosen >= 0,
            "[preference_pairs] rejected_per_chosen: got {}, expected 0 or more.",
            options.rejected_per_chosen);
}

}  // namespace

PreferencePairs::PreferencePairs(std::span<const PreferenceItem> items, const PairOptions& options)
    : items_(items), options_(options), starts_{0} {
  check_options(options);
  for (int64_t i = 0; i < std::ssize(items); ++i) {
    const int64_t available = num_pairings(items[i]);
    if (available == 0) continue;
    const int64_t drawn =
        options.pairs_per_group > 0 ? std::min(available, options.pairs_per_group) : available;
    usable_.push_back(i);
    starts_.push_back(starts_.back() + drawn);
  }
  if (usable_.empty()) {
    throw_<DataError>(
        "[preference_pairs] no pair can be made: got {} records, expected one with a chosen and {} "
        "rejected answers. Lower rejected_per_chosen, or check the data.",
        items.size(), std::max<int64_t>(options.rejected_per_chosen, 1));
  }
}

int64_t PreferencePairs::num_blocks(const PreferenceItem& item) const {
  if (options_.rejected_per_chosen == 0) return item.rejected.empty() ? 0 : 1;
  return std::ssize(item.rejected) / options_.rejected_per_chosen;
}

int64_t PreferencePairs::num_pairings(const PreferenceItem& item) const {
  return std::ssize(item.chosen) * num_blocks(item);
}

std::vector<int64_t> PreferencePairs::epoch_order(int64_t epoch) const {
  CPX_CHECK(epoch >= 0, "[preference_pairs] epoch: got {}, expected 0 or more.", epoch);
  return visit_order(num_pairs(), options_.shuffle, options_.seed, epoch);
}

std::vector<int64_t> PreferencePairs::answer_order(int64_t n, TextRole role, int64_t item,
                                                   int64_t epoch) const {
  return text_order(n, role, item, options_.shuffle, options_.seed, epoch);
}

DrawnPair PreferencePairs::draw(int64_t pair, int64_t epoch) const {
  CPX_CHECK(epoch >= 0, "[preference_pairs] epoch: got {}, expected 0 or more.", epoch);
  CPX_CHECK(pair >= 0 && pair < num_pairs(), "[preference_pairs] pair: got {}, expected 0 to {}.",
            pair, num_pairs() - 1);
  const auto after = std::ranges::upper_bound(starts_, pair);
  const auto slot = after - starts_.begin() - 1;
  const int64_t index = pair - starts_[slot];  // among the item's pairs
  const int64_t number = usable_[slot];
  const PreferenceItem& item = items_[number];
  const auto chosen = answer_order(std::ssize(item.chosen), TextRole::kPositive, number, epoch);
  const auto rejected =
      answer_order(std::ssize(item.rejected), TextRole::kHardNegative, number, epoch);
  // Along diagonals of the table chosen x blocks: each of its cells once, after lcm cells the next
  // diagonal.
  const int64_t blocks = num_blocks(item);
  const int64_t diagonal = index / std::lcm(std::ssize(chosen), blocks);
  const int64_t block = (index + diagonal) % blocks;
  const int64_t block_size =
      options_.rejected_per_chosen > 0 ? options_.rejected_per_chosen : std::ssize(rejected);
  const auto first = rejected.begin() + block * block_size;
  return {.item = number,
          .chosen = chosen[index % std::ssize(chosen)],
          .rejected = {first, first + block_size}};
}

}  // namespace cpx::data
