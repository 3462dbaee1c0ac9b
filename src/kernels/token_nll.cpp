// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/token_nll.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/kernels/reference.h"
#include "cpx/kernels/row_distribution.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/lanes.h"
#include "online_nll.h"
#include "row_pieces.h"
#include "row_plugin.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Logits of one chunk of whole rows: tall enough for the product.
constexpr int64_t kChunkBytes = int64_t{32} << 20;
// Logits of one block in float32 on the CPU: a lane's rows, so few columns that the block stays in
// its cache. On [450, 576] x [49152, 576] the products run at 190 GFLOP/s this way, at 146
// with chunks of 170 whole rows.
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlockColumns = 2048;

// The same where cpx's own kernels need no copy of the logits: whole tiles of a GPU's product.
constexpr int64_t kKernelChunkBytes = int64_t{128} << 20;
constexpr int64_t kTileRows = 256;

int64_t rows_per_chunk(int64_t vocabulary) {
  return std::clamp<int64_t>(kChunkBytes / (vocabulary * 4), 16, 4096);
}

int64_t rows_per_kernel_chunk(int64_t vocabulary, int64_t element_bytes) {
  const int64_t tiles = kKernelChunkBytes / (vocabulary * element_bytes * kTileRows);
  return std::clamp<int64_t>(tiles, 1, 16) * kTileRows;
}

// The type in which softmax and losses are computed.
torch::Dtype loss_dtype(torch::Dtype dtype) {
  return dtype == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
}

void check_arguments(const Tensor& hidden, const Tensor& weight, const Tensor& targets) {
  CPX_CHECK(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1),
            "[token_nll] shapes do not fit: got hidden {} and weight {}, expected [N, D] and "
            "[V, D].",
            tensor::shape_text(hidden.sizes()), tensor::shape_text(weight.sizes()));
  CPX_CHECK(targets.dim() == 1 && targets.size(0) == hidden.size(0),
            "[token_nll] one target a row is needed: got targets {}, expected [{}].",
            tensor::shape_text(targets.sizes()), hidden.size(0));
  if (!targets.is_cpu() || targets.numel() == 0) return;  // a GPU's gather checks on its own
  const auto [lowest, highest] = at::aminmax(targets);
  const auto bad = lowest.item<int64_t>() < 0 ? lowest : highest;
  CPX_CHECK(bad.item<int64_t>() >= 0 && bad.item<int64_t>() < weight.size(0),
            "[token_nll] got target {}, expected 0 <= target < {} (the vocabulary).",
            bad.item<int64_t>(), weight.size(0));
}

// Turns log-probabilities into softmax - onehot, in place.
Tensor to_logit_gradient(Tensor log_probs, const Tensor& target_column) {
  auto gradient = log_probs.exp_();
  return gradient.scatter_add_(1, target_column,
                               at::full({1, 1}, -1.0, gradient.options()).expand_as(target_column));
}

// Writes the NLL of each row; returns softmax - onehot with `needs_gradient`. May overwrite
// `logits`.
Tensor nll_of_logits(Tensor& logits, const Tensor& targets, Tensor& nll, bool needs_gradient) {
  if (has_row_kernels(logits)) {
    nll_rows(logits, targets, nll, needs_gradient);
    return needs_gradient ? logits : Tensor();
  }
  const auto column = targets.unsqueeze(1);  // [rows, 1]
  auto log_probs = at::log_softmax(logits.to(nll.scalar_type()), 1);
  nll.copy_(log_probs.gather(1, column).squeeze(1).neg_());
  return needs_gradient ? to_logit_gradient(std::move(log_probs), column) : Tensor();
}

// What is filled.
struct RowResults {
  Tensor nll;           // [N]
  Tensor gradient;      // u, [N, D], or undefined
  Tensor entropy = {};  // [N], or undefined; not with a gradient

  RowResults narrow(int64_t begin, int64_t rows) const {
    const auto narrowed = [&](const Tensor& tensor) {
      return tensor.defined() ? tensor.narrow(0, begin, rows) : Tensor();
    };
    return {nll.narrow(0, begin, rows), narrowed(gradient), narrowed(entropy)};
  }
};

// All columns of a chunk of rows.
void by_rows(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
             RowResults results) {
  auto logits = at::mm(hidden, weight.t());  // [rows, V]
  if (results.entropy.defined()) results.entropy.copy_(row_entropy(logits));
  const auto logit_gradient =
      nll_of_logits(logits, targets, results.nll, results.gradient.defined());
  if (results.gradient.defined()) {
    at::mm_out(results.gradient, logit_gradient.to(weight.scalar_type()), weight);
  }
}

