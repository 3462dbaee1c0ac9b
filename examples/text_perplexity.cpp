// SPDX-License-Identifier: Apache-2.0
// The perplexity of a text under a model, with cpx as a library:
//   text_perplexity MODEL TEXT
// MODEL is a Hugging Face folder or a .gguf.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <torch/types.h>

#include "cpx/models/load.h"

namespace {

// exp of the mean negative log-likelihood of a text's tokens; the first token has no prediction.
double text_perplexity(const std::string& model_path, const std::string& text) {
  const at::NoGradGuard no_grad;
  const auto tokenizer = cpx::models::read_tokenizer(model_path);
  const auto model = cpx::models::load_model(model_path, torch::kFloat32, torch::kCPU);

  const std::vector<int32_t> encoded = tokenizer->encode(text).ids;
  if (encoded.size() < 2) throw std::runtime_error("the text has no token to predict");
  const auto num_tokens = static_cast<int32_t>(encoded.size());
  const torch::Tensor ids = torch::tensor(encoded, torch::kInt64);  // [T]

  const cpx::nn::PackedTokens packed{.ids = ids, .cu_seqlens = {0, num_tokens}};
  const torch::Tensor hidden = model->hidden_states(packed, {});  // [T, D]
  const torch::Tensor nll = model->token_nll(hidden.narrow(0, 0, num_tokens - 1),
                                             ids.narrow(0, 1, num_tokens - 1), {});  // [T - 1]
  return std::exp(nll.to(torch::kFloat64).mean().item<double>());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: text_perplexity MODEL TEXT\n");
    return 2;
  }
  try {
    std::printf("perplexity %.4f\n", text_perplexity(argv[1], argv[2]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "text_perplexity: %s\n", error.what());
    return 1;
  }
}
