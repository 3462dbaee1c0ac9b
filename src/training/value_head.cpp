// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/value_head.h"

#include <cmath>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/random.h"
#include "cpx/formats/safetensors.h"
#include "cpx/kernels/lora_linear.h"
#include "cpx/tensor/device.h"

namespace cpx::training {

namespace {

constexpr const char* kHeadFile = "value_head.safetensors";
constexpr const char* kWeight = "v_head.summary.weight";
constexpr const char* kBias = "v_head.summary.bias";

// Streams of the head's random numbers.
constexpr uint64_t kInitStream = 1;
constexpr uint64_t kHeadDropoutStream = 0x76616c7565;

using Init = ValueHeadOptions::Init;

// `count` numbers of the initial weight, or of the bias.
torch::Tensor initial(int64_t count, const ValueHeadOptions& options, double bound,
                      CounterRng& rng) {
  auto values = at::empty({count}, at::kFloat);
  float* const data = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < count; ++i) {
    const double value = options.init == Init::kNormal ? options.init_std * rng.normal()
                                                       : bound * (2.0 * rng.uniform() - 1.0);
    data[i] = static_cast<float>(value);
  }
  return values;
}

torch::Tensor stored(const formats::SafetensorsFile& file, const std::string& name,
                     const torch::Tensor& expected) {
  if (!file.contains(name)) {
    throw_<DataError>("[value head] {}: '{}' is missing. It is no value head.",
                      file.path().string(), name);
  }
  if (at::IntArrayRef(file.shape(name)) != expected.sizes()) {
    throw_<DataError>("[value head] {}: '{}' is {}, expected {} (from the model's hidden size).",
                      file.path().string(), name, tensor::shape_text(file.shape(name)),
                      tensor::shape_text(expected.sizes()));
  }
  return file.tensor(name);
}

}  // namespace

ValueHead::ValueHead(int64_t hidden_size, const torch::Device& device,
                     const ValueHeadOptions& options)
    : options_(options) {
  CounterRng rng(options.seed, {kInitStream});
  const double bound = 1.0 / std::sqrt(static_cast<double>(hidden_size));
  weight_ = initial(hidden_size, options, bound, rng).unsqueeze(0).to(device);
  bias_ = options.init == Init::kNormal ? at::zeros({1}, at::kFloat).to(device)
                                        : initial(1, options, bound, rng).to(device);
  weight_.set_requires_grad(true);
  bias_.set_requires_grad(true);
}

torch::Tensor ValueHead::forward(const torch::Tensor& hidden,
                                 const nn::ForwardOptions& options) const {
  const double dropout = options.is_training ? options_.dropout : 0.0;
  const auto dropped = kernels::counter_dropout(
      hidden.to(at::kFloat), dropout, mix_seed(options.dropout_key, {kHeadDropoutStream}));
  return at::addmv(bias_, dropped, weight_.squeeze(0));
}

std::vector<nn::NamedParameter> ValueHead::parameters() const {
  return {{kWeight, weight_}, {kBias, bias_}};
}

void ValueHead::write(const std::filesystem::path& folder) const {
  const std::vector<formats::NamedTensor> tensors = {{kWeight, weight_.detach()},
                                                     {kBias, bias_.detach()}};
  formats::write_safetensors(folder / kHeadFile, tensors);
}

void ValueHead::read(const std::filesystem::path& folder) {
  const auto file = formats::SafetensorsFile::open(folder / kHeadFile);
  const auto weight = stored(*file, kWeight, weight_);
  const auto bias = stored(*file, kBias, bias_);
  const torch::NoGradGuard no_grad;
  weight_.copy_(weight);
  bias_.copy_(bias);
}

}  // namespace cpx::training
