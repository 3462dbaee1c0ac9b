// SPDX-License-Identifier: Apache-2.0
#include "cpx/kernels/row_selection.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"

namespace cpx::kernels {

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kValuesPerTask = 1 << 15;

template <class Scalar>
void add_up_rows(const Tensor& gradient, const RowSelection& selection, Tensor& sums) {
  using Sum = at::opmath_type<Scalar>;
  const int64_t size = gradient.numel() / std::max<int64_t>(1, gradient.size(0));  // of a row
  const Scalar* from = gradient.const_data_ptr<Scalar>();
  Scalar* to = sums.mutable_data_ptr<Scalar>();
  const int64_t rows_per_task = std::max<int64_t>(1, kValuesPerTask / std::max<int64_t>(1, size));
  at::parallel_for(0, selection.num_sources(), rows_per_task, [&](int64_t begin, int64_t end) {
    std::vector<Sum> sum(static_cast<size_t>(size));
    for (int64_t source = begin; source < end; ++source) {
      std::fill(sum.begin(), sum.end(), Sum(0));
      for (const int64_t row : selection.taken_for(source)) {
        const Scalar* values = from + row * size;
        for (int64_t i = 0; i < size; ++i) sum[i] += static_cast<Sum>(values[i]);
      }
      for (int64_t i = 0; i < size; ++i) to[source * size + i] = static_cast<Scalar>(sum[i]);
    }
  });
}

Tensor summed_rows(const Tensor& gradient, const RowSelection& selection) {
  auto sizes = gradient.sizes().vec();
  sizes[0] = selection.num_sources();
  if (!gradient.device().is_cpu()) {
    return at::zeros(sizes, gradient.options()).index_add_(0, selection.rows(), gradient);
  }
  auto sums = at::empty(sizes, gradient.options());
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kBFloat16, at::kHalf, gradient.scalar_type(), "select_rows backward",
      [&] { add_up_rows<scalar_t>(gradient.contiguous(), selection, sums); });
  return sums;
}

class SelectRows : public torch::autograd::Function<SelectRows> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x,
                        const std::shared_ptr<const RowSelection>& selection) {
    RECORD_USER_SCOPE("cpx::select_rows");
    context->saved_data["selection"] =
        c10::IValue::make_capsule(c10::make_intrusive<Holder>(selection));
    return x.index_select(0, selection->rows());
  }

  static variable_list backward(AutogradContext* context, variable_list grad_outputs) {
    RECORD_USER_SCOPE("cpx::select_rows backward");
    const auto holder =
        c10::static_intrusive_pointer_cast<Holder>(context->saved_data["selection"].toCapsule());
    return {summed_rows(grad_outputs[0], *holder->selection), Tensor()};
  }

 private:
  struct Holder : torch::CustomClassHolder {
    explicit Holder(std::shared_ptr<const RowSelection> held) : selection(std::move(held)) {}
    std::shared_ptr<const RowSelection> selection;
  };
};

}  // namespace

RowSelection::RowSelection(std::span<const int64_t> rows, int64_t num_sources,
                           const torch::Device& device)
    : rows_(at::tensor(at::ArrayRef<int64_t>(rows.data(), rows.size()), at::kLong).to(device)),
      taken_(rows.size()),
      starts_(static_cast<size_t>(num_sources) + 1) {
  for (const int64_t row : rows) {
    CPX_CHECK(row >= 0 && row < num_sources, "[row selection] got row {}, expected 0 to {}.", row,
              num_sources - 1);
    starts_[static_cast<size_t>(row) + 1] += 1;
  }
  for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
  std::vector<int64_t> next(starts_.begin(), starts_.end() - 1);
  for (size_t i = 0; i < rows.size(); ++i) {
    taken_[static_cast<size_t>(next[static_cast<size_t>(rows[i])]++)] = static_cast<int64_t>(i);
  }
}

std::span<const int64_t> RowSelection::taken_for(int64_t source) const {
  const auto begin = static_cast<size_t>(starts_[static_cast<size_t>(source)]);
  const auto end = static_cast<size_t>(starts_[static_cast<size_t>(source) + 1]);
  return std::span(taken_).subspan(begin, end - begin);
}

Tensor select_rows(const Tensor& x, const std::shared_ptr<const RowSelection>& selection) {
  CPX_CHECK(x.dim() > 0 && x.size(0) == selection->num_sources(),
            "[select_rows] got x {}, expected {} rows.", tensor::shape_text(x.sizes()),
            selection->num_sources());
  return SelectRows::apply(x, selection);
}

}  // namespace cpx::kernels
