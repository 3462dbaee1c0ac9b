// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/pair_encoder.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/tokenizer/limited.h"

namespace cpx::data {

namespace {

using tokenizer::Encoding;
using tokenizer::TokenId;

// A text may spell the BOS that the tokenizer adds.
void drop_second_bos(Encoding& encoding, std::optional<TokenId> bos) {
  const auto& ids = encoding.ids;
  if (ids.size() < 2 || ids[0] != bos || ids[1] != bos) return;
  encoding.ids.erase(encoding.ids.begin());
  encoding.offsets.erase(encoding.offsets.begin());
}

// Leading tokens that end within the first `prompt_bytes`.
size_t count_prompt_tokens(const Encoding& encoding, size_t prompt_bytes) {
  bool is_behind_text = false;
  size_t count = 0;
  for (const auto& [begin, end] : encoding.offsets) {
    // Special tokens that the tokenizer adds have the range 0, 0: behind the text they end it.
    if (end > prompt_bytes || (is_behind_text && end == 0)) break;
    is_behind_text = is_behind_text || end > 0;
    ++count;
  }
  return count;
}

size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

std::vector<TokenId> EncodedPair::whole_text(int64_t answer) const {
  std::vector<TokenId> ids = prompt;
  ids.insert(ids.end(), answers[answer].ids.begin(), answers[answer].ids.end());
  return ids;
}

int64_t EncodedPair::num_predicted(int64_t answer) const {
  const int64_t num_tokens = std::ssize(answers[answer].ids);
  return prompt.empty() ? std::max<int64_t>(num_tokens - 1, 0) : num_tokens;
}

PairEncoder::PairEncoder(TextEncoder encoder, int64_t max_prompt_tokens)
    : encoder_(std::move(encoder)), max_prompt_tokens_(max_prompt_tokens) {
  CPX_CHECK(max_prompt_tokens >= 0, "[pair_encoder] max_prompt_tokens: got {}, expected 0 or more.",
            max_prompt_tokens);
}

PairEncoder::SplitText PairEncoder::split(const std::string& prompt, const std::string& answer,
                                          Frame frame) const {
  const EncodeOptions& options = encoder_.options();
  const bool is_rendered = frame == Frame::kRendered;
  const PromptedText rendered =
      is_rendered ? PromptedText{.text = prompt + answer, .prompt_bytes = prompt.size()}
                  : encoder_.render(prompt, answer);
  // A chat template writes its special tokens itself.
  const bool is_by_chat = options.text_template == tokenizer::PromptTemplate::kChat;
  Encoding encoding = tokenizer().encode(rendered.text, !is_rendered && !is_by_chat);
  if (is_rendered) {
    return {.ids = encoding.ids, .num_prompt = count_prompt_tokens(encoding, prompt.size())};
  }
  drop_second_bos(encoding, tokenizer().bos_id());
  SplitText text{.num_prompt = count_prompt_tokens(encoding, rendered.prompt_bytes)};
  text.ids = std::move(encoding.ids);
  const std::optional<TokenId> eos = tokenizer().eos_id();
  const bool ends_in_eos = text.ids.size() > text.num_prompt && text.ids.back() == eos;
  if (options.append_eos && !ends_in_eos) text.ids.push_back(*eos);
  return text;
}

bool PairEncoder::cut_prompt(std::vector<TokenId>& prompt) const {
  const int64_t num_lost = std::ssize(prompt) - max_prompt_tokens_;
  if (max_prompt_tokens_ == 0 || num_lost <= 0) return false;
  const auto first = prompt.begin() + (prompt.front() == tokenizer().bos_id() ? 1 : 0);
  prompt.erase(first, first + num_lost);
  return true;
}

EncodedAnswer PairEncoder::cut_answer(std::span<const TokenId> ids, size_t num_prompt) const {
  EncodedAnswer answer{.ids = {ids.begin(), ids.end()}};
  const int64_t room = std::max<int64_t>(max_tokens() - static_cast<int64_t>(num_prompt), 0);
  if (max_tokens() > 0 && std::ssize(ids) > room) {
    answer.ids.resize(static_cast<size_t>(room));
    answer.is_cut = true;
  }
  return answer;
}

EncodedPair PairEncoder::encode(const std::string& prompt, std::span<const std::string> answers,
                                Frame frame) const {
  std::vector<SplitText> texts;
  for (const std::string& answer : answers) texts.push_back(split(prompt, answer, frame));
  CPX_CHECK(!texts.empty(), "[pair_encoder] got no answer, expected one or more.");
  size_t num_shared = texts.front().num_prompt;
  for (const SplitText& text : texts) {
    num_shared =
        std::min({num_shared, text.num_prompt, common_prefix(texts.front().ids, text.ids)});
  }
  const auto shared = std::span(texts.front().ids).first(num_shared);
  EncodedPair pair{.prompt = {shared.begin(), shared.end()}};
  pair.is_prompt_cut = cut_prompt(pair.prompt);
  for (const SplitText& text : texts) {
    pair.answers.push_back(cut_answer(std::span(text.ids).subspan(num_shared), pair.prompt.size()));
  }
  return pair;
}

EncodedPair PairEncoder::encode(const PreferenceItem& item, const DrawnPair& drawn) const {
  std::vector<std::string> answers = {item.chosen.at(static_cast<size_t>(drawn.chosen))};
  for (const int64_t rejected : drawn.rejected) {
    answers.push_back(item.rejected.at(static_cast<size_t>(rejected)));
  }
  return encode(item.prompt, answers, item.frame);
}

namespace {

// Looks at the answers of one item and counts them.
class AnswerFilter {
 public:
  AnswerFilter(PreferenceItem& item, const PairEncoder& encoder, AnswerCounts& counts)
      : item_(item), encoder_(encoder), counts_(counts) {}

