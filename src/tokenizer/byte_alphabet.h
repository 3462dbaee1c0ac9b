// SPDX-License-Identifier: Apache-2.0
// The byte alphabet of byte-level BPE: every byte has a printable character that stands for it.
// Source: GPT-2, "Language Models are Unsupervised Multitask Learners", released encoder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cpx::tokenizer {

/// The character that stands for `byte`, as UTF-8.
const std::string& byte_symbol(uint8_t byte);

/// The byte that `code_point` stands for, or nothing.
std::optional<uint8_t> symbol_byte(char32_t code_point);

/// `spelling` in bytes; a spelling with a character outside the alphabet stays as it is.
std::string from_byte_alphabet(std::string_view spelling);

/// `bytes` with every maximal ill-formed part replaced by U+FFFD (Unicode 15, section 3.9).
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace cpx::tokenizer
