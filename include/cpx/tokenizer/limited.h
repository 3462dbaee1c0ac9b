// SPDX-License-Identifier: Apache-2.0
// Tokenizers that know more tokens than their model has rows for (a token that was added without
// resizing the embedding): an error where a text has such a token, and nowhere else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cpx/core/error.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

/// A text has a token that its model lacks. Who knows the text's place adds it: see at_place().
class TokenBeyondModel : public DataError {
 public:
  explicit TokenBeyondModel(const std::string& fault)
      : DataError("[text] " + fault), fault_(fault) {}

  /// The message without a place.
  const std::string& fault() const { return fault_; }

 private:
  std::string fault_;
};

/// `tokenizer` for a model of `num_ids` ids; `source` says where that number stands ("config.json:
/// vocab_size"). encode() and check_has_row() of the result throw TokenBeyondModel. Where all ids
/// fit, it is `tokenizer` itself.
std::shared_ptr<const Tokenizer> limited_to(std::shared_ptr<const Tokenizer> tokenizer,
                                            int64_t num_ids, std::string source);

/// What `encode` returns; a TokenBeyondModel that it throws becomes a DataError with the text's
/// place.
template <class Encode>
auto at_place(std::string_view where, const Encode& encode) {
  try {
    return encode();
  } catch (const TokenBeyondModel& error) {
    throw_<DataError>("[{}] {}", where, error.fault());
  }
}

}  // namespace cpx::tokenizer
