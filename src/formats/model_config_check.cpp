// SPDX-License-Identifier: Apache-2.0
#include "model_config_check.h"

#include <cmath>

#include "cpx/core/error.h"

namespace cpx::formats {

namespace {

// Far above any model.
constexpr int64_t kMaxLayers = int64_t{1} << 14;
constexpr int64_t kMaxPositions = (int64_t{1} << 31) - 1;

class Checker {
 public:
  explicit Checker(const std::string& place) : place_(place) {}

  void range(std::string_view key, int64_t value, int64_t smallest, int64_t largest) const {
    if (value < smallest || value > largest) {
      throw_<DataError>("{}: '{}' is {}, expected {} to {}.", place_, key, value, smallest,
                        largest);
    }
  }

  void positive(std::string_view key, double value) const {
    if (!(value > 0.0) || !std::isfinite(value)) {
      throw_<DataError>("{}: '{}' is {}, expected more than 0.", place_, key, value);
    }
  }

  void token(std::string_view key, const std::optional<int64_t>& id, int64_t vocab_size) const {
    if (id) range(key, *id, 0, vocab_size - 1);
  }

 private:
  const std::string& place_;
};

void check_heads(const std::string& place, const ModelConfig& config, const ModelConfigKeys& keys) {
  const Checker check(place);
  check.range(keys.num_attention_heads, config.num_attention_heads, 1, kMaxSize);
  check.range(keys.num_key_value_heads, config.num_key_value_heads, 1, config.num_attention_heads);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    throw_<DataError>("{}: '{}' is {}, expected a divisor of '{}' ({}).", place,
                      keys.num_key_value_heads, config.num_key_value_heads,
                      keys.num_attention_heads, config.num_attention_heads);
  }
  if (config.head_dim == 0) {
    throw_<DataError>("{}: '{}' is {}, expected a multiple of '{}' ({}), or '{}' to be given.",
                      place, keys.hidden_size, config.hidden_size, keys.num_attention_heads,
                      config.num_attention_heads, keys.head_dim);
  }
  check.range(keys.head_dim, config.head_dim, 2, kMaxSize / config.num_attention_heads);
  if (config.head_dim % 2 != 0) {
    throw_<DataError>("{}: '{}' is {}, expected an even number (rotary positions turn pairs).",
                      place, keys.head_dim, config.head_dim);
  }
}

}  // namespace

void check_model_config(const std::string& place, const ModelConfig& config,
                        const ModelConfigKeys& keys) {
  const Checker check(place);
  check.range(keys.vocab_size, config.vocab_size, 1, kMaxSize);
  check.range(keys.hidden_size, config.hidden_size, 1, kMaxSize);
  check.range(keys.intermediate_size, config.intermediate_size, 1, kMaxSize);
  check.range(keys.num_hidden_layers, config.num_hidden_layers, 1, kMaxLayers);
  check_heads(place, config, keys);
  check.range(keys.max_position_embeddings, config.max_position_embeddings, 1, kMaxPositions);
  check.range(keys.sliding_window, config.sliding_window, 0, kMaxPositions);
  check.positive(keys.rms_norm_eps, config.rms_norm_eps);
  check.positive(keys.rope_theta, config.rope.theta);
  check.positive(keys.rope_factor, config.rope.factor);
  check.token(keys.bos_token_id, config.bos_token_id, config.vocab_size);
  check.token(keys.eos_token_id, config.eos_token_id, config.vocab_size);
}

int64_t default_head_dim(int64_t hidden_size, int64_t num_heads) {
  return num_heads > 0 && hidden_size % num_heads == 0 ? hidden_size / num_heads : 0;
}

}  // namespace cpx::formats
