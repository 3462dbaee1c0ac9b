// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/porter_stemmer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

namespace cpx::pipeline {

namespace {

// Words that no rule treats well.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kIrregular = {{
    {"sky", "sky"},
    {"skies", "sky"},
    {"dying", "die"},
    {"lying", "lie"},
    {"tying", "tie"},
    {"news", "news"},
    {"innings", "inning"},
    {"inning", "inning"},
    {"outings", "outing"},
    {"outing", "outing"},
    {"cannings", "canning"},
    {"canning", "canning"},
    {"howe", "howe"},
    {"proceed", "proceed"},
    {"exceed", "exceed"},
    {"succeed", "succeed"},
}};

bool is_consonant(std::string_view word, size_t i) {
  constexpr std::string_view kVowels = "aeiou";
  if (kVowels.find(word[i]) != std::string_view::npos) return false;
  if (word[i] == 'y') return i == 0 || !is_consonant(word, i - 1);
  return true;
}

// Porter's m: how often a vowel is followed by a consonant.
int measure(std::string_view stem) {
  int count = 0;
  for (size_t i = 1; i < stem.size(); ++i) {
    count += !is_consonant(stem, i - 1) && is_consonant(stem, i);
  }
  return count;
}

bool has_vowel(std::string_view stem) {
  for (size_t i = 0; i < stem.size(); ++i) {
    if (!is_consonant(stem, i)) return true;
  }
  return false;
}

bool ends_in_double_consonant(std::string_view word) {
  const size_t size = word.size();
  return size >= 2 && word[size - 1] == word[size - 2] && is_consonant(word, size - 1);
}

// Porter's *o: consonant, vowel, consonant other than w, x, y; NLTK: also a vowel and a consonant
// that are the whole word.
bool ends_in_short_syllable(std::string_view word) {
  const size_t size = word.size();
  if (size == 2) return !is_consonant(word, 0) && is_consonant(word, 1);
  return size >= 3 && is_consonant(word, size - 3) && !is_consonant(word, size - 2) &&
         is_consonant(word, size - 1) &&
         std::string_view("wxy").find(word[size - 1]) == std::string_view::npos;
}

std::string without(std::string_view word, size_t count) {
  return std::string(word.substr(0, word.size() - count));
}

// The first suffix that fits decides, whether its condition holds or not.
struct Rule {
  std::string_view suffix;
  std::string_view replacement;
};

using Condition = bool (*)(std::string_view stem);

std::optional<std::string> apply(std::string_view word, std::span<const Rule> rules,
                                 Condition condition) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    const std::string stem = without(word, rule.suffix.size());
    if (condition != nullptr && !condition(stem)) return std::string(word);
    return stem + std::string(rule.replacement);
  }
  return std::nullopt;
}

bool is_long(std::string_view stem) { return measure(stem) > 0; }
bool is_very_long(std::string_view stem) { return measure(stem) > 1; }

// Plurals.
std::string step_1a(std::string word) {
  if (word.ends_with("ies") && word.size() == 4) return without(word, 1);
  constexpr Rule kRules[] = {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}};
  return apply(word, kRules, nullptr).value_or(word);
}

// What is left of a word in -ed or -ing.
std::string mended(const std::string& stem) {
  constexpr Rule kRules[] = {{"at", "ate"}, {"bl", "ble"}, {"iz", "ize"}};
  if (const auto longer = apply(stem, kRules, nullptr)) return *longer;
  if (ends_in_double_consonant(stem)) {
    const bool stays = std::string_view("lsz").find(stem.back()) != std::string_view::npos;
    return stays ? stem : without(stem, 1);
  }
  return measure(stem) == 1 && ends_in_short_syllable(stem) ? stem + "e" : stem;
}

std::string step_1b(std::string word) {
  if (word.ends_with("ied")) return without(word, word.size() == 4 ? 1 : 2);
  if (word.ends_with("eed")) return is_long(without(word, 3)) ? without(word, 1) : word;
  for (const std::string_view suffix : {"ed", "ing"}) {
    if (!word.ends_with(suffix)) continue;
    const std::string stem = without(word, suffix.size());
    if (has_vowel(stem)) return mended(stem);
  }
  return word;
}

std::string step_1c(std::string word) {
  if (!word.ends_with('y')) return word;
  const std::string stem = without(word, 1);
  return stem.size() > 1 && is_consonant(stem, stem.size() - 1) ? stem + "i" : word;
}

std::string step_2(std::string word) {
  if (word.ends_with("alli") && is_long(without(word, 4))) return step_2(without(word, 2));
  constexpr Rule kRules[] = {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},
                             {"anci", "ance"},   {"izer", "ize"},    {"bli", "ble"},
                             {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},
                             {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
                             {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"},
                             {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
                             {"iviti", "ive"},   {"biliti", "ble"},  {"fulli", "ful"}};
  if (const auto shorter = apply(word, kRules, is_long)) return *shorter;
  if (word.ends_with("logi") && is_long(without(word, 3))) return without(word, 1);
  return word;
}

std::string step_3(std::string word) {
  constexpr Rule kRules[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                             {"ical", "ic"},  {"ful", ""},   {"ness", ""}};
  return apply(word, kRules, is_long).value_or(word);
}

std::string step_4(std::string word) {
  constexpr Rule kBefore[] = {{"al", ""},    {"ance", ""}, {"ence", ""}, {"er", ""},
                              {"ic", ""},    {"able", ""}, {"ible", ""}, {"ant", ""},
                              {"ement", ""}, {"ment", ""}, {"ent", ""}};
  if (const auto shorter = apply(word, kBefore, is_very_long)) return *shorter;
  if (word.ends_with("ion")) {
    const std::string stem = without(word, 3);
    return is_very_long(stem) && (stem.back() == 's' || stem.back() == 't') ? stem : word;
  }
  constexpr Rule kBehind[] = {{"ou", ""},  {"ism", ""}, {"ate", ""}, {"iti", ""},
                              {"ous", ""}, {"ive", ""}, {"ize", ""}};
  return apply(word, kBehind, is_very_long).value_or(word);
}

std::string step_5(std::string word) {
  if (word.ends_with('e')) {
    const std::string stem = without(word, 1);
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_in_short_syllable(stem))) word = stem;
  }
  if (word.ends_with("ll") && is_very_long(without(word, 1))) return without(word, 1);
  return word;
}

}  // namespace

std::string porter_stem(std::string_view word) {
  const auto irregular =
      std::ranges::find(kIrregular, word, &std::pair<std::string_view, std::string_view>::first);
  if (irregular != kIrregular.end()) return std::string(irregular->second);
  if (word.size() <= 2) return std::string(word);
  return step_5(step_4(step_3(step_2(step_1c(step_1b(step_1a(std::string(word))))))));
}

}  // namespace cpx::pipeline
