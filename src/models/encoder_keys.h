// SPDX-License-Identifier: Apache-2.0
// The weights of Encoder by its keys: their names in the files of each family, and the config
// entries that their shapes follow from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/formats/encoder_config.h"

namespace cpx::models {

/// What a family's files call the parts of Encoder.
struct EncoderKeys {
  formats::EncoderFamily family;
  /// In front of the body's names; files of a body without a head have none.
  std::string_view body;
  std::string_view head_dense;
  std::string_view head_output;
  bool has_own_blocks;  // other names within a block than BERT
};

/// The keys of a family.
const EncoderKeys& encoder_keys(formats::EncoderFamily family);

/// The name in a file of the weight `key`. `body` is EncoderKeys::body, or empty.
/// "encoder.layer.3.attention.self.query.weight" is
/// "distilbert.transformer.layer.3.attention.q_lin.weight".
std::string encoder_name_of(const EncoderKeys& keys, std::string_view body, std::string_view key);

/// The config entries that each dimension of the weight `key` follows from, with their values, for
/// messages: "intermediate_size 48".
std::vector<std::string> encoder_dimension_sources(std::string_view key,
                                                   const formats::EncoderConfig& config,
                                                   int64_t num_labels);

}  // namespace cpx::models
