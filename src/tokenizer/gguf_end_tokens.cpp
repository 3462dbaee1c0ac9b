// SPDX-License-Identifier: Apache-2.0
// What ends a generated text, as llama.cpp decides it (src/llama-vocab.cpp, commit 00ad355e): the
// ids that the file names, and tokens that are spelled like the ends of known models.
#include "gguf_end_tokens.h"

#include <algorithm>
#include <optional>
#include <span>

#include "cpx/tokenizer/gguf_vocabulary.h"

namespace cpx::tokenizer {

namespace {

using Spellings = std::span<const std::string_view>;

constexpr std::string_view kEnds[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "[e~[",
    // DeepSeek's, with a wide bar and a sentencepiece blank
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};

// Of code models; by their spelling only where the file has no id.
constexpr std::string_view kCodePads[] = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>",
                                          "[PAD]"};
constexpr std::string_view kCodeRepositories[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
                                                  "<REPO>", "<reponame>"};
constexpr std::string_view kCodeFiles[] = {"<|file_sep|>"};

bool is_one_of(Spellings spellings, std::string_view spelling) {
  return std::find(spellings.begin(), spellings.end(), spelling) != spellings.end();
}

// The ids that end a text, in the order in which they are found.
class EndIds {
 public:
  explicit EndIds(const std::vector<std::string>& tokens) : tokens_(tokens) {}

  void add(std::optional<int64_t> id) {
    if (!id || *id < 0) return;
    if (!tokens_.empty() && *id >= static_cast<int64_t>(tokens_.size())) return;
    if (std::find(ids_.begin(), ids_.end(), *id) == ids_.end()) ids_.push_back(*id);
  }

  void add_spelled(Spellings spellings) {
    for (size_t id = 0; id < tokens_.size(); ++id) {
      if (is_one_of(spellings, tokens_[id])) add(static_cast<int64_t>(id));
    }
  }

  void add_or_find(std::optional<int64_t> id, Spellings spellings) {
    if (id) {
      add(id);
    } else {
      add_spelled(spellings);
    }
  }

  bool has(std::string_view spelling) const {
    return std::any_of(ids_.begin(), ids_.end(), [&](int64_t id) { return is(id, spelling); });
  }

  void remove(std::string_view spelling) {
    std::erase_if(ids_, [&](int64_t id) { return is(id, spelling); });
  }

  std::vector<int64_t> ids() const { return ids_; }

 private:
  bool is(int64_t id, std::string_view spelling) const {
    return !tokens_.empty() && tokens_[static_cast<size_t>(id)] == spelling;
  }

  const std::vector<std::string>& tokens_;
  std::vector<int64_t> ids_;
};

}  // namespace

bool is_end_spelling(std::string_view spelling) {
  return is_one_of(kEnds, spelling) || is_one_of(kCodePads, spelling) ||
         is_one_of(kCodeRepositories, spelling) || is_one_of(kCodeFiles, spelling);
}

std::vector<int64_t> end_of_generation_ids(const GgufVocabulary& vocabulary) {
  EndIds ends(vocabulary.tokens);
  ends.add(vocabulary.eos_id);
  ends.add(vocabulary.eot_id);
  ends.add(vocabulary.eom_id);
  ends.add_spelled(kEnds);
  ends.add_or_find(vocabulary.fim_pad_id, kCodePads);
  ends.add_or_find(vocabulary.fim_repository_id, kCodeRepositories);
  ends.add_or_find(vocabulary.fim_file_id, kCodeFiles);
  // Models that go on behind <|end|> have other ends beside it.
  const bool has_call = ends.has("<|call|>") || ends.has("<|calls|>");
  if (has_call && (ends.has("<|return|>") || ends.has("<|flush|>"))) ends.remove("<|end|>");
  if (ends.has("<|tool_response>")) ends.remove("</s>");
  return ends.ids();
}

}  // namespace cpx::tokenizer
