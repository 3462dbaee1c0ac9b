// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/adamw.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "cpx/core/error.h"
#include "cpx/tensor/device.h"
#include "cpx/tensor/lanes.h"

namespace cpx::training {

namespace {

constexpr std::string_view kStep = "step";
constexpr const char* kCodes = ".codes";
constexpr const char* kAbsmax = ".absmax";
constexpr const char* kAverage = ".exp_avg";
constexpr const char* kSquareAverage = ".exp_avg_sq";

bool is_lora_b(const std::string& name) { return name.ends_with(".lora_B.weight"); }

torch::Tensor gradient_or_zeros(const torch::Tensor& parameter) {
  return parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
}

// The tensor `name` of the file, which must have the shape of `expected`.
torch::Tensor state_tensor(const formats::SafetensorsFile& file, const std::string& name,
                           const torch::Tensor& expected) {
  if (!file.contains(name)) {
    throw_<DataError>("[optimizer state] {}: '{}' is missing. It belongs to another adapter.",
                      file.path().string(), name);
  }
  if (at::IntArrayRef(file.shape(name)) != expected.sizes()) {
    throw_<DataError>("[optimizer state] {}: '{}' is {}, expected {} (from the adapter).",
                      file.path().string(), name, tensor::shape_text(file.shape(name)),
                      tensor::shape_text(expected.sizes()));
  }
  return file.tensor(name);
}

// What a step does to a tensor in 8 bits, in float32 as bitsandbytes has it.
struct StepFactors {
  StepFactors(const AdamWOptions& options, double learning_rate, int64_t num_updates)
      : beta1(static_cast<float>(options.beta1)),
        beta2(static_cast<float>(options.beta2)),
        decay(1.0F - static_cast<float>(learning_rate) * static_cast<float>(options.weight_decay)) {
    const auto count = static_cast<double>(num_updates);
    const double correction1 = 1.0 - std::pow(double{beta1}, count);
    const double correction2 = std::sqrt(1.0 - std::pow(double{beta2}, count));
    rate = static_cast<float>(-learning_rate * correction2 / correction1);
    epsilon = static_cast<float>(correction2 * options.epsilon);
  }

