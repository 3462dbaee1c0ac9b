// SPDX-License-Identifier: Apache-2.0
#include "cpx/tokenizer/limited.h"

#include <utility>

#include "cpx/core/text.h"

namespace cpx::tokenizer {
namespace {

class LimitedTokenizer final : public Tokenizer {
 public:
  LimitedTokenizer(std::shared_ptr<const Tokenizer> inner, int64_t num_ids, std::string source)
      : inner_(std::move(inner)), num_ids_(num_ids), source_(std::move(source)) {}

  Encoding encode(std::string_view text, bool add_special_tokens) const override {
    Encoding encoding = inner_->encode(text, add_special_tokens);
    for (const TokenId id : encoding.ids) check_has_row(id);
    return encoding;
  }

  void check_has_row(TokenId id) const override {
    if (id < num_ids_) return;
    throw TokenBeyondModel(
        fmt::format("the text has the token {} with id {}, expected ids below {} ({}): the model "
                    "has no row for it.",
                    quote(piece(id)), id, num_ids_, source_));
  }

  bool exceeds_model() const override { return true; }

  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override {
    return inner_->decode(ids, skip_special_tokens);
  }
  int64_t vocabulary_size() const override { return inner_->vocabulary_size(); }
  std::string piece(TokenId id) const override { return inner_->piece(id); }
  std::optional<TokenId> find(std::string_view piece) const override { return inner_->find(piece); }
  bool is_special(TokenId id) const override { return inner_->is_special(id); }
  std::optional<TokenId> bos_id() const override { return inner_->bos_id(); }
  std::optional<TokenId> eos_id() const override { return inner_->eos_id(); }
  const std::string& chat_template() const override { return inner_->chat_template(); }

 private:
  std::shared_ptr<const Tokenizer> inner_;
  int64_t num_ids_;
  std::string source_;
};

}  // namespace

std::shared_ptr<const Tokenizer> limited_to(std::shared_ptr<const Tokenizer> tokenizer,
                                            int64_t num_ids, std::string source) {
  // BOS and EOS may come from config.json, above the tokenizer's own tokens.
  const auto fits = [num_ids](std::optional<TokenId> id) { return !id || *id < num_ids; };
  const bool has_all = tokenizer->vocabulary_size() <= num_ids;
  if (has_all && fits(tokenizer->bos_id()) && fits(tokenizer->eos_id())) return tokenizer;
  return std::make_shared<const LimitedTokenizer>(std::move(tokenizer), num_ids, std::move(source));
}

}  // namespace cpx::tokenizer
