// SPDX-License-Identifier: Apache-2.0
#include "reference_nll.h"

#include <numeric>
#include <utility>

#include "cpx/data/pair_batch.h"
#include "packed_micro_batch.h"

namespace cpx::training {

namespace {

uint64_t answer_id(const data::EncodedPair& pair, int64_t answer) {
  return sequence_id(pair.whole_text(answer), std::ssize(pair.prompt));
}

double total_of(std::span<const float> nll) { return std::accumulate(nll.begin(), nll.end(), 0.0); }

}  // namespace

std::vector<double> ReferenceNll::of(nn::CausalLm& trained,
                                     std::span<const data::EncodedPair> pairs) {
  std::vector<std::optional<double>> known;
  std::vector<data::EncodedPair> unknown;
  for (const data::EncodedPair& pair : pairs) {
    data::EncodedPair rest{.prompt = pair.prompt};
    for (int64_t answer = 0; answer < std::ssize(pair.answers); ++answer) {
      known.push_back(look_up(pair, answer));
      if (!known.back()) rest.answers.push_back(pair.answers[static_cast<size_t>(answer)]);
    }
    if (!rest.answers.empty()) unknown.push_back(std::move(rest));
  }
  const std::vector<double> computed =
      unknown.empty() ? std::vector<double>() : compute(trained, unknown);
  auto next = computed.begin();
  std::vector<double> sums;
  for (const auto& sum : known) sums.push_back(sum ? *sum : *next++);
  return sums;
}

void ReferenceNll::flush() const {
  if (reference_.cache) reference_.cache->flush();
}

std::optional<double> ReferenceNll::look_up(const data::EncodedPair& pair, int64_t answer) const {
  if (pair.num_predicted(answer) == 0) return 0.0;
  if (reference_.cache == nullptr) return std::nullopt;
  const auto found = reference_.cache->get(answer_id(pair, answer), pair.num_predicted(answer));
  return found ? std::optional(total_of(*found)) : std::nullopt;
}

std::vector<double> ReferenceNll::compute(nn::CausalLm& trained,
                                          std::span<const data::EncodedPair> pairs) {
  const ReferenceGuard guard(reference_.policy, trained);
  const auto packed = data::pack_pairs(pairs, shares_prompts_);
  const auto nll = nn::to_doubles(token_nll(guard.model(), packed, {}));
  std::vector<double> sums;
  size_t text = 0;
  for (const data::EncodedPair& pair : pairs) {
    for (int64_t answer = 0; answer < std::ssize(pair.answers); ++answer, ++text) {
      const auto begin = nll.begin() + packed.texts[text].first;
      std::vector<float> values(begin, begin + packed.texts[text].count);
      sums.push_back(total_of(values));
      if (reference_.cache) reference_.cache->put(answer_id(pair, answer), std::move(values));
      ++num_computed_;
    }
  }
  return sums;
}

}  // namespace cpx::training
