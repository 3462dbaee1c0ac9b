// SPDX-License-Identifier: Apache-2.0
#include "vocab_merges.h"

#include <algorithm>
#include <utility>

#include "cpx/core/error.h"
#include "cpx/core/json.h"
#include "cpx/core/text.h"
#include "cpx/core/text_file.h"
#include "tokenizer_json.h"

namespace cpx::tokenizer {

namespace {

Bpe::MergeMap read_merges_file(const std::filesystem::path& path,
                               const StringMap<TokenId>& vocabulary) {
  Bpe::MergeMap merges;
  const std::string content = read_text(path);
  size_t number = 0;
  for (std::string_view rest = content; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (line.empty() || line.starts_with("#version")) continue;
    const auto where = [&] {
      return fmt::format("[tokenizer] {}: line {}", path.string(), number);
    };
    const auto parts = split_merge_text(line);
    if (!parts) throw_<DataError>("{} is {}, expected 'left right'.", where(), quote(line));
    Bpe::add_merge(vocabulary, parts->first, parts->second, number, where, merges);
  }
  return merges;
}

}  // namespace

std::unique_ptr<const Bpe> read_vocab_and_merges(const std::filesystem::path& vocab,
                                                 const std::filesystem::path& merges) {
  auto vocabulary = read_vocabulary(JsonValue::read_file("tokenizer", vocab));
  auto merge_map = read_merges_file(merges, vocabulary);
  return std::make_unique<const Bpe>(std::move(vocabulary), std::move(merge_map), BpeOptions{});
}

}  // namespace cpx::tokenizer