  void run() {
    ++counts_.prompts;
    keep_usable(item_.chosen, /*is_chosen=*/true);
    keep_usable(item_.rejected, /*is_chosen=*/false);
    if (is_prompt_cut_) count(counts_.cut_prompts, counts_.first_cut_prompt);
  }

 private:
  void keep_usable(std::vector<std::string>& answers, bool is_chosen) {
    std::vector<std::string> kept;
    for (std::string& answer : answers) {
      if (is_usable(answer, is_chosen)) kept.push_back(std::move(answer));
    }
    answers = std::move(kept);
  }

  bool is_usable(const std::string& answer, bool is_chosen) {
    ++counts_.answers;
    const EncodedPair encoded = tokenizer::at_place(item_.where, [&] {
      return encoder_.encode(item_.prompt, {&answer, 1}, item_.frame);
    });
    is_prompt_cut_ = is_prompt_cut_ || encoded.is_prompt_cut;
    if (encoded.num_predicted(0) == 0) {
      count(counts_.empty, counts_.first_empty);
      return false;
    }
    std::vector<TokenId> ids = encoded.whole_text(0);
    if (!is_chosen && chosen_.contains(ids)) {
      count(counts_.equal, counts_.first_equal);
      return false;
    }
    counts_.cut += encoded.answers[0].is_cut ? 1 : 0;
    counts_.tokens += std::ssize(ids);
    counts_.longest = std::max(counts_.longest, std::ssize(ids));
    if (is_chosen) chosen_.insert(std::move(ids));
    return true;
  }

  void count(int64_t& number, std::string& first) const {
    if (number++ == 0) first = item_.where;
  }

  PreferenceItem& item_;
  const PairEncoder& encoder_;
  AnswerCounts& counts_;
  std::set<std::vector<TokenId>> chosen_;
  bool is_prompt_cut_ = false;
};

}  // namespace

AnswerCounts drop_unusable(std::vector<PreferenceItem>& items, const PairEncoder& encoder) {
  AnswerCounts counts;
  for (PreferenceItem& item : items) AnswerFilter(item, encoder, counts).run();
  return counts;
}

std::vector<std::string> warning_lines(const AnswerCounts& counts, const PairEncoder& encoder) {
  std::vector<std::string> lines;
  if (counts.empty > 0) {
    lines.push_back(fmt::format(
        "[preferences] {} of {} answers are left out: no token of theirs is left behind their "
        "prompt within max_tokens {} (first: {}). Raise max_tokens, or lower max_prompt_tokens "
        "(now {}; 0: no limit).",
        counts.empty, counts.answers, encoder.max_tokens(), counts.first_empty,
        encoder.max_prompt_tokens()));
  }
  if (counts.equal > 0) {
    lines.push_back(fmt::format(
        "[preferences] {} of {} answers are left out: rejected, but equal to a chosen one of the "
        "same prompt (first: {}).",
        counts.equal, counts.answers, counts.first_equal));
  }
  if (counts.cut_prompts > 0) {
    lines.push_back(fmt::format(
        "[preferences] {} of {} prompts are longer than max_prompt_tokens {} and lose their "
        "beginning (first: {}).",
        counts.cut_prompts, counts.prompts, encoder.max_prompt_tokens(), counts.first_cut_prompt));
  }
  return lines;
}

}  // namespace cpx::data
