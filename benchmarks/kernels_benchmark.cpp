// SPDX-License-Identifier: Apache-2.0
// Each hot function at SmolLM2-135M's sizes, forward, and backward through autograd: GFLOP/s or
// GB/s beside the machine's own, measured here too (peak_product, peak_copy).
//   cpx-benchmark                             all
//   cpx-benchmark --benchmark_filter=token    those whose names match
// CPX_BENCHMARK_TOKENS sets the number of tokens (450), OMP_NUM_THREADS that of threads.
// Legend: T tokens, D model, F feed-forward, H query heads, K key heads, E head size, R rank,
// V vocabulary.
#include <benchmark/benchmark.h>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <vector>

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "cpx/kernels/attention.h"
#include "cpx/kernels/elementwise.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/kernels/quantized_product.h"
#include "cpx/kernels/row_product.h"
#include "cpx/kernels/token_nll.h"
#include "cpx/quant/gguf_blocks.h"

namespace {

using torch::Tensor;

constexpr int64_t D = 576, F = 1536, H = 9, K = 3, E = 64, R = 64, V = 49152;

int64_t num_tokens() {
  const char* value = std::getenv("CPX_BENCHMARK_TOKENS");
  return value != nullptr ? std::atoll(value) : 450;
}

Tensor normal(at::IntArrayRef shape) { return at::randn(shape, at::kFloat) * 0.05; }

// Work of one call, to which its time is compared.
struct Work {
  double flops = 0.0;
  double bytes = 0.0;
};

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

void set_rates(benchmark::State& state, const Work& work, int64_t faults_before) {
  using benchmark::Counter;
  const auto calls = static_cast<double>(state.iterations());
  if (work.flops > 0) {
    state.counters["GFLOP/s"] = Counter(1e-9 * work.flops * calls, Counter::kIsRate);
  }
  if (work.bytes > 0) state.counters["GB/s"] = Counter(1e-9 * work.bytes * calls, Counter::kIsRate);
  // New pages from the system: none, once a call of this size was made.
  state.counters["faults/call"] = static_cast<double>(page_faults() - faults_before) / calls;
}

void measure(benchmark::State& state, const std::function<void()>& call, const Work& work) {
  call();
  const int64_t faults = page_faults();
  for (auto _ : state) call();
  set_rates(state, work, faults);
}

using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

// The function alone, without autograd.
void measure_forward(benchmark::State& state, const Function& function,
                     const std::vector<Tensor>& inputs, const Work& work) {
  const torch::NoGradGuard no_grad;
  measure(
      state, [&] { function(inputs); }, work);
}

// The backward pass of a recorded call, again and again.
void measure_backward(benchmark::State& state, const Function& function, std::vector<Tensor> inputs,
                      const Work& work) {
  for (Tensor& input : inputs) input.requires_grad_(true);
  const auto outputs = function(inputs);
  std::vector<Tensor> gradients;
  for (const Tensor& output : outputs) gradients.push_back(normal(output.sizes()));
  measure(
      state, [&] { torch::autograd::grad(outputs, inputs, gradients, /*retain_graph=*/true); },
      work);
}

void register_both(const std::string& name, const Function& function,
                   const std::function<std::vector<Tensor>()>& inputs, const Work& forward,
                   const Work& backward) {
  benchmark::RegisterBenchmark(
      name.c_str(),
      [=](benchmark::State& state) { measure_forward(state, function, inputs(), forward); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark(
      (name + "_backward").c_str(),
      [=](benchmark::State& state) { measure_backward(state, function, inputs(), backward); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

// ---- The machine --------------------------------------------------------------------------------

void register_peaks() {
  benchmark::RegisterBenchmark(
      "peak_product",
      [](benchmark::State& state) {
        const auto left = normal({480, 4096}), right = normal({4096, 4096});
        auto product = at::empty({480, 4096});
        measure(state, [&] { at::mm_out(product, left, right); },
                {.flops = 2.0 * 480 * 4096 * 4096});
      })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("peak_copy",
                               [](benchmark::State& state) {
                                 const auto from = normal({num_tokens(), F});
                                 auto to = at::empty_like(from);
                                 measure(state, [&] { to.copy_(from); },
                                         {.bytes = 2.0 * 4 * static_cast<double>(from.numel())});
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

// ---- Functions ----------------------------------------------------------------------------------

void register_row_wise() {
  const int64_t T = num_tokens();
  const auto model = 4.0 * static_cast<double>(T * D), wide = 4.0 * static_cast<double>(T * F);
  const auto weight = normal({D});
  register_both(
      "rms_norm",
      [weight](const std::vector<Tensor>& x) {
        return std::vector<Tensor>{cpx::kernels::rms_norm(x[0], weight, 1e-5)};
      },
      [T] {
        return std::vector<Tensor>{normal({T, D})};
      },
      {.bytes = 2 * model}, {.bytes = 3 * model});
  const auto angle = normal({T, E / 2});
  const auto cosine = angle.cos(), sine = angle.sin();
  register_both(
      "rotate",
      [=](const std::vector<Tensor>& x) {
        return std::vector<Tensor>{cpx::kernels::rotate(x[0], cosine, sine)};
      },
      [T] {
        return std::vector<Tensor>{normal({T, H, E})};
      },
      {.bytes = 2 * model}, {.bytes = 2 * model});
  register_both(
      "swiglu",
      [](const std::vector<Tensor>& x) {
        return std::vector<Tensor>{cpx::kernels::swiglu(x[0], x[1])};
      },
      [T] {
        return std::vector<Tensor>{normal({T, F}), normal({T, F})};
      },
      {.bytes = 3 * wide}, {.bytes = 5 * wide});
}

// q, k and v with updates on q and v; inputs: x, then a and b of both.
void register_linear(double dropout) {
  using cpx::kernels::LinearWeights;
  const int64_t T = num_tokens();
  const auto q = normal({H * E, D}), k = normal({K * E, D}), v = normal({K * E, D});
  const auto function = [=](const std::vector<Tensor>& x) {
    return cpx::kernels::shared_linear(
        x[0], {{.weight = q, .a = x[1], .b = x[2], .options = {.scale = 0.25, .dropout = dropout}},
               {.weight = k},
               {.weight = v,
                .a = x[3],
                .b = x[4],
                .options = {.scale = 0.25, .dropout = dropout, .dropout_key = 1}}});
  };
  const auto inputs = [T] {
    return std::vector<Tensor>{normal({T, D}), normal({R, D}), normal({H * E, R}), normal({R, D}),
                               normal({K * E, R})};
  };
  const auto rows = static_cast<double>(T);
  const double frozen = 2.0 * rows * D * (H + 2 * K) * E;
  const double updates = 2.0 * rows * R * (2 * D + (H + K) * E);
  register_both(dropout > 0 ? "qkv_linear_dropout" : "qkv_linear", function, inputs,
                {.flops = frozen + updates}, {.flops = frozen + 2 * updates});
}

void register_token_nll() {
  const int64_t T = num_tokens();
  const auto head = normal({V, D});
  const auto targets = at::randint(0, V, {T}, at::kLong);
  const double product = 2.0 * static_cast<double>(T) * D * V;
  benchmark::RegisterBenchmark(
      "token_nll",
      [=](benchmark::State& state) {
        const torch::NoGradGuard no_grad;
        const auto hidden = normal({T, D});
        measure(state, [&] { cpx::kernels::token_nll(hidden, head, targets); }, {.flops = product});
      })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  // Its gradient is made in the forward pass: two products.
  benchmark::RegisterBenchmark(
      "token_nll_with_gradient",
      [=](benchmark::State& state) {
        const auto hidden = normal({T, D}).requires_grad_(true);
        measure(state,
                [&] {
                  torch::autograd::grad({cpx::kernels::token_nll(hidden, head, targets).sum()},
                                        {hidden});
                },
                {.flops = 2 * product});
      })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

// The head on few rows, as in decoding, beside the same by at::mm: GB/s of the weights.
void register_few_rows(int64_t rows) {
  const auto head = normal({V, D});
  const auto hidden = normal({rows, D});
  const Work work{.flops = 2.0 * static_cast<double>(rows) * D * V, .bytes = 4.0 * D * V};
  const auto add = [&](const std::string& name, const std::function<void()>& call) {
    benchmark::RegisterBenchmark((name + "_" + std::to_string(rows)).c_str(),
                                 [=](benchmark::State& state) { measure(state, call, work); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  add("row_product", [=] { cpx::kernels::row_product(hidden, head); });
  add("mm", [=] { at::mm(hidden, head.t()); });
}

// The head in blocks: GB/s of what is stored, and operations by the weights' number, beside at::mm
// in float32.
void register_quantized_rows(int64_t rows) {
  using cpx::tensor::StorageType;
  static const auto head = normal({V, D});
  const auto hidden = normal({rows, D});
  const auto add = [&](const std::string& name, const std::function<void()>& call, double bytes) {
    const Work work{.flops = 2.0 * static_cast<double>(rows) * D * V, .bytes = bytes};
    benchmark::RegisterBenchmark(("quantized_" + name + "_" + std::to_string(rows)).c_str(),
                                 [=](benchmark::State& state) { measure(state, call, work); })
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const auto type : {StorageType::kQ8_0, StorageType::kQ4_0, StorageType::kQ4_1}) {
    const auto weight = cpx::kernels::block_weight(type, cpx::quant::quantize(type, head));
    add(
        std::string(cpx::tensor::storage_layout(type).name),
        [=] { cpx::kernels::quantized_product(hidden, weight); },
        static_cast<double>(weight.bytes.nbytes()));
  }
  add(
      "mm", [=] { at::mm(hidden, head.t()); }, 4.0 * D * V);
}

// Texts of `length` tokens. FLOPs by the pairs that see each other: q k^T and weights times v
// forward; backward two and a half times that.
void register_attention(int64_t length) {
  const int64_t texts = std::max<int64_t>(1, num_tokens() / length);
  std::vector<int32_t> cu_seqlens = {0};
  for (int64_t i = 0; i < texts; ++i) {
    cu_seqlens.push_back(cu_seqlens.back() + static_cast<int32_t>(length));
  }
  const int64_t T = texts * length;
  const double pairs = 0.5 * static_cast<double>(texts * length * (length + 1));
  const double flops = 4.0 * H * E * pairs;
  register_both(
      "attention_" + std::to_string(length),
      [=](const std::vector<Tensor>& x) {
        return std::vector<Tensor>{cpx::kernels::packed_attention(
            x[0], x[1], x[2], cu_seqlens, {.scale = 1.0 / std::sqrt(static_cast<double>(E))})};
      },
      [T] {
        return std::vector<Tensor>{normal({T, H, E}), normal({T, K, E}), normal({T, K, E})};
      },
      {.flops = flops}, {.flops = 2.5 * flops});
}

}  // namespace

int main(int argc, char** argv) {
  at::manual_seed(1);
  register_peaks();
  register_row_wise();
  register_linear(0.0);
  register_linear(0.1);
  for (const int64_t rows : {1, 4, 12, 20, 40}) register_few_rows(rows);
  for (const int64_t rows : {1, 20, 256}) register_quantized_rows(rows);
  register_token_nll();
  for (const int64_t length : {15, 22, 64, 128, 256, 1024}) register_attention(length);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