// sum += weights rows. The product has a place of its own: its many small numbers would get lost in
// a large sum.
void add_product(Tensor& sum, const Tensor& weights, const Tensor& rows, Tensor& product) {
  at::mm_out(product, weights.to(rows.scalar_type()), rows);
  sum.add_(product);
}

// A block of columns at a time, in float32: u = sum_v exp(z_v - highest) W_v / sum - W_target.
void by_columns(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
                RowResults results) {
  const int64_t num_rows = hidden.size(0);
  const int64_t vocabulary = weight.size(0);
  const bool needs_gradient = results.gradient.defined();
  OnlineNll online(targets);
  auto weighted_rows = needs_gradient ? at::zeros(hidden.sizes(), at::kFloat) : Tensor();  // [N, D]
  auto block_product = needs_gradient ? at::empty_like(hidden) : Tensor();
  auto buffer = at::empty({num_rows * std::min(kBlockColumns, vocabulary)}, hidden.options());
  for (int64_t begin = 0; begin < vocabulary; begin += kBlockColumns) {
    const int64_t columns = std::min(kBlockColumns, vocabulary - begin);
    const auto block_weight = weight.narrow(0, begin, columns);  // [C, D]
    auto product = buffer.narrow(0, 0, num_rows * columns).view({num_rows, columns});
    at::mm_out(product, hidden, block_weight.t());
    auto logits = product.to(at::kFloat);
    if (needs_gradient) {
      online.add(logits, begin, weighted_rows);
      add_product(weighted_rows, logits, block_weight, block_product);
    } else if (results.entropy.defined()) {
      online.add_with_entropy(logits, begin);
    } else {
      online.add(logits, begin);
    }
  }
  results.nll.copy_(online.nll());
  if (results.entropy.defined()) results.entropy.copy_(online.entropy());
  if (!needs_gradient) return;
  weighted_rows.mul_(online.inverse_sums()).sub_(weight.index_select(0, targets));
  results.gradient.copy_(weighted_rows);
}

// All rows, in pieces that suit the device.
void fill(const Tensor& hidden, const Tensor& weight, const Tensor& targets,
          const RowResults& results) {
  const int64_t num_rows = hidden.size(0);
  const int64_t vocabulary = weight.size(0);
  const bool has_kernels = has_row_kernels(hidden);
  if (!has_kernels && hidden.is_cpu() && hidden.scalar_type() != at::kDouble) {
    const auto pieces = row_pieces(hidden, kBlockRows);
    for_each_piece(hidden.device(), pieces, [&](int64_t /*number*/, int64_t begin, int64_t rows) {
      by_columns(hidden.narrow(0, begin, rows), weight, targets.narrow(0, begin, rows),
                 results.narrow(begin, rows));
    });
    return;
  }
  const int64_t step = has_kernels ? rows_per_kernel_chunk(vocabulary, hidden.element_size())
                                   : rows_per_chunk(vocabulary);
  for (int64_t begin = 0; begin < num_rows; begin += step) {
    const int64_t rows = std::min(step, num_rows - begin);
    by_rows(hidden.narrow(0, begin, rows), weight, targets.narrow(0, begin, rows),
            results.narrow(begin, rows));
  }
}

// A number a row, in the type of the loss.
Tensor row_numbers(const Tensor& hidden) {
  return at::empty({hidden.size(0)}, hidden.options().dtype(loss_dtype(hidden.scalar_type())));
}

class TokenNll : public torch::autograd::Function<TokenNll> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& hidden, const Tensor& weight,
                        const Tensor& targets, bool needs_gradient) {
    RECORD_USER_SCOPE("cpx::token_nll");
    const RowResults results{.nll = row_numbers(hidden),
                             .gradient = needs_gradient ? at::empty_like(hidden) : Tensor()};
    fill(hidden, weight, targets, results);
    if (needs_gradient) context->save_for_backward({results.gradient});
    return results.nll;
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::token_nll backward");
    const auto gradient = context->get_saved_variables()[0];  // [N, D]
    const auto scale = grad_outputs[0].unsqueeze(1).to(gradient.scalar_type());
    return {gradient * scale, Tensor(), Tensor(), Tensor()};
  }
};

// Logits of a chunk of rows of a head with a low-rank update, in the type of the loss.
Tensor low_rank_logits(const Tensor& hidden, const Tensor& weight, const Tensor& low_rank,
                       const Tensor& b, double scale, torch::Dtype dtype) {
  auto logits = at::mm(hidden, weight.t());
  logits.addmm_(low_rank, b.t(), /*beta=*/1, /*alpha=*/scale);
  return logits.to(dtype);
}

