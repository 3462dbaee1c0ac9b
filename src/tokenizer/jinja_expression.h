// SPDX-License-Identifier: Apache-2.0
// Expressions of the part of Jinja that chat templates use, compiled to closures.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

/// The variables that a template sees: a loop's body has a frame of its own, what is set there is
/// gone after the iteration.
class Scope {
 public:
  Scope() : frames_(1) {}

  /// Undefined where the name is not set.
  Value find(const std::string& name) const;
  void set(const std::string& name, Value value) { frames_.back()[name] = std::move(value); }
  void push() { frames_.emplace_back(); }
  void pop() { frames_.pop_back(); }

 private:
  std::vector<std::map<std::string, Value>> frames_;
};

using Expression = std::function<Value(const Scope&)>;

struct Token {
  enum class Kind { kName, kText, kNumber, kSymbol, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;

  bool is_symbol(std::string_view symbol) const { return kind == Kind::kSymbol && text == symbol; }
  bool is_name(std::string_view name) const { return kind == Kind::kName && text == name; }
};

/// Reads the inside of a tag.
class ExpressionParser {
 public:
  /// Throws DataError on characters that no token starts with.
  explicit ExpressionParser(std::string_view source);

  Expression parse();
  /// An expression without `if`, as the list of a loop is.
  Expression parse_unconditional() { return parse_or(); }
  /// The next token, which is consumed.
  Token next();
  const Token& peek() const { return tokens_[position_]; }
  bool accept_symbol(std::string_view symbol);
  bool accept_name(std::string_view name);
  /// Throws DataError unless the next token is that symbol, or a name.
  void expect_symbol(std::string_view symbol);
  std::string expect_name();
  /// Throws DataError unless everything is read.
  void expect_end() const;

 private:
  [[noreturn]] void fail_here() const;
  Expression parse_or();
  Expression parse_and();
  Expression parse_not();
  Expression parse_comparison();
  Expression parse_sum();
  Expression parse_product();
  Expression parse_unary();
  Expression parse_filters(Expression value);
  Expression parse_test(Expression value);
  Expression parse_postfix(Expression value);
  Expression parse_subscript(Expression value);
  Expression parse_primary();
  Expression parse_call(const std::string& name);
  std::vector<Expression> parse_arguments();

  std::string source_;
  std::vector<Token> tokens_;
  size_t position_ = 0;
  int depth_ = 0;
};

}  // namespace cpx::tokenizer::jinja
