// SPDX-License-Identifier: Apache-2.0
#include "cpx/tokenizer/text_ends.h"

#include <fmt/format.h>

#include "cpx/core/text.h"

namespace cpx::tokenizer {

std::string describe_ends(const Tokenizer& tokenizer, std::span<const TokenId> ids,
                          std::string_view noun) {
  const auto token = [&](bool is_there, TokenId id) {
    const bool is_special = is_there && (tokenizer.is_special(id) || id == tokenizer.bos_id() ||
                                         id == tokenizer.eos_id());
    return is_special ? fmt::format("{} ({})", quote(tokenizer.piece(id)), id)
                      : std::string("no special token");
  };
  const TokenId first = ids.empty() ? 0 : ids.front();
  const TokenId last = ids.empty() ? 0 : ids.back();
  return fmt::format("{} begin with {} and end with {}", noun, token(!ids.empty(), first),
                     token(ids.size() > 1, last));
}

}  // namespace cpx::tokenizer
