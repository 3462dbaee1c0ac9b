// SPDX-License-Identifier: Apache-2.0
#include "cpx/nn/text_shares.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "cpx/tensor/lanes.h"

namespace cpx::nn {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// With fewer tokens matrix products get slower: each share reads and packs the weights again.
constexpr int64_t kTokensPerShare = 64;
constexpr int64_t kMaxShares = 16;
// How much longer the largest share may take than an even one, as a fraction.
constexpr double kMaxUnevenness = 0.06;

// Texts that have tokens in common, directly or through other texts.
struct Unit {
  std::vector<int64_t> texts = {};
  int64_t num_tokens = 0;
};

int64_t num_texts_of(const PackedTokens& tokens) { return std::ssize(tokens.cu_seqlens) - 1; }

// The token at a place of the texts.
int64_t token_at(const PackedTokens& tokens, int64_t place) {
  return tokens.token_of_place.empty() ? place : tokens.token_of_place[static_cast<size_t>(place)];
}

int64_t num_tokens_of(const PackedTokens& tokens) { return tokens.ids.size(0); }

// The first text of the unit that `text` belongs to: the root of its tree in `parents`.
int64_t root_of(std::vector<int64_t>& parents, int64_t text) {
  while (parents[static_cast<size_t>(text)] != text) {
    int64_t& parent = parents[static_cast<size_t>(text)];
    parent = parents[static_cast<size_t>(parent)];
    text = parent;
  }
  return text;
}

std::vector<Unit> units_of(const PackedTokens& tokens) {
  const int64_t num_texts = num_texts_of(tokens);
  std::vector<int64_t> parents(static_cast<size_t>(num_texts));
  std::iota(parents.begin(), parents.end(), int64_t{0});
  std::vector<int64_t> first_text(static_cast<size_t>(num_tokens_of(tokens)), -1);
  std::vector<int64_t> own_tokens(static_cast<size_t>(num_texts));  // that no earlier text has
  for (int64_t text = 0; text < num_texts; ++text) {
    for (int64_t place = tokens.cu_seqlens[text]; place < tokens.cu_seqlens[text + 1]; ++place) {
      int64_t& first = first_text[static_cast<size_t>(token_at(tokens, place))];
      if (first < 0) {
        first = text;
        ++own_tokens[static_cast<size_t>(text)];
        continue;
      }
      const int64_t one = root_of(parents, first);
      const int64_t other = root_of(parents, text);
      parents[static_cast<size_t>(std::max(one, other))] = std::min(one, other);
    }
  }
  std::vector<Unit> by_root(static_cast<size_t>(num_texts));
  for (int64_t text = 0; text < num_texts; ++text) {
    Unit& unit = by_root[static_cast<size_t>(root_of(parents, text))];
    unit.texts.push_back(text);
    unit.num_tokens += own_tokens[static_cast<size_t>(text)];
  }
  std::erase_if(by_root, [](const Unit& unit) { return unit.num_tokens == 0; });
  return by_root;
}

// Gives each unit, longest first, to the share that has the fewest tokens so far.
std::vector<Unit> dealt(const std::vector<Unit>& units, int64_t num_shares) {
  std::vector<size_t> order(units.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(
      order, [&](size_t a, size_t b) { return units[a].num_tokens > units[b].num_tokens; });
  std::vector<Unit> shares(static_cast<size_t>(num_shares));
  for (const size_t index : order) {
    const auto least = std::ranges::min_element(shares, {}, &Unit::num_tokens);
    least->texts.insert(least->texts.end(), units[index].texts.begin(), units[index].texts.end());
    least->num_tokens += units[index].num_tokens;
  }
  for (Unit& share : shares) std::ranges::sort(share.texts);
  return shares;
}

bool is_even(const std::vector<Unit>& shares, int64_t num_tokens) {
  const int64_t largest = std::ranges::max_element(shares, {}, &Unit::num_tokens)->num_tokens;
  const double even = static_cast<double>(num_tokens) / static_cast<double>(shares.size());
  return static_cast<double>(largest) <= (1.0 + kMaxUnevenness) * even;
}

// As many shares as possible that are even and large enough.
std::vector<Unit> best_deal(const std::vector<Unit>& units, int64_t num_tokens) {
  for (int64_t count = kMaxShares; count > 1; count /= 2) {
    if (num_tokens < count * kTokensPerShare || std::ssize(units) < count) continue;
    auto shares = dealt(units, count);
    if (is_even(shares, num_tokens)) return shares;
  }
  return dealt(units, 1);
}

TextShare share_of(const PackedTokens& tokens, const Unit& unit) {
  TextShare share;
  share.tokens.cu_seqlens = {0};
  std::vector<int64_t> own_token(static_cast<size_t>(num_tokens_of(tokens)), -1);
  std::vector<int64_t> rows;
  std::vector<int64_t> token_of_place;
  for (const int64_t text : unit.texts) {
    for (int64_t place = tokens.cu_seqlens[text]; place < tokens.cu_seqlens[text + 1]; ++place) {
      const int64_t token = token_at(tokens, place);
      int64_t& own = own_token[static_cast<size_t>(token)];
      if (own < 0) {
        own = std::ssize(rows);
        rows.push_back(token);
      }
      token_of_place.push_back(own);
    }
    share.tokens.cu_seqlens.push_back(static_cast<int32_t>(token_of_place.size()));
  }
  share.tokens.ids = tokens.ids.index_select(0, at::tensor(rows, at::kLong));
  if (!tokens.token_of_place.empty()) share.tokens.token_of_place = std::move(token_of_place);
  share.tokens.behind = tokens.behind;
  share.rows = std::make_shared<const std::vector<int64_t>>(std::move(rows));
  return share;
}

using States = std::function<Tensor(const TextShare&)>;

Tensor row_indices(const TextShare& share) { return at::tensor(*share.rows, at::kLong); }

std::vector<Tensor> computed(const std::vector<TextShare>& shares, const States& states) {
  std::vector<Tensor> outputs(shares.size());
  tensor::run_in_lanes(std::ssize(shares), [&](int64_t i) {
    const auto index = static_cast<size_t>(i);
    outputs[index] = states(shares[index]);
  });
  return outputs;
}

Tensor joined(const std::vector<TextShare>& shares, const std::vector<Tensor>& outputs) {
  int64_t num_rows = 0;
  for (const Tensor& output : outputs) num_rows += output.size(0);
  auto all = at::empty({num_rows, outputs.front().size(1)}, outputs.front().options());
  for (size_t i = 0; i < shares.size(); ++i) {
    all.index_copy_(0, row_indices(shares[i]), outputs[i].detach());
  }
  return all;
}

// Keeps the shares' states and their graphs until the backward pass.
struct SharesHolder : torch::CustomClassHolder {
  std::vector<TextShare> shares;
  std::vector<Tensor> outputs;
};

class InShares : public torch::autograd::Function<InShares> {
 public:
  static Tensor forward(AutogradContext* context, c10::intrusive_ptr<SharesHolder> holder,
                        const States& states, at::TensorList parameters) {
    {
      const torch::AutoGradMode with_graph(true);
      holder->outputs = computed(holder->shares, states);
    }
    auto all = joined(holder->shares, holder->outputs);
    context->save_for_backward(parameters.vec());
    context->saved_data["shares"] = c10::IValue::make_capsule(std::move(holder));
    return all;
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    const auto parameters = context->get_saved_variables();
    const auto holder =
        c10::static_intrusive_pointer_cast<SharesHolder>(context->saved_data["shares"].toCapsule());
    tensor::OrderedSum sum(std::ssize(holder->shares));
    tensor::run_in_lanes(std::ssize(holder->shares), [&](int64_t i) {
      const auto index = static_cast<size_t>(i);
      const Tensor output = std::exchange(holder->outputs[index], {});
      const auto gradient = grad_outputs[0].index_select(0, row_indices(holder->shares[index]));
      sum.add(i, torch::autograd::grad({output}, parameters, {gradient},
                                       /*retain_graph=*/std::nullopt, /*create_graph=*/false,
                                       /*allow_unused=*/true));
    });
    auto gradients = sum.take();
    gradients.insert(gradients.begin(), {Tensor(), Tensor()});  // the holder, the function
    return gradients;
  }
};

}  // namespace

std::vector<TextShare> deal_texts(const PackedTokens& tokens) {
  const auto units = units_of(tokens);
  if (units.empty()) return {};
  std::vector<TextShare> shares;
  for (const Unit& unit : best_deal(units, num_tokens_of(tokens))) {
    shares.push_back(share_of(tokens, unit));
  }
  return shares;
}

torch::Tensor states_of_shares(std::vector<TextShare> shares,
                               const std::function<torch::Tensor(const TextShare&)>& states,
                               const std::vector<torch::Tensor>& parameters) {
  if (!torch::GradMode::is_enabled() || parameters.empty()) {
    const torch::NoGradGuard no_grad;
    return joined(shares, computed(shares, states));
  }
  auto holder = c10::make_intrusive<SharesHolder>();
  holder->shares = std::move(shares);
  return InShares::apply(std::move(holder), states, at::TensorList(parameters));
}

}  // namespace cpx::nn
