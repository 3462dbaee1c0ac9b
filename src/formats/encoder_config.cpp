// SPDX-License-Identifier: Apache-2.0
// Keys and defaults as transformers' BertConfig, DistilBertConfig, RobertaConfig and
// XLMRobertaConfig, versions 4 and 5.
#include "cpx/formats/encoder_config.h"

#include <algorithm>
#include <array>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "model_config_check.h"
#include "text_limit.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEncoderWhere = "encoder_config";

// Where the families differ.
struct Family {
  EncoderConfigKeys keys;
  int64_t num_default_layers = 12;
  int64_t vocab_size = 30522;
  int64_t pad_token_id = 0;
  bool has_types_and_epsilon = true;     // their keys, that is
  bool counts_from_the_padding = false;  // see EncoderConfig::first_position
};

constexpr std::array kFamilies = {
    Family{.keys = {.family = EncoderFamily::kBert, .name = "BERT", .model_type = "bert"}},
    Family{.keys = {.family = EncoderFamily::kDistilBert,
                    .name = "DistilBERT",
                    .model_type = "distilbert",
                    .hidden_size = "dim",
                    .intermediate_size = "hidden_dim",
                    .num_hidden_layers = "n_layers",
                    .num_attention_heads = "n_heads",
                    .activation = "activation"},
           .num_default_layers = 6,
           .has_types_and_epsilon = false},
    Family{.keys = {.family = EncoderFamily::kRoberta, .name = "RoBERTa", .model_type = "roberta"},
           .vocab_size = 50265,
           .pad_token_id = 1,
           .counts_from_the_padding = true},
    Family{.keys = {.family = EncoderFamily::kXlmRoberta,
                    .name = "XLM-RoBERTa",
                    .model_type = "xlm-roberta"},
           .pad_token_id = 1,
           .counts_from_the_padding = true},
};

const Family& family_of(const JsonValue& fields) {
  const auto type = fields.find_text("model_type");
  if (!type) fields.fail_missing("model_type");
  for (const Family& family : kFamilies) {
    if (family.keys.model_type == *type) return family;
  }
  fields.fail("model_type", "bert, distilbert, roberta or xlm-roberta");
}

void refuse_other_encoders(const JsonValue& fields, const EncoderConfigKeys& keys) {
  const auto expect_text = [&](const char* key, const char* computed) {
    if (fields.find_text(key).value_or(computed) != computed) fields.fail(key, computed);
  };
  expect_text(keys.activation, "gelu");
  expect_text("position_embedding_type", "absolute");
  if (fields.find_boolean("is_decoder").value_or(false)) fields.fail("is_decoder", "false");
  if (fields.find("quantization_config")) {
    fields.fail("quantization_config", "none: cpx reads unquantised encoders");
  }
}

void read_encoder_size(const JsonValue& fields, const char* key, int64_t smallest, int64_t& size) {
  size = fields.find_integer(key).value_or(size);
  if (size < smallest || size > kMaxSize) {
    fields.fail(key, fmt::format("{} to {}", smallest, kMaxSize));
  }
}

void read_encoder_sizes(const JsonValue& fields, const Family& family, EncoderConfig& config) {
  const EncoderConfigKeys& keys = family.keys;
  read_encoder_size(fields, "vocab_size", 1, config.vocab_size);
  read_encoder_size(fields, keys.hidden_size, 1, config.hidden_size);
  read_encoder_size(fields, keys.intermediate_size, 1, config.intermediate_size);
  read_encoder_size(fields, keys.num_hidden_layers, 1, config.num_hidden_layers);
  read_encoder_size(fields, keys.num_attention_heads, 1, config.num_attention_heads);
  read_encoder_size(fields, "pad_token_id", 0, config.pad_token_id);
  if (family.counts_from_the_padding) config.first_position = config.pad_token_id + 1;
  // Room for a token between the two special ones.
  read_encoder_size(fields, "max_position_embeddings", config.first_position + 3,
                    config.max_position_embeddings);
  if (config.hidden_size % config.num_attention_heads != 0) {
    fields.fail(keys.num_attention_heads,
                fmt::format("a divisor of '{}' ({})", keys.hidden_size, config.hidden_size));
  }
  if (!family.has_types_and_epsilon) return;
  read_encoder_size(fields, "type_vocab_size", 1, config.type_vocab_size);
  config.layer_norm_eps = fields.find_number("layer_norm_eps").value_or(config.layer_norm_eps);
  if (config.layer_norm_eps <= 0.0) fields.fail("layer_norm_eps", "more than 0");
}

}  // namespace

const EncoderConfigKeys& encoder_config_keys(EncoderFamily family) {
  return std::ranges::find(kFamilies, family, [](const Family& one) { return one.keys.family; })
      ->keys;
}

EncoderConfig read_encoder_config(const fs::path& folder) {
  const JsonValue fields = JsonValue::read_object(kEncoderWhere, folder / "config.json");
  const Family& family = family_of(fields);
  refuse_other_encoders(fields, family.keys);
  EncoderConfig config{.family = family.keys.family,
                       .vocab_size = family.vocab_size,
                       .num_hidden_layers = family.num_default_layers,
                       .type_vocab_size = family.has_types_and_epsilon ? 2 : 0,
                       .pad_token_id = family.pad_token_id};
  read_encoder_sizes(fields, family, config);
  config.max_tokens = read_text_limit(kEncoderWhere, folder,
                                      config.max_position_embeddings - config.first_position);
  return config;
}

int64_t read_text_limit(std::string_view where, const fs::path& folder, int64_t most) {
  const fs::path path = folder / "tokenizer_config.json";
  std::error_code error;
  if (!fs::exists(path, error)) return most;
  const JsonValue fields = JsonValue::read_object(where, path);
  if (fields.find_text("truncation_side").value_or("right") != "right") {
    fields.fail("truncation_side", "right");
  }
  // "No limit" is written as 1e30.
  const double own = fields.find_number("model_max_length").value_or(static_cast<double>(most));
  if (own < 3.0) fields.fail("model_max_length", "3 or more");
  return static_cast<int64_t>(std::min(own, static_cast<double>(most)));
}

}  // namespace cpx::formats
