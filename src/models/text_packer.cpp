// SPDX-License-Identifier: Apache-2.0
#include "text_packer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/tokenizer/limited.h"

namespace cpx::models {

namespace {

using TokenIds = std::vector<tokenizer::TokenId>;

// Indices of `texts`, the longest first. Texts of similar length are computed together, which suits
// attention, and the first pass takes the most memory.
std::vector<size_t> longest_first(const std::vector<TokenIds>& texts) {
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](size_t i) { return texts[i].size(); });
  return order;
}

nn::PackedTokens pack(const std::vector<TokenIds>& texts, std::span<const size_t> chosen,
                      const torch::Device& device) {
  std::vector<int64_t> ids;
  nn::PackedTokens packed{.ids = {}, .cu_seqlens = {0}};
  for (const size_t i : chosen) {
    ids.insert(ids.end(), texts[i].begin(), texts[i].end());
    packed.cu_seqlens.push_back(static_cast<int32_t>(ids.size()));
  }
  packed.ids = at::tensor(ids, at::kLong).to(device);
  return packed;
}

// How many special tokens stand behind a text.
size_t num_tokens_after(const tokenizer::Tokenizer& tokenizer) {
  const TokenIds plain = tokenizer.encode("a", /*add_special_tokens=*/false).ids;
  const TokenIds all = tokenizer.encode("a", /*add_special_tokens=*/true).ids;
  const auto found = std::ranges::search(all, plain);
  return static_cast<size_t>(all.end() - found.end());
}

}  // namespace

TextPacker::TextPacker(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                       TextPackerOptions options)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      num_after_(num_tokens_after(*tokenizer_)) {
  CPX_CHECK(options_.batch_tokens > 0, "[text_packer] got {} tokens a batch, expected at least 1.",
            options_.batch_tokens);
}

TokenIds TextPacker::encode(const std::string& text) const {
  TokenIds ids = tokenizer_->encode(text).ids;
  const auto most = static_cast<size_t>(options_.max_tokens);
  if (ids.size() > most) {
    const size_t num_kept = most - std::min(most, num_after_);
    std::copy(ids.end() - static_cast<ptrdiff_t>(most - num_kept), ids.end(),
              ids.begin() + static_cast<ptrdiff_t>(num_kept));
    ids.resize(most);
  }
  return ids;
}

torch::Tensor TextPacker::rows(
    std::span<const std::string> texts, int64_t row_size,
    const std::function<torch::Tensor(const nn::PackedTokens&)>& compute) const {
  std::vector<TokenIds> encoded;
  for (const std::string& text : texts) {
    const std::string where = fmt::format("text {} of a batch", encoded.size() + 1);
    encoded.push_back(tokenizer::at_place(where, [&] { return encode(text); }));
    if (encoded.back().empty()) {
      throw_<DataError>("[{}] got {} without a token, expected one or more.", where, quote(text));
    }
  }
  const std::vector<size_t> order = longest_first(encoded);
  auto result = at::empty({std::ssize(texts), row_size}, at::kFloat);
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    int64_t num_tokens = 0;
    while (end < order.size() && (end == begin || num_tokens + std::ssize(encoded[order[end]]) <=
                                                      options_.batch_tokens)) {
      num_tokens += std::ssize(encoded[order[end++]]);
    }
    const std::span<const size_t> batch(order.data() + begin, end - begin);
    const auto computed = compute(pack(encoded, batch, options_.device)).to(at::kCPU);
    const std::vector<int64_t> places(batch.begin(), batch.end());
    result.index_copy_(0, at::tensor(places, at::kLong), computed.to(at::kFloat));
    begin = end;
  }
  return result;
}

}  // namespace cpx::models
