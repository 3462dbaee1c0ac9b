// SPDX-License-Identifier: Apache-2.0
#include "cpx/generation/text_stream.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace cpx::generation {

namespace {

// Tokens of the prompt that are decoded with the new ones, so that the new ones do not begin a
// text.
constexpr size_t kContext = 4;
// U+FFFD, which decode() puts where bytes are not a character, or not yet one.
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the longest end of `text` that is a beginning of `stop`.
size_t overlap_with(std::string_view text, std::string_view stop) {
  for (size_t size = std::min(text.size(), stop.size() - 1); size > 0; --size) {
    if (text.ends_with(stop.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(const tokenizer::Tokenizer& tokenizer, std::span<const int64_t> prompt,
                       std::vector<std::string> stop_strings)
    : tokenizer_(tokenizer), stop_strings_(std::move(stop_strings)) {
  std::erase_if(stop_strings_, [](const std::string& stop) { return stop.empty(); });
  for (const int64_t id : prompt.last(std::min(prompt.size(), kContext))) {
    ids_.push_back(static_cast<tokenizer::TokenId>(id));
  }
  skipped_ = tokenizer_.decode(ids_, /*skip_special_tokens=*/true).size();
}

std::string TextStream::text_until(size_t end) {
  if (end <= num_returned_) return {};
  std::string piece = text_.substr(num_returned_, end - num_returned_);
  num_returned_ = end;
  return piece;
}

std::string TextStream::add(int64_t id) {
  if (is_stopped_) return {};
  ids_.push_back(static_cast<tokenizer::TokenId>(id));
  const std::string decoded = tokenizer_.decode(ids_, /*skip_special_tokens=*/true);
  text_ = decoded.substr(std::min(skipped_, decoded.size()));
  size_t stop_at = std::string::npos;
  for (const std::string& stop : stop_strings_) stop_at = std::min(stop_at, text_.find(stop));
  if (stop_at != std::string::npos) {
    is_stopped_ = true;
    text_.resize(stop_at);
    return text_until(stop_at);
  }
  size_t end = text_.size();
  while (std::string_view(text_).substr(0, end).ends_with(kReplacement)) end -= kReplacement.size();
  size_t uncertain = 0;
  for (const std::string& stop : stop_strings_) {
    uncertain = std::max(uncertain, overlap_with(std::string_view(text_).substr(0, end), stop));
  }
  return text_until(end - uncertain);
}

std::string TextStream::finish() { return text_until(text_.size()); }

}  // namespace cpx::generation