class TokenNllLowRank : public torch::autograd::Function<TokenNllLowRank> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& hidden, const Tensor& weight,
                        const Tensor& low_rank, const Tensor& b, double scale,
                        const Tensor& targets) {
    RECORD_USER_SCOPE("cpx::token_nll");
    const auto dtype = loss_dtype(hidden.scalar_type());
    auto nll = at::empty({hidden.size(0)}, hidden.options().dtype(dtype));
    const auto pieces = pieces_of(hidden, weight);
    for_each_piece(hidden.device(), pieces, [&](int64_t /*number*/, int64_t begin, int64_t rows) {
      const auto logits = low_rank_logits(hidden.narrow(0, begin, rows), weight,
                                          low_rank.narrow(0, begin, rows), b, scale, dtype);
      const auto column = targets.narrow(0, begin, rows).unsqueeze(1);
      nll.narrow(0, begin, rows)
          .copy_(at::log_softmax(logits, 1).gather(1, column).squeeze(1).neg_());
    });
    context->save_for_backward({hidden, weight, low_rank, b, targets});
    context->saved_data["scale"] = scale;
    return nll;
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::token_nll backward");
    const auto saved = context->get_saved_variables();
    const auto &hidden = saved[0], &weight = saved[1], &low_rank = saved[2], &b = saved[3],
               &targets = saved[4];
    const double scale = context->saved_data["scale"].toDouble();
    const auto dtype = loss_dtype(hidden.scalar_type());
    auto grad_hidden = context->needs_input_grad(0) ? at::empty_like(hidden) : Tensor();
    auto grad_low_rank = context->needs_input_grad(2) ? at::empty_like(low_rank) : Tensor();
    const bool needs_b = context->needs_input_grad(3);
    const auto pieces = pieces_of(hidden, weight);
    tensor::OrderedSum grad_b(std::ssize(pieces));
    for_each_piece(hidden.device(), pieces, [&](int64_t number, int64_t begin, int64_t rows) {
      const auto low_rank_chunk = low_rank.narrow(0, begin, rows);
      const auto logits =
          low_rank_logits(hidden.narrow(0, begin, rows), weight, low_rank_chunk, b, scale, dtype);
      auto gradient = to_logit_gradient(at::log_softmax(logits, 1),
                                        targets.narrow(0, begin, rows).unsqueeze(1));
      gradient.mul_(grad_outputs[0].narrow(0, begin, rows).unsqueeze(1));
      const auto grad_logits = gradient.to(weight.scalar_type());  // [rows, V]
      if (grad_hidden.defined()) {
        auto chunk = grad_hidden.narrow(0, begin, rows);
        at::mm_out(chunk, grad_logits, weight);
      }
      if (grad_low_rank.defined()) {
        grad_low_rank.narrow(0, begin, rows).copy_(at::mm(grad_logits, b).mul_(scale));
      }
      if (needs_b) grad_b.add(number, {at::mm(grad_logits.t(), low_rank_chunk).mul_(scale)});
    });
    return {grad_hidden, Tensor(), grad_low_rank, needs_b ? grad_b.take().front() : Tensor(),
            Tensor(),    Tensor()};
  }

 private:
  static std::vector<RowPiece> pieces_of(const Tensor& hidden, const Tensor& weight) {
    return row_pieces(hidden, rows_per_chunk(weight.size(0)));
  }
};

}  // namespace

Tensor token_nll(const Tensor& hidden, const Tensor& weight, const Tensor& targets) {
  check_arguments(hidden, weight, targets);
  if (uses_reference()) return reference::token_nll(hidden, weight, targets);
  const bool needs_gradient = torch::GradMode::is_enabled() && hidden.requires_grad();
  return TokenNll::apply(hidden, weight, targets.contiguous(), needs_gradient);
}

NllAndEntropy token_nll_and_entropy(const Tensor& hidden, const Tensor& weight,
                                    const Tensor& targets) {
  check_arguments(hidden, weight, targets);
  const torch::NoGradGuard no_grad;
  if (uses_reference()) {
    return {reference::token_nll(hidden, weight, targets), row_entropy(at::mm(hidden, weight.t()))};
  }
  RECORD_USER_SCOPE("cpx::token_nll");
  const RowResults results{
      .nll = row_numbers(hidden), .gradient = {}, .entropy = row_numbers(hidden)};
  fill(hidden, weight, targets.contiguous(), results);
  return {results.nll, results.entropy};
}

Tensor token_nll_low_rank(const Tensor& hidden, const Tensor& weight, const Tensor& low_rank,
                          const Tensor& b, double scale, const Tensor& targets) {
  check_arguments(hidden, weight, targets);
  if (uses_reference()) {
    return reference::token_nll_low_rank(hidden, weight, low_rank, b, scale, targets);
  }
  return TokenNllLowRank::apply(hidden, weight, low_rank, b, scale, targets);
}

}  // namespace cpx::kernels
