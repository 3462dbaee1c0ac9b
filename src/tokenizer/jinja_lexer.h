// SPDX-License-Identifier: Apache-2.0
// Cuts a template into text and the tokens of its tags, with jinja2's control of white space as
// transformers sets it (trim_blocks, lstrip_blocks).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/error.h"

namespace cpx::tokenizer::jinja {

struct Token {
  enum class Kind {
    kData,
    kPrintBegin,
    kPrintEnd,
    kBlockBegin,
    kBlockEnd,
    kName,
    kString,
    kInteger,
    kFloat,
    kSymbol,
    kEnd
  };
  Kind kind = Kind::kEnd;
  std::string text = {};
  int line = 1;

  bool is_symbol(std::string_view symbol) const { return kind == Kind::kSymbol && text == symbol; }
  bool is_name(std::string_view name) const { return kind == Kind::kName && text == name; }
};

/// A template that is not valid Jinja.
struct SyntaxFault {
  std::string what;
  int line = 1;
};

/// Throws SyntaxFault.
[[noreturn]] void fail_syntax(int line, std::string what);

/// The tokens of a template; the last is kEnd. Throws SyntaxFault.
std::vector<Token> tokenize(std::string_view source);

}  // namespace cpx::tokenizer::jinja
