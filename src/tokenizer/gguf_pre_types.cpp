// SPDX-License-Identifier: Apache-2.0
// Names and groups as in llama.cpp's src/llama-vocab.cpp (commit 00ad355e). The patterns are those
// of the models' own tokenizer.json; llama.cpp spells some otherwise, because std::regex knows no
// Unicode classes.
#include "gguf_pre_types.h"

#include <vector>

#include <fmt/format.h>

namespace cpx::tokenizer {

namespace {

using Patterns = std::vector<std::string>;

// What Llama 3's pattern and its kin are made of.
const std::string kContractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const std::string kWords = kContractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+)";
const std::string kSigns = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)";
const std::string kSignsAndSlashes = R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)";
const std::string kBlanks = R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kDigits = R"(\p{N}+)";
constexpr const char* kThreeDigits = R"(\p{N}{1,3})";
constexpr const char* kThreeAsciiDigits = "[0-9][0-9][0-9]";
constexpr const char* kLineEnd = R"([\r\n])";
constexpr const char* kEastAsian = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr const char* kHanAndKana = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr const char* kBloom =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";
// deepseek-llm lists the letters that have two cases.
constexpr const char* kCasedLetters =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
    R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15})"
    R"(\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B})"
    R"(\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4})"
    R"(\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943}]+)";

Patterns gpt2() { return {kGpt2Pattern}; }
Patterns digits_first() { return {kDigit, kGpt2Pattern}; }
Patterns llama3() { return {kWords + R"(|\p{N}{1,3})" + kSigns + kBlanks}; }
Patterns qwen2() { return {kWords + R"(|\p{N})" + kSigns + kBlanks}; }
Patterns minicpm5() { return {kThreeDigits, kWords + R"(|\p{N}+)" + kSigns + kBlanks}; }
Patterns bloom() { return {kBloom}; }
Patterns viking() { return {kBloom, kDigit}; }

// llama.cpp's own, for files of before the key.
Patterns unnamed() { return {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, kDigits, kThreeAsciiDigits}; }

Patterns falcon() { return {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, kThreeAsciiDigits}; }

// Words in which a capital begins a new one; `end` is what may hang on them.
std::string cased_words(const std::string& end) {
  return R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)" + end +
         R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)" + end;
}

Patterns tekken() { return {cased_words("") + R"(|\p{N})" + kSignsAndSlashes + kBlanks}; }

Patterns gpt_4o() {
  return {cased_words(kContractions + "?") + R"(|\p{N}{1,3})" + kSignsAndSlashes + kBlanks};
}

Patterns qwen35() {
  return {kContractions +
          R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" + kBlanks};
}

Patterns deepseek_llm() {
  return {kLineEnd,
          kCasedLetters,
          R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
          "\\s+$",
          kEastAsian,
          kDigits};
}

Patterns deepseek_coder() { return {kLineEnd, "\\s?\\p{L}+", "\\s?\\p{P}+", kEastAsian, kDigit}; }

Patterns deepseek_v3() {
  return {kThreeDigits, kHanAndKana,
          R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
          R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)" +
              kBlanks};
}

// Blanks in lengths that are powers of two.
Patterns jais_2() {
  return {kWords + R"(|\p{N}{1,3})" + kSigns +
          R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S))"
          R"(|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})"};
}

Patterns seed_coder() { return {kWords + R"(|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)" + kBlanks}; }

Patterns bailingmoe() {
  return {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
          R"(|\s*[\r\n]|\s+(?!\S)|\s+)"};
}

struct PreTypeRow {
  std::string_view names;  // with ", " between them
  Patterns (*patterns)();  // one is applied after the other
  bool ignores_merges = false;
  bool adds_bos = false;
};

constexpr PreTypeRow kRows[] = {
    {"default", unnamed},
    {"gpt-2, mpt, olmo, jais, phi-2, exaone4, trillion, granite-docling, gigachat, a.x-4.0, mellum",
     gpt2},
    {"smollm, starcoder, refact, command-r, codeshell, exaone, minerva-7b, mellum2", digits_first},
    {"llama-bpe, llama3, llama-v3, falcon3, falcon-h1, pixtral, midm-2.0, lfm2", llama3,
     /*ignores_merges=*/true, /*adds_bos=*/true},
    {"smaug-bpe, dbrx, glm4, chatglm-bpe", llama3},
    {"tekken", tekken, /*ignores_merges=*/true, /*adds_bos=*/true},
    {"gpt-4o, llama4, kanana2, talkie, minimax-m2", gpt_4o},
    {"qwen2, stablelm2, deepseek-r1-qwen, megrez, hunyuan, solar-open, grok-2, kormo", qwen2},
    {"qwen35", qwen35},
    {"deepseek-llm", deepseek_llm},
    {"deepseek-coder", deepseek_coder},
    {"deepseek-v3, hunyuan-dense, joyai-llm, hy_v4", deepseek_v3},
    {"falcon", falcon},
    {"poro-chat, bloom, gpt3-finnish", bloom},
    {"viking", viking},
    {"jais-2", jais_2},
    {"seed-coder", seed_coder},
    {"bailingmoe, bailingmoe2, llada-moe", bailingmoe},
    {"minicpm5", minicpm5, /*ignores_merges=*/true},
};

// Whether `name` is one of `names`.
bool is_named(std::string_view names, std::string_view name) {
  if (name.empty() || name.find(',') != std::string_view::npos) return false;
  return fmt::format(" {},", names).find(fmt::format(" {},", name)) != std::string::npos;
}

PreTokenizer make_pre_tokenizer(const Patterns& patterns) {
  std::vector<PreTokenizer> steps;
  for (const auto& pattern : patterns) {
    steps.push_back(split_at(Regex(pattern), SplitBehavior::kIsolated, /*is_inverted=*/false));
  }
  steps.push_back(byte_level({.uses_regex = false}));
  return sequence(std::move(steps));
}

}  // namespace

std::optional<GgufPreType> find_gguf_pre_type(std::string_view name) {
  for (const auto& row : kRows) {
    if (!is_named(row.names, name)) continue;
    return GgufPreType{.pre_tokenizer = make_pre_tokenizer(row.patterns()),
                       .ignores_merges = row.ignores_merges,
                       .adds_bos = row.adds_bos};
  }
  return std::nullopt;
}

std::string known_gguf_pre_types() {
  std::string names;
  for (const auto& row : kRows) {
    names += names.empty() ? "" : ", ";
    names += row.names;
  }
  return names;
}

}  // namespace cpx::tokenizer
