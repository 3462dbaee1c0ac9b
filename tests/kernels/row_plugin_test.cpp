// SPDX-License-Identifier: Apache-2.0
// The operators by the bodies of the CUDA kernels, which run here on the CPU (host_group.h).
// Whether a GPU gets the same is not shown by it. Legend: T tokens, D model, N rows, V vocabulary.
#include "src/kernels/row_plugin.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/kernels/elementwise.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/kernels/reference.h"
#include "cpx/kernels/token_nll.h"
#include "host_group.h"
#include "src/kernels/dropout_bits.h"
#include "tests/support/errors.h"
#include "tests/support/gradient_check.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::kernels {
namespace row_plugin_test {

using ::cpx::testing_support::equals_formula;
using ::cpx::testing_support::is_close;
using ::cpx::testing_support::random_tensor;
using ::cpx::testing_support::TensorFunction;
using testing_support::HostLauncher;
using testing_support::kHostKernels;
using testing_support::message_of;
using torch::Tensor;

struct Case {
  torch::Dtype dtype;
  int64_t size;  // with a rest, in whole packs, and more packs than a block has threads
  int64_t max_threads;
  bool last_thread_first;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.dtype << ", " << one.size << " numbers, " << one.max_threads << " threads, "
       << (one.last_thread_first ? "last" : "first") << " one first";
}

class RowKernelsOf : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    HostLauncher::max_threads = GetParam().max_threads;
    HostLauncher::last_thread_first = GetParam().last_thread_first;
  }
  void TearDown() override {
    HostLauncher::max_threads = testing_support::kMaxThreads;
    HostLauncher::last_thread_first = false;
  }

  // `kernel` on the CPU by the row kernels, with its gradients, against `formula`.
  static testing::AssertionResult equals(const TensorFunction& kernel,
                                         const TensorFunction& formula,
                                         const std::vector<Tensor>& inputs) {
    const RowKernelsOnCpu on_cpu(kHostKernels);
    return equals_formula(kernel, formula, inputs, GetParam().dtype);
  }

  static int64_t size() { return GetParam().size; }
};

INSTANTIATE_TEST_SUITE_P(
    Cases, RowKernelsOf,
    testing::Values(Case{torch::kFloat32, 37, 512, false}, Case{torch::kFloat32, 64, 32, true},
                    Case{torch::kFloat32, 2600, 512, true}, Case{torch::kBFloat16, 37, 96, true},
                    Case{torch::kBFloat16, 64, 512, false},
                    Case{torch::kBFloat16, 4800, 512, false}, Case{torch::kFloat16, 13, 512, true},
                    Case{torch::kFloat16, 4800, 64, false}),
    testing_support::by_value);

TEST_P(RowKernelsOf, RmsNormEqualsTheFormula) {
  constexpr double kEpsilon = 1e-2;  // large enough to be seen
  const auto weight = random_tensor({size()}, 5).to(torch::kBFloat16).to(torch::kFloat64);
  EXPECT_TRUE(equals(
      [&](const std::vector<Tensor>& x) {
        return rms_norm(x[0], weight.to(x[0].scalar_type()), kEpsilon);
      },
      [&](const std::vector<Tensor>& x) { return reference::rms_norm(x[0], weight, kEpsilon); },
      {random_tensor({3, size()}, 6)}));
}

TEST_P(RowKernelsOf, RotateEqualsTheFormula) {
  const auto angle = random_tensor({4, size()}, 9);
  const auto cosine = angle.cos().to(torch::kBFloat16).to(torch::kFloat64);
  const auto sine = angle.sin().to(torch::kBFloat16).to(torch::kFloat64);
  EXPECT_TRUE(
      equals([&](const std::vector<Tensor>& x) { return rotate(x[0], cosine, sine); },
             [&](const std::vector<Tensor>& x) { return reference::rotate(x[0], cosine, sine); },
             {random_tensor({4, 3, 2 * size()}, 10)}));
}

TEST_P(RowKernelsOf, SwigluEqualsTheFormula) {
  EXPECT_TRUE(equals([](const std::vector<Tensor>& x) { return swiglu(x[0], x[1]); },
                     [](const std::vector<Tensor>& x) { return reference::swiglu(x[0], x[1]); },
                     {random_tensor({3, size()}, 7), random_tensor({3, size()}, 8)}));
}

TEST_P(RowKernelsOf, TokenNllEqualsTheFormula) {
  const auto weight = random_tensor({size(), 6}, 1).to(torch::kBFloat16).to(torch::kFloat64);
  const auto targets = at::tensor({int64_t{0}, size() - 1, size() / 2, int64_t{5}, int64_t{0}});
  EXPECT_TRUE(equals(
      [&](const std::vector<Tensor>& x) {
        return token_nll(x[0], weight.to(x[0].scalar_type()), targets);
      },
      [&](const std::vector<Tensor>& x) { return reference::token_nll(x[0], weight, targets); },
      {random_tensor({5, 6}, 2)}));
}

