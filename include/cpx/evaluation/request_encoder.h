// SPDX-License-Identifier: Apache-2.0
// From the texts of a request to the tokens that a model reads and those that are scored, as
// lm-evaluation-harness 0.4.13 does it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/evaluation/choice_document.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::evaluation {

/// Whether texts begin with BOS.
enum class BosRule {
  kAuto,  // as the tokenizer has it
  kOn,
  kOff,
};

/// The rule called `name`: auto, on or off. Throws ConfigError otherwise.
BosRule parse_bos_rule(std::string_view name);

/// How requests become tokens.
struct RequestEncoderOptions {
  BosRule bos = BosRule::kAuto;
  /// The most tokens that the model reads at once; longer requests lose their beginning.
  int64_t max_length = 2048;
  /// Rolling perplexity: the BOS that the tokenizer adds is predicted (from itself) and counted, as
  /// in the harness.
  bool scores_bos = true;
};

/// Tokens of which the last `num_scored` are scored; the model reads all but the last.
struct EncodedRequest {
  std::vector<tokenizer::TokenId> ids = {};
  int64_t num_scored = 0;
  bool is_cut = false;  // its beginning was cut off
};

/// Encodes the requests of documents.
class RequestEncoder {
 public:
  /// Throws ConfigError for BosRule::kOn without a BOS, and DataError for a tokenizer with neither
  /// BOS nor EOS.
  RequestEncoder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                 RequestEncoderOptions options);

  /// The requests of a document. Tokens are split by their number: the continuation has what the
  /// whole text has behind as many tokens as the context alone. Throws DataError, with the
  /// document's place, for a continuation without a token or longer than the model reads at once.
  std::vector<EncodedRequest> encode(const ChoiceDocument& document) const;

  /// The windows of a text of which every token is scored once. Throws DataError for one without
  /// tokens.
  std::vector<EncodedRequest> encode_rolling(const ChoiceDocument& document) const;

 private:
  using TokenId = tokenizer::TokenId;

  std::vector<TokenId> tokens(std::string_view place, const std::string& text) const;
  std::vector<TokenId> plain_tokens(std::string_view place, const std::string& text) const;
  EncodedRequest behind_nothing(std::string_view place, const std::string& continuation) const;
  void cut(const ChoiceDocument& document, size_t number, EncodedRequest& request) const;

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  RequestEncoderOptions options_;
  TokenId prefix_ = 0;       // stands for an empty context
  std::string prefix_text_;  // a text that begins with it gets no BOS
};

}  // namespace cpx::evaluation
