// SPDX-License-Identifier: Apache-2.0
#include "detokenizer.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/ranges.h>

#include "byte_alphabet.h"
#include "cpx/core/utf8.h"
#include "normalizer.h"
#include "python_text.h"

namespace cpx::tokenizer {

namespace {

using Spellings = std::vector<std::string>;

constexpr const char* kReplacementCharacter = "\xEF\xBF\xBD";

std::string join(const Spellings& spellings) {
  std::string result;
  for (const auto& spelling : spellings) result += spelling;
  return result;
}

Detokenizer replace_detokenizer(Regex regex, std::string content) {
  return [regex = std::move(regex), content = std::move(content)](Spellings spellings) {
    for (auto& spelling : spellings) {
      std::string text;
      regex.for_each_part(spelling, [&](ByteRange range, bool is_match) {
        text += is_match ? content : spelling.substr(range.begin, range.size());
      });
      spelling = std::move(text);
    }
    return spellings;
  };
}

std::optional<uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

// The byte that a spelling "<0x41>" stands for.
std::optional<char> spelled_byte(const std::string& spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling.back() != '>') return {};
  const auto high = hex_digit(spelling[3]);
  const auto low = hex_digit(spelling[4]);
  if (!high || !low) return {};
  return static_cast<char>(*high * 16 + *low);
}

Spellings decode_byte_fallback(Spellings spellings) {
  Spellings result;
  std::string bytes;
  const auto flush = [&] {
    if (first_invalid_utf8(bytes)) {
      result.insert(result.end(), bytes.size(), kReplacementCharacter);
    } else if (!bytes.empty()) {
      result.push_back(bytes);
    }
    bytes.clear();
  };
  for (auto& spelling : spellings) {
    if (const auto byte = spelled_byte(spelling)) {
      bytes += *byte;
    } else {
      flush();
      result.push_back(std::move(spelling));
    }
  }
  flush();
  return result;
}

Detokenizer strip_detokenizer(std::string content, size_t most_at_start, size_t most_at_end) {
  return [=](Spellings spellings) {
    for (auto& spelling : spellings) {
      std::string_view rest = spelling;
      for (size_t i = 0; i < most_at_start && rest.starts_with(content); ++i) {
        rest.remove_prefix(content.size());
      }
      for (size_t i = 0; i < most_at_end && rest.ends_with(content); ++i) {
        rest.remove_suffix(content.size());
      }
      spelling = std::string(rest);
    }
    return spellings;
  };
}

Detokenizer sequence(std::vector<Detokenizer> steps) {
  return [steps = std::move(steps)](Spellings spellings) {
    for (const auto& step : steps) spellings = step(std::move(spellings));
    return spellings;
  };
}

// The spaces that English does without, in the peer's order.
void clean_up(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kShorter[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kShorter) text = python_replace(text, from, to);
}

size_t count(const JsonValue& node, const std::string& key) {
  return static_cast<size_t>(node.at(key).integer(0, 1'000'000));
}

}  // namespace

Detokenizer byte_level_detokenizer() {
  return [](Spellings spellings) {
    std::string bytes;
    for (const auto& spelling : spellings) bytes += from_byte_alphabet(spelling);
    return Spellings{replace_invalid_utf8(bytes)};
  };
}

Detokenizer metaspace_detokenizer(std::string replacement, bool drops_first) {
  return [=](Spellings spellings) {
    for (size_t i = 0; i < spellings.size(); ++i) {
      std::string text;
      const std::string& spelling = spellings[i];
      for (size_t position = 0; position < spelling.size();) {
        if (spelling.compare(position, replacement.size(), replacement) == 0) {
          if (i > 0 || !drops_first) text += ' ';
          position += replacement.size();
        } else {
          text += spelling[position++];
        }
      }
      spellings[i] = std::move(text);
    }
    return spellings;
  };
}

Detokenizer word_piece_detokenizer(std::string prefix, bool cleans_up) {
  return [prefix = std::move(prefix), cleans_up](Spellings spellings) {
    for (size_t i = 0; i < spellings.size(); ++i) {
      std::string& spelling = spellings[i];
      const size_t found = spelling.starts_with(prefix) ? prefix.size() : 0;
      if (i > 0) spelling = found > 0 ? spelling.substr(found) : " " + spelling;
      if (cleans_up) clean_up(spelling);
    }
    return spellings;
  };
}

Detokenizer llama_detokenizer(bool strips_space) {
  std::vector<Detokenizer> steps = {replace_detokenizer(Regex::literal(kSpaceMark), " "),
                                    decode_byte_fallback};
  if (strips_space) {
    steps.push_back([](Spellings spellings) { return Spellings{join(spellings)}; });
    steps.push_back(strip_detokenizer(" ", 1, 0));
  }
  return sequence(std::move(steps));
}

Detokenizer parse_detokenizer(const JsonValue& node) {
  const JsonValue type = node.at("type");
  if (type.text() == "Sequence") {
    std::vector<Detokenizer> steps;
    for (const auto& step : node.at("decoders").elements()) {
      steps.push_back(parse_detokenizer(step));
    }
    return sequence(std::move(steps));
  }
  if (type.text() == "ByteLevel") return byte_level_detokenizer();
  if (type.text() == "Metaspace") {
    const JsonValue replacement = node.at("replacement");
    if (replacement.text().empty()) replacement.fail("one character");
    return metaspace_detokenizer(replacement.text(),
                                 parse_prepend_scheme(node) != PrependScheme::kNever);
  }
  if (type.text() == "Replace") {
    return replace_detokenizer(parse_pattern(node.at("pattern")), node.at("content").text());
  }
  if (type.text() == "ByteFallback") return decode_byte_fallback;
  if (type.text() == "Fuse") {
    return [](Spellings spellings) { return Spellings{join(spellings)}; };
  }
  if (type.text() == "Strip") {
    const JsonValue content = node.at("content");
    if (content.text().empty()) content.fail("one character");
    return strip_detokenizer(content.text(), count(node, "start"), count(node, "stop"));
  }
  if (type.text() == "WordPiece") {
    return word_piece_detokenizer(node.text_or("prefix", "##"), node.boolean_or("cleanup", true));
  }
  type.fail(
      "a decoder that cpx knows (Sequence, ByteLevel, Metaspace, Replace, ByteFallback, Fuse, "
      "Strip, WordPiece)");
}

std::string detokenize(const Detokenizer& detokenizer, std::vector<std::string> spellings) {
  if (!detokenizer) return fmt::format("{}", fmt::join(spellings, " "));
  return join(detokenizer(std::move(spellings)));
}

}  // namespace cpx::tokenizer
