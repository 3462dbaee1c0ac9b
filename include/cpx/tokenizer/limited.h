// SPDX-License-Identifier: Apache-2.0
// Handles tokenizers with more tokens than their model has rows (a token was added without resizing
// the embedding): it is an error if a text contains such a token, and only then.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cpx/core/error.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::tokenizer {

/// Thrown for a text with a token that its model lacks. The caller who knows the place of the text
/// adds it with at_place().
class TokenBeyondModel : public DataError {
 public:
  explicit TokenBeyondModel(const std::string& fault)
      : DataError("[text] " + fault), fault_(fault) {}

  /// The message without a place.
  const std::string& fault() const { return fault_; }

 private:
  std::string fault_;
};

/// `tokenizer` for a model with `num_ids` ids; `source` names the origin of that number
/// ("config.json: vocab_size"). encode() and check_has_row() of the result throw TokenBeyondModel.
/// If all ids fit, the result is `tokenizer` itself.
std::shared_ptr<const Tokenizer> limited_to(std::shared_ptr<const Tokenizer> tokenizer,
                                            int64_t num_ids, std::string source);

/// Calls `encode` and returns its result; turns a TokenBeyondModel into a DataError with the place
/// of the text.
template <class Encode>
auto at_place(std::string_view where, const Encode& encode) {
  try {
    return encode();
  } catch (const TokenBeyondModel& error) {
    throw_<DataError>("[{}] {}", where, error.fault());
  }
}

}  // namespace cpx::tokenizer
