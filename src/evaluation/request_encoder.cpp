// SPDX-License-Identifier: Apache-2.0
// Source: lm_eval/api/model.py (TemplateLM), lm_eval/models/huggingface.py and lm_eval/utils.py
// (get_rolling_token_windows) of EleutherAI/lm-evaluation-harness 0.4.13.
#include "cpx/evaluation/request_encoder.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "cpx/core/text.h"
#include "cpx/tokenizer/limited.h"
#include "cpx/tokenizer/python_strings.h"

namespace cpx::evaluation {

namespace {

using tokenizer::TokenId;

// A context and a continuation whose border lies in front of the white space between them.
struct SplitText {
  std::string context;
  std::string whole;
};

SplitText split_text(const ChoiceDocument& document, const ChoiceRequest& request) {
  std::string context = document.preamble + request.context;
  std::string whole = context + request.continuation;
  context.resize(tokenizer::python_rstrip(context).size());
  return {.context = std::move(context), .whole = std::move(whole)};
}

[[noreturn]] void fail_at(const std::string& place, const std::string& message) {
  throw DataError(at_place(place, message));
}

// "[a.jsonl: document 3]" without its brackets.
std::string_view bare(std::string_view place) {
  const bool has_brackets = place.size() > 2 && place.front() == '[' && place.back() == ']';
  return has_brackets ? place.substr(1, place.size() - 2) : place;
}

}  // namespace

BosRule parse_bos_rule(std::string_view name) {
  if (name == "auto") return BosRule::kAuto;
  if (name == "on") return BosRule::kOn;
  if (name == "off") return BosRule::kOff;
  throw_<ConfigError>("[command line] --bos: got {}, expected auto, on or off.", quote(name));
}

RequestEncoder::RequestEncoder(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                               RequestEncoderOptions options)
    : tokenizer_(std::move(tokenizer)), options_(options) {
  CPX_CHECK(options_.max_length >= 1, "[request_encoder] max_length: got {}, expected 1 or more.",
            options_.max_length);
  const auto bos = tokenizer_->bos_id();
  if (options_.bos == BosRule::kOn && !bos) {
    throw_<ConfigError>(
        "[command line] --bos: got {} for a tokenizer without BOS, expected auto or off.",
        quote("on"));
  }
  const auto prefix = bos ? bos : tokenizer_->eos_id();
  if (!prefix) {
    throw_<DataError>(
        "[request_encoder] tokenizer: got {} tokens without BOS and EOS, expected one of them to "
        "stand in front of texts without a context.",
        tokenizer_->vocabulary_size());
  }
  prefix_ = *prefix;
  prefix_text_ = tokenizer_->piece(prefix_);
}

std::vector<TokenId> RequestEncoder::plain_tokens(std::string_view place,
                                                  const std::string& text) const {
  return tokenizer::at_place(
      bare(place), [&] { return tokenizer_->encode(text, /*add_special_tokens=*/false).ids; });
}

std::vector<TokenId> RequestEncoder::tokens(std::string_view place, const std::string& text) const {
  const bool has_prefix = text.starts_with(prefix_text_);
  if (options_.bos == BosRule::kOff || has_prefix) return plain_tokens(place, text);
  auto ids = tokenizer::at_place(bare(place), [&] { return tokenizer_->encode(text).ids; });
  const bool lacks_bos = options_.bos == BosRule::kOn && (ids.empty() || ids.front() != prefix_);
  if (lacks_bos) ids.insert(ids.begin(), prefix_);
  return ids;
}

EncodedRequest RequestEncoder::behind_nothing(std::string_view place,
                                              const std::string& continuation) const {
  EncodedRequest request{.ids = plain_tokens(place, continuation)};
  if (request.ids.empty() || request.ids.front() != prefix_) {
    request.ids.insert(request.ids.begin(), prefix_);
  }
  request.num_scored = std::ssize(request.ids) - 1;
  return request;
}

std::vector<EncodedRequest> RequestEncoder::encode(const ChoiceDocument& document) const {
  std::vector<EncodedRequest> encoded;
  std::string last_context;
  int64_t num_context = 0;
  for (size_t i = 0; i < document.requests.size(); ++i) {
    const auto [context, whole] = split_text(document, document.requests[i]);
    const bool is_empty = document.preamble.empty() && document.requests[i].context.empty();
    if (is_empty) {
      encoded.push_back(behind_nothing(document.place, whole));
    } else {
      if (encoded.empty() || context != last_context) {
        num_context = std::ssize(tokens(document.place, context));
        last_context = context;
      }
      encoded.push_back({.ids = tokens(document.place, whole)});
      encoded.back().num_scored = std::ssize(encoded.back().ids) - num_context;
      if (num_context == 0) {
        fail_at(document.place, "the context has no token, expected at least 1.");
      }
    }
    cut(document, i, encoded.back());
  }
  return encoded;
}

void RequestEncoder::cut(const ChoiceDocument& document, size_t number,
                         EncodedRequest& request) const {
  if (request.num_scored < 1) {
    fail_at(document.place,
            fmt::format("choice {} of {} has no token of its own behind the context, expected at "
                        "least 1.",
                        number + 1, document.requests.size()));
  }
  if (request.num_scored > options_.max_length) {
    fail_at(
        document.place,
        fmt::format("choice {} of {} has {} tokens, expected at most {}: the model reads no "
                    "more at once. --max-length sets another length.",
                    number + 1, document.requests.size(), request.num_scored, options_.max_length));
  }
  const int64_t excess = std::ssize(request.ids) - (options_.max_length + 1);
  if (excess <= 0) return;
  request.ids.erase(request.ids.begin(), request.ids.begin() + excess);
  request.is_cut = true;
}

std::vector<EncodedRequest> RequestEncoder::encode_rolling(const ChoiceDocument& document) const {
  std::vector<TokenId> ids = tokens(document.place, document.requests[0].continuation);
  const bool begins_with_prefix = !ids.empty() && ids.front() == prefix_;
  if (!options_.scores_bos && begins_with_prefix) ids.erase(ids.begin());
  if (ids.empty()) fail_at(document.place, "the text has no token, expected at least 1.");
  ids.insert(ids.begin(), prefix_);  // what the first token is predicted from
  std::vector<EncodedRequest> windows;
  // A window ends in front of token `end`; `done` tokens are scored, the one in front aside.
  int64_t done = 0;
  while (done + 1 < std::ssize(ids)) {
    const int64_t count = std::min(options_.max_length, std::ssize(ids) - 1 - done);
    const int64_t end = 1 + done + count;
    const int64_t begin = std::max<int64_t>(0, end - options_.max_length - 1);
    windows.push_back({.ids = {ids.begin() + begin, ids.begin() + end}, .num_scored = count});
    done += count;
  }
  return windows;
}

}  // namespace cpx::evaluation
