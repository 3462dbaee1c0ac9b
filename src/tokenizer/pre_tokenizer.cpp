// SPDX-License-Identifier: Apache-2.0
#include "pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "bert_text.h"
#include "byte_alphabet.h"
#include "cpx/core/utf8.h"
#include "normalizer.h"

namespace cpx::tokenizer {

namespace {

constexpr const char* kPunctuationPattern = R"([!-/:-@\[-`{-~\p{P}])";

void append_byte_symbols(const AlignedText& text, ByteRange range, AlignedText& output) {
  for (size_t i = range.begin; i < range.end; ++i) {
    output.append(byte_symbol(static_cast<uint8_t>(text.bytes()[i])), text.origin(i));
  }
}

void prefix_space(const AlignedText& text, ByteRange range, AlignedText& output) {
  if (!text.view(range).starts_with(' ')) output.append(" ", text.origin(range.begin));
  output.append(text, range);
}

struct SplitBehaviorName {
  const char* name;
  SplitBehavior behavior;
};
constexpr SplitBehaviorName kSplitBehaviors[] = {
    {"Removed", SplitBehavior::kRemoved},
    {"Isolated", SplitBehavior::kIsolated},
    {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
    {"MergedWithNext", SplitBehavior::kMergedWithNext},
    {"Contiguous", SplitBehavior::kContiguous},
};

SplitBehavior parse_behavior(const JsonValue& node) {
  for (const auto& [name, behavior] : kSplitBehaviors) {
    if (node.text() == name) return behavior;
  }
  node.fail("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

std::string parse_replacement(const JsonValue& node) {
  const std::string& text = node.text();
  if (text.empty() || decode_utf8(text, 0).length != text.size()) node.fail("one character");
  return text;
}

MetaspaceOptions parse_metaspace(const JsonValue& node) {
  return {.replacement = parse_replacement(node.at("replacement")),
          .prepend_scheme = parse_prepend_scheme(node),
          .splits = node.boolean_or("split", true)};
}

}  // namespace

PreTokenizer byte_level(ByteLevelOptions options) {
  const Regex regex(kGpt2Pattern);
  return [=](PieceList& pieces) {
    if (options.adds_prefix_space) pieces.rewrite(prefix_space);
    if (options.uses_regex) pieces.split(regex, SplitBehavior::kIsolated, /*is_inverted=*/false);
    pieces.rewrite(append_byte_symbols);
  };
}

PreTokenizer digits(bool individual) {
  return split_at(Regex(individual ? "\\p{N}" : "\\p{N}+"), SplitBehavior::kIsolated,
                  /*is_inverted=*/false);
}

PreTokenizer split_at(Regex regex, SplitBehavior behavior, bool is_inverted) {
  return [=, regex = std::move(regex)](PieceList& pieces) {
    pieces.split(regex, behavior, is_inverted);
  };
}

PreTokenizer white_space_split() {
  return split_at(Regex("\\s"), SplitBehavior::kRemoved, /*is_inverted=*/false);
}

PreTokenizer metaspace(MetaspaceOptions options) {
  const Regex replacement = Regex::literal(options.replacement);
  const auto spell = [options](const AlignedText& text, ByteRange range, AlignedText& output) {
    const std::string_view bytes = text.view(range);
    const bool is_marked = bytes.starts_with(' ') || bytes.starts_with(options.replacement);
    const bool is_first = text.origin(range.begin).begin == 0;
    const bool prepends = options.prepend_scheme == PrependScheme::kAlways ||
                          (options.prepend_scheme == PrependScheme::kFirst && is_first);
    if (prepends && !is_marked) output.append(options.replacement, text.origin(range.begin));
    for (size_t i = range.begin; i < range.end; ++i) {
      if (text.bytes()[i] == ' ') {
        output.append(options.replacement, text.origin(i));
      } else {
        output.append(text, {i, i + 1});
      }
    }
  };
  return [=](PieceList& pieces) {
    pieces.rewrite(spell);
    if (options.splits) {
      pieces.split(replacement, SplitBehavior::kMergedWithNext, /*is_inverted=*/false);
    }
  };
}

PreTokenizer sequence(std::vector<PreTokenizer> steps) {
  return [steps = std::move(steps)](PieceList& pieces) {
    for (const auto& step : steps) step(pieces);
  };
}

PrependScheme parse_prepend_scheme(const JsonValue& node) {
  const std::string scheme = node.text_or("prepend_scheme", "always");
  if (!node.boolean_or("add_prefix_space", true)) return PrependScheme::kNever;
  if (scheme == "always") return PrependScheme::kAlways;
  if (scheme == "first") return PrependScheme::kFirst;
  if (scheme == "never") return PrependScheme::kNever;
  node.at("prepend_scheme").fail("always, first or never");
}

PreTokenizer parse_pre_tokenizer(const JsonValue& node) {
  const JsonValue type = node.at("type");
  if (type.text() == "Sequence") {
    std::vector<PreTokenizer> steps;
    for (const auto& step : node.at("pretokenizers").elements()) {
      steps.push_back(parse_pre_tokenizer(step));
    }
    return sequence(std::move(steps));
  }
  if (type.text() == "ByteLevel") {
    return byte_level({.adds_prefix_space = node.boolean_or("add_prefix_space", true),
                       .uses_regex = node.boolean_or("use_regex", true)});
  }
  if (type.text() == "Digits") return digits(node.boolean_or("individual_digits", false));
  if (type.text() == "Split") {
    return split_at(parse_pattern(node.at("pattern")), parse_behavior(node.at("behavior")),
                    node.boolean_or("invert", false));
  }
  if (type.text() == "Metaspace") return metaspace(parse_metaspace(node));
  if (type.text() == "Punctuation") {
    const auto behavior = node.find("behavior");
    return split_at(Regex(kPunctuationPattern),
                    behavior ? parse_behavior(*behavior) : SplitBehavior::kIsolated,
                    /*is_inverted=*/false);
  }
  if (type.text() == "BertPreTokenizer") return bert_pre_tokenizer();
  if (type.text() == "WhitespaceSplit") return white_space_split();
  type.fail(
      "a pre-tokenizer that cpx knows (Sequence, ByteLevel, Digits, Split, Metaspace, "
      "Punctuation, BertPreTokenizer, WhitespaceSplit)");
}

}  // namespace cpx::tokenizer