TEST_P(RowKernelsOf, DropoutIsTheCpus) {
  constexpr uint64_t kKey = 0x1234567890abcdefULL;
  const auto x = random_tensor({5, size()}, 3).to(GetParam().dtype);
  const auto sum = random_tensor({5, size()}, 4).to(GetParam().dtype);
  const auto bits = dropout_bits(5, size(), 0.3, kKey);
  const auto mask = keep(at::ones({5, size()}, at::kFloat), bits, 1.5).to(at::kDouble);

  const RowKernelsOnCpu on_cpu(kHostKernels);
  EXPECT_TRUE(at::equal(dropout_bits_for(x, 0.3, kKey), bits));
  EXPECT_TRUE(is_close(keep(x, bits, 1.5), x.to(at::kDouble) * mask));
  auto added = sum.clone();
  add_kept(added, x, bits, 1.5);
  EXPECT_TRUE(is_close(added, sum.to(at::kDouble) + x.to(at::kDouble) * mask));
}

TEST(RowKernels, TheOrderOfTheThreadsChangesNoBit) {
  const auto x = random_tensor({3, 4800}, 1).to(torch::kBFloat16);
  const auto targets = at::tensor({int64_t{7}, int64_t{0}, int64_t{4799}});
  const auto compute = [&](bool last_thread_first) {
    HostLauncher::last_thread_first = last_thread_first;
    const RowKernelsOnCpu on_cpu(kHostKernels);
    auto logits = x.clone();
    auto nll = at::empty({3}, at::kFloat);
    nll_rows(logits, targets, nll, /*needs_gradient=*/true);
    const auto [normalized, inverse] = rms_norm_rows(x, x[0], 1e-5);
    HostLauncher::last_thread_first = false;
    return at::cat({logits.to(at::kFloat).flatten(), nll, normalized.to(at::kFloat).flatten(),
                    inverse.flatten()});
  };
  EXPECT_TRUE(at::equal(compute(false), compute(true)));
}

// Row 0: all others are -infinity, so p is 1. Row 1: logits that exp() alone would not hold: log(3)
// - 0 and a third each. Row 2: a number that is none. Rows 3 and 4: targets that are none.
TEST(RowKernels, NllOfExtremeLogits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float nan = std::nanf("");
  auto logits = at::tensor({-kInfinity, -3.0F, -kInfinity, 5000.0F, 5000.0F, 5000.0F, 1.0F, nan,
                            0.0F, 1.0F, 2.0F, 3.0F, 1.0F, 2.0F, 3.0F})
                    .view({5, 3});
  const auto targets = at::tensor({int64_t{1}, int64_t{2}, int64_t{0}, int64_t{3}, int64_t{-100}});
  auto nll = at::empty({5}, at::kFloat);
  const RowKernelsOnCpu on_cpu(kHostKernels);
  nll_rows(logits, targets, nll, /*needs_gradient=*/true);
  EXPECT_FLOAT_EQ(nll[0].item<float>(), 0.0F);
  EXPECT_TRUE(at::equal(logits[0], at::zeros({3})));
  EXPECT_NEAR(nll[1].item<float>(), std::log(3.0F), 1e-3F);  // float32 at 5000 has steps of 5e-4
  EXPECT_TRUE(at::allclose(logits[1], at::tensor({1 / 3.0F, 1 / 3.0F, -2 / 3.0F}), 1e-3, 1e-3));
  for (int64_t row = 2; row < 5; ++row) EXPECT_TRUE(std::isnan(nll[row].item<float>())) << row;
}

TEST(RowKernels, WithoutTheGradientLogitsStayAsTheyAre) {
  const auto before = random_tensor({2, 40}, 1).to(torch::kFloat32);
  auto logits = before.clone();
  auto nll = at::empty({2}, at::kFloat);
  const RowKernelsOnCpu on_cpu(kHostKernels);
  nll_rows(logits, at::tensor({int64_t{3}, int64_t{39}}), nll, /*needs_gradient=*/false);
  EXPECT_TRUE(at::equal(logits, before));
}

TEST(RowKernels, AnAddressThatIsNotAlignedIsReadNumberByNumber) {
  const auto x = random_tensor({2 * 64 + 1}, 1).to(torch::kFloat32).narrow(0, 1, 128).view({2, 64});
  ASSERT_NE(reinterpret_cast<uintptr_t>(x.data_ptr()) % 16, 0U);
  const RowKernelsOnCpu on_cpu(kHostKernels);
  EXPECT_TRUE(is_close(swiglu_rows(x, x), reference::swiglu(x, x)));
}

TEST(RowKernels, TheCpuHasItsOwn) {
  const auto x = at::ones({2, 8});
  EXPECT_FALSE(has_row_kernels(x));
  const RowKernelsOnCpu on_cpu(kHostKernels);
  EXPECT_TRUE(has_row_kernels(x));
  EXPECT_FALSE(has_row_kernels(x.to(at::kDouble)));
}

TEST(RowKernels, AKernelThatCannotBeStartedSaysWhy) {
  RowKernels broken = kHostKernels;
  broken.swiglu = [](const SwigluRows& /*rows*/, void* /*stream*/) {
    return "no kernel image is available for execution on the device";
  };
  const RowKernelsOnCpu on_cpu(broken);
  const auto x = at::ones({2, 8});
  EXPECT_EQ(message_of<std::runtime_error>([&] { swiglu(x, x); }),
            "[kernels] a kernel could not be started on cpu: no kernel image is available for "
            "execution on the device.");
}

}  // namespace row_plugin_test
}  // namespace cpx::kernels
