// SPDX-License-Identifier: Apache-2.0
// Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, pages 130-137;
// steps are numbered as there. NLTK 3.10 (nltk/stem/porter.py, NLTK_EXTENSIONS) departs from the
// paper where "NLTK" stands below. A suffix that matches ends its step, also when its condition
// does not hold.
#include "cpx/pipeline/porter_stemmer.h"

#include <algorithm>
#include <array>
#include <span>

namespace cpx::pipeline {

namespace {

struct Replacement {
  std::string_view from;
  std::string_view to;
};

// NLTK: whole words that the rules would spoil.
constexpr std::array<Replacement, 16> kIrregular = {{
    {"sky", "sky"},
    {"skies", "sky"},
    {"dying", "die"},
    {"lying", "lie"},
    {"tying", "tie"},
    {"news", "news"},
    {"inning", "inning"},
    {"innings", "inning"},
    {"outing", "outing"},
    {"outings", "outing"},
    {"canning", "canning"},
    {"cannings", "canning"},
    {"howe", "howe"},
    {"proceed", "proceed"},
    {"exceed", "exceed"},
    {"succeed", "succeed"},
}};

// NLTK: "bli" where the paper has "abli", and "fulli".
constexpr std::array<Replacement, 21> kStep2 = {{
    {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"},
    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"}, {"eli", "e"},     {"ousli", "ous"},
    {"ization", "ize"}, {"ation", "ate"},   {"ator", "ate"},  {"alism", "al"},  {"iveness", "ive"},
    {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},  {"iviti", "ive"}, {"biliti", "ble"},
    {"fulli", "ful"},
}};

constexpr std::array<Replacement, 7> kStep3 = {{
    {"icate", "ic"},
    {"ative", ""},
    {"alize", "al"},
    {"iciti", "ic"},
    {"ical", "ic"},
    {"ful", ""},
    {"ness", ""},
}};

constexpr std::array<Replacement, 18> kStep4 = {{
    {"al", ""},
    {"ance", ""},
    {"ence", ""},
    {"er", ""},
    {"ic", ""},
    {"able", ""},
    {"ible", ""},
    {"ant", ""},
    {"ement", ""},
    {"ment", ""},
    {"ent", ""},
    {"ou", ""},
    {"ism", ""},
    {"ate", ""},
    {"iti", ""},
    {"ous", ""},
    {"ive", ""},
    {"ize", ""},
}};

// 'v' for each vowel and 'c' for each consonant; y is a vowel after a consonant.
std::string letter_kinds(std::string_view word) {
  std::string kinds;
  for (const char letter : word) {
    const bool is_vowel =
        letter == 'y' ? kinds.ends_with('c') : std::string_view("aeiou").find(letter) != word.npos;
    kinds += is_vowel ? 'v' : 'c';
  }
  return kinds;
}

// m of the paper: how often a vowel is followed by a consonant.
int measure(std::string_view stem) {
  const std::string kinds = letter_kinds(stem);
  int count = 0;
  for (size_t i = 1; i < kinds.size(); ++i) count += kinds[i - 1] == 'v' && kinds[i] == 'c';
  return count;
}

bool has_vowel(std::string_view stem) { return letter_kinds(stem).find('v') != stem.npos; }

// *d of the paper.
bool ends_in_double_consonant(std::string_view stem) {
  const size_t size = stem.size();
  return size >= 2 && stem[size - 1] == stem[size - 2] && letter_kinds(stem).back() == 'c';
}

// *o of the paper. NLTK: also a whole stem of a vowel and a consonant.
bool ends_in_short_syllable(std::string_view stem) {
  const std::string kinds = letter_kinds(stem);
  if (kinds == "vc") return true;
  return kinds.ends_with("cvc") && std::string_view("wxy").find(stem.back()) == stem.npos;
}

std::string_view without(std::string_view word, size_t suffix_size) {
  return word.substr(0, word.size() - suffix_size);
}

// Replaces the first of the suffixes that `word` ends in, where what precedes it has a measure
// above `limit`.
void replace_suffix(std::string& word, std::span<const Replacement> suffixes, int limit) {
  const auto found = std::find_if(suffixes.begin(), suffixes.end(), [&](const Replacement& suffix) {
    return word.ends_with(suffix.from);
  });
  if (found == suffixes.end()) return;
  const std::string_view stem = without(word, found->from.size());
  if (measure(stem) > limit) word.replace(stem.size(), word.npos, found->to);
}

void step_1a(std::string& word) {
  if (word.ends_with("ies")) {
    word.resize(word.size() - (word.size() == 4 ? 1 : 2));  // NLTK: "dies" keeps its e
  } else if (word.ends_with("sses")) {
    word.resize(word.size() - 2);
  } else if (word.ends_with('s') && !word.ends_with("ss")) {
    word.pop_back();
  }
}

// What follows the removal of "ed" or "ing".
void mend_stem(std::string& word) {
  const bool lost_an_e = word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz");
  if (lost_an_e) {
    word += 'e';
  } else if (ends_in_double_consonant(word)) {
    if (std::string_view("lsz").find(word.back()) == word.npos) word.pop_back();
  } else if (measure(word) == 1 && ends_in_short_syllable(word)) {
    word += 'e';
  }
}

void step_1b(std::string& word) {
  if (word.ends_with("ied")) {  // NLTK: as "ies" in step 1a
    word.resize(word.size() - (word.size() == 4 ? 1 : 2));
    return;
  }
  if (word.ends_with("eed")) {
    if (measure(without(word, 3)) > 0) word.pop_back();
    return;
  }
  const size_t suffix_size = word.ends_with("ed") ? 2 : word.ends_with("ing") ? 3 : 0;
  if (suffix_size == 0 || !has_vowel(without(word, suffix_size))) return;
  word.resize(word.size() - suffix_size);
  mend_stem(word);
}

// NLTK: y becomes i after a consonant that does not open the word (the paper: after any vowel).
void step_1c(std::string& word) {
  if (!word.ends_with('y')) return;
  const std::string_view stem = without(word, 1);
  if (stem.size() > 1 && letter_kinds(stem).back() == 'c') word.back() = 'i';
}

void step_2(std::string& word) {
  if (word.ends_with("alli") && measure(without(word, 4)) > 0) {
    word.resize(word.size() - 2);
    step_2(word);  // NLTK: once more, so that "relationalli" loses both endings
  } else if (word.ends_with("logi")) {
    if (measure(without(word, 3)) > 0) word.pop_back();  // NLTK: the l counts, so "geologi" too
  } else {
    replace_suffix(word, kStep2, 0);
  }
}

void step_3(std::string& word) { replace_suffix(word, kStep3, 0); }

void step_4(std::string& word) {
  if (word.ends_with("ion")) {
    const std::string_view stem = without(word, 3);
    if (measure(stem) > 1 && (stem.ends_with('s') || stem.ends_with('t'))) word.resize(stem.size());
  } else {
    replace_suffix(word, kStep4, 1);
  }
}

void step_5a(std::string& word) {
  if (!word.ends_with('e')) return;
  const std::string_view stem = without(word, 1);
  const int m = measure(stem);
  if (m > 1 || (m == 1 && !ends_in_short_syllable(stem))) word.pop_back();
}

void step_5b(std::string& word) {
  if (word.ends_with("ll") && measure(without(word, 1)) > 1) word.pop_back();
}

}  // namespace

std::string porter_stem(std::string_view word) {
  const auto irregular = std::find_if(kIrregular.begin(), kIrregular.end(),
                                      [&](const Replacement& form) { return form.from == word; });
  if (irregular != kIrregular.end()) return std::string(irregular->to);
  std::string stem(word);
  if (word.size() <= 2) return stem;  // NLTK
  step_1a(stem);
  step_1b(stem);
  step_1c(stem);
  step_2(stem);
  step_3(stem);
  step_4(stem);
  step_5a(stem);
  step_5b(stem);
  return stem;
}

}  // namespace cpx::pipeline