  float beta1;
  float beta2;
  float decay;
  float rate = 0.0F;     // with both bias corrections, negative
  float epsilon = 0.0F;  // beside the root that is not corrected
};

void store(const torch::Tensor& values, const CodeMap& map, BlockwiseTensor& stored) {
  const BlockwiseTensor quantized = quantize_blockwise(values, map);
  stored.codes.copy_(quantized.codes);
  stored.absmax.copy_(quantized.absmax);
}

}  // namespace

int64_t adamw_state_bytes(int64_t num_values, bool has_8bit_state) {
  constexpr auto kFloatBytes = static_cast<int64_t>(sizeof(float));
  if (!has_8bit_state || num_values < kMin8BitValues) return 2 * num_values * kFloatBytes;
  const int64_t num_blocks = (num_values + kStateBlock - 1) / kStateBlock;
  return 2 * (num_values + num_blocks * kFloatBytes);
}

AdamW::AdamW(std::vector<nn::NamedParameter> parameters, const AdamWOptions& options)
    : options_(options), parameters_(std::move(parameters)), groups_(2) {
  groups_[1].ratio = options.lora_plus_ratio;
  if (options.has_8bit_state && !parameters_.empty()) {
    signed_map_ = signed_code_map(parameters_.front().value.device());
    unsigned_map_ = unsigned_code_map(parameters_.front().value.device());
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    averages_.push_back(zeros_of(parameters_[i].value));
    groups_[is_lora_b(parameters_[i].name) ? 1 : 0].members.push_back(i);
  }
}

AdamW::Averages AdamW::zeros_of(const torch::Tensor& value) const {
  const auto zeros = at::zeros_like(value).detach();
  if (options_.has_8bit_state && value.numel() >= kMin8BitValues) {
    return {.average_8bit = quantize_blockwise(zeros, signed_map_),
            .square_average_8bit = quantize_blockwise(zeros, unsigned_map_)};
  }
  return {.average = zeros, .square_average = zeros.clone()};
}

void AdamW::zero_grad() {
  for (nn::NamedParameter& parameter : parameters_) parameter.value.mutable_grad().reset();
}

void AdamW::step(double learning_rate) {
  RECORD_USER_SCOPE("cpx::adamw");
  const torch::NoGradGuard no_grad;
  ++num_updates_;
  std::vector<std::pair<size_t, double>> in_8_bits;  // parameters with their learning rates
  for (const Group& group : groups_) {
    std::vector<size_t> fused;
    for (const size_t i : group.members) {
      if (averages_[i].is_8bit()) {
        in_8_bits.emplace_back(i, learning_rate * group.ratio);
      } else {
        fused.push_back(i);
      }
    }
    if (!fused.empty()) step_fused(fused, learning_rate * group.ratio);
  }
  const auto step_one = [&](int64_t i) {
    const auto& [parameter, rate] = in_8_bits[static_cast<size_t>(i)];
    step_8bit(parameter, rate);
  };
  const int64_t count = std::ssize(in_8_bits);
  if (count > 0 && parameters_.front().value.is_cpu()) {
    // A lane takes whole tensors: its operators do not wait for other threads.
    tensor::run_in_lanes(count, step_one);
  } else {
    for (int64_t i = 0; i < count; ++i) step_one(i);
  }
}

void AdamW::step_fused(const std::vector<size_t>& members, double learning_rate) {
  std::vector<torch::Tensor> values, gradients, averages, square_averages;
  for (const size_t i : members) {
    values.push_back(parameters_[i].value);
    gradients.push_back(gradient_or_zeros(parameters_[i].value));
    averages.push_back(averages_[i].average);
    square_averages.push_back(averages_[i].square_average);
  }
  const auto count = at::full({}, static_cast<double>(num_updates_),
                              at::device(values.front().device()).dtype(at::kFloat));
  const std::vector<torch::Tensor> counts(values.size(), count);
  at::_fused_adamw_(values, gradients, averages, square_averages, /*max_exp_avg_sqs=*/{}, counts,
                    learning_rate, options_.beta1, options_.beta2, options_.weight_decay,
                    options_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
}

// Each product and sum is rounded by itself (no alpha, no addcmul): those of some CPUs would round
// once, and codes are to be the same everywhere.
void AdamW::step_8bit(size_t parameter, double learning_rate) {
  const StepFactors factors(options_, learning_rate, num_updates_);
  torch::Tensor value = parameters_[parameter].value;
  const auto gradient = gradient_or_zeros(value);
  Averages& stored = averages_[parameter];
  auto average = dequantize_blockwise(stored.average_8bit, signed_map_);
  auto square_average = dequantize_blockwise(stored.square_average_8bit, unsigned_map_);
  average.mul_(factors.beta1).add_(gradient * (1.0F - factors.beta1));
  square_average.mul_(factors.beta2).add_((gradient * (1.0F - factors.beta2)).mul_(gradient));
  value.add_((average / square_average.sqrt().add_(factors.epsilon)).mul_(factors.rate));
  if (options_.weight_decay > 0.0) value.mul_(factors.decay);
  store(average, signed_map_, stored.average_8bit);
  store(square_average, unsigned_map_, stored.square_average_8bit);
}

std::vector<formats::NamedTensor> AdamW::state_of(size_t parameter) const {
  const std::string average = parameters_[parameter].name + kAverage;
  const std::string square_average = parameters_[parameter].name + kSquareAverage;
  const Averages& own = averages_[parameter];
  if (!own.is_8bit()) return {{average, own.average}, {square_average, own.square_average}};
  return {{average + kCodes, own.average_8bit.codes},
          {average + kAbsmax, own.average_8bit.absmax},
          {square_average + kCodes, own.square_average_8bit.codes},
          {square_average + kAbsmax, own.square_average_8bit.absmax}};
}

std::vector<formats::NamedTensor> AdamW::state() const {
  std::vector<formats::NamedTensor> state;
  state.push_back({std::string(kStep), at::full({1}, num_updates_, at::kLong)});
  for (size_t i = 0; i < parameters_.size(); ++i) {
    for (formats::NamedTensor& tensor : state_of(i)) state.push_back(std::move(tensor));
  }
  return state;
}

// Throws DataError where the file has the averages of the other kind.
void AdamW::check_bits(const formats::SafetensorsFile& file) const {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const bool is_8bit = averages_[i].is_8bit();
    const std::string other = parameters_[i].name + kAverage + (is_8bit ? "" : kCodes);
    if (!file.contains(other)) continue;
    throw_<DataError>(
        "[optimizer state] {}: '{}' is of an average in {} bits, expected {} (optimizer.name {}). "
        "Go on with the optimizer of the saved run.",
        file.path().string(), other, is_8bit ? 32 : 8, is_8bit ? 8 : 32,
        is_8bit ? "adamw_8bit" : "adamw");
  }
}

void AdamW::load_state(const formats::SafetensorsFile& file) {
  check_bits(file);
  const std::vector<formats::NamedTensor> own = state();
  std::set<std::string> expected;
  for (const formats::NamedTensor& tensor : own) expected.insert(tensor.name);
  for (const std::string& name : file.names()) {
    if (!expected.contains(name)) {
      throw_<DataError>("[optimizer state] {}: '{}' belongs to no tensor of the adapter.",
                        file.path().string(), name);
    }
  }
  std::vector<torch::Tensor> stored;
  for (const formats::NamedTensor& tensor : own) {
    stored.push_back(state_tensor(file, tensor.name, tensor.value));
  }
  num_updates_ = stored.front().item().toLong();
  for (size_t i = 1; i < own.size(); ++i) torch::Tensor(own[i].value).copy_(stored[i]);
}

double clip_grad_norm(std::span<const nn::NamedParameter> parameters, double max_norm) {
  RECORD_USER_SCOPE("cpx::clip_grad_norm");
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> gradients;
  for (const nn::NamedParameter& parameter : parameters) {
    if (parameter.value.grad().defined()) gradients.push_back(parameter.value.grad());
  }
  if (gradients.empty()) return 0.0;
  const auto norms = at::_foreach_norm(gradients, 2);
  const double norm = at::linalg_vector_norm(at::stack(norms), 2).item().toDouble();
  const double factor = max_norm / (norm + 1e-6);
  if (max_norm > 0.0 && std::isfinite(norm) && factor < 1.0) at::_foreach_mul_(gradients, factor);
  return norm;
}

}  // namespace cpx::training
