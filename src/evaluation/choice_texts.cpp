// SPDX-License-Identifier: Apache-2.0
// Sources: lm_eval/tasks/hellaswag/utils.py and lm_eval/tasks/wikitext/preprocess_wikitext.py of
// EleutherAI/lm-evaluation-harness 0.4.13; the pages are those of its data set
// (EleutherAI/wikitext_document_level).
#include "choice_texts.h"

#include <array>
#include <utility>

#include "cpx/core/utf8.h"
#include "cpx/tokenizer/python_strings.h"

namespace cpx::evaluation {

namespace {

using tokenizer::python_replace;
using tokenizer::python_strip;
using Replacement = std::pair<std::string_view, std::string_view>;

template <size_t N>
std::string replaced(std::string text, const std::array<Replacement, N>& replacements) {
  for (const auto& [part, with] : replacements) text = python_replace(text, part, with);
  return text;
}

// Without what `\[.*?\]` matches: from a bracket to the next closing one on its line.
std::string without_brackets(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text[at] == '[' ? text.find_first_of("]\n", at) : text.npos;
    if (end != text.npos && text[end] == ']') {
      at = end + 1;
    } else {
      result += text[at++];
    }
  }
  return result;
}

// Takes off the white space within each pair of `open` and `close`, which ends at the first
// `close`.
std::string tightened(std::string_view text, char open, char close) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text.find(open, at);
    const size_t end = begin == text.npos ? begin : text.find(close, begin + 1);
    if (end == text.npos) return result.append(text.substr(at));
    result.append(text.substr(at, begin + 1 - at));
    result.append(python_strip(text.substr(begin + 1, end - begin - 1)));
    result += close;
    at = end + 1;
  }
  return result;
}

// The published pattern `/' [0-9]/` has slashes of another language in it and is replaced by its
// own text.
std::string with_published_slip(std::string_view text) {
  constexpr std::string_view kBegin = "/' ";
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const bool matches = rest.starts_with(kBegin) && rest.size() >= 5 && rest[3] >= '0' &&
                         rest[3] <= '9' && rest[4] == '/';
    result += matches ? std::string("/'[0-9]/") : std::string(1, text[at]);
    at += matches ? 5 : 1;
  }
  return result;
}

bool is_title(std::string_view line) {
  const std::string joined = python_replace(python_replace(line, "= = =", "==="), "= =", "==");
  const std::string_view title = python_strip(joined);
  return title.starts_with("= ") && title.ends_with(" =");
}

}  // namespace

std::string hellaswag_text(std::string_view text) {
  const std::string titled = python_replace(python_strip(text), " [title]", ". ");
  return python_replace(without_brackets(titled), "  ", " ");
}

std::string detokenized_wikitext(std::string_view page) {
  constexpr std::array<Replacement, 9> kPunctuation = {{{" @-@ ", "-"},
                                                        {" @,@ ", ","},
                                                        {" @.@ ", "."},
                                                        {" : ", ": "},
                                                        {" ; ", "; "},
                                                        {" . ", ". "},
                                                        {" ! ", "! "},
                                                        {" ? ", "? "},
                                                        {" , ", ", "}}};
  constexpr std::array<Replacement, 8> kRest = {{{"= = = =", "===="},
                                                 {"= = =", "==="},
                                                 {"= =", "=="},
                                                 {" \xC2\xB0 ", "\xC2\xB0"},
                                                 {" \n", "\n"},
                                                 {"\n ", "\n"},
                                                 {" N ", " 1 "},
                                                 {" 's", "'s"}}};
  std::string text = with_published_slip(python_replace(page, "s '", "s'"));
  text = replaced(std::move(text), kPunctuation);
  for (const auto& [open, close] : {std::pair('(', ')'), std::pair('[', ']'), std::pair('{', '}'),
                                    std::pair('"', '"'), std::pair('\'', '\'')}) {
    text = tightened(text, open, close);
  }
  return replaced(std::move(text), kRest);
}

std::vector<std::string> wikitext_pages(std::string_view text) {
  std::vector<std::string> pages;
  std::string page;
  bool is_empty = true;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (is_title(line)) {
      if (!python_strip(page).empty()) pages.push_back(page);
      page.clear();
      is_empty = true;
    }
    if (!is_empty) page += '\n';
    page += line;
    is_empty = false;
    begin = end + 1;
  }
  pages.push_back(page);
  return pages;
}

int64_t num_words(std::string_view text) {
  int64_t num_runs = 0;
  bool is_in_space = false;
  for (size_t at = 0; at < text.size();) {
    const auto [code_point, length] = decode_utf8(text, at);
    const bool is_space = tokenizer::is_python_space(code_point);
    if (is_space && !is_in_space) ++num_runs;
    is_in_space = is_space;
    at += length;
  }
  return num_runs + 1;
}

}  // namespace cpx::evaluation
