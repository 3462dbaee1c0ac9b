// SPDX-License-Identifier: Apache-2.0
// Expressions of a template, compiled to closures.
#pragma once

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja_context.h"
#include "jinja_lexer.h"
#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

using Expression = std::function<Value(Context&)>;
/// What stands behind a value: an operator, a member, a call, a filter.
using Link = std::function<Value(Context&, Value)>;

/// The expressions of a call's arguments.
struct ArgumentExpressions {
  std::vector<Expression> positional = {};
  std::vector<std::pair<std::string, Expression>> keywords = {};
  Expression more_positional = nullptr;  // *list
  Expression more_keywords = nullptr;    // **dict

  Arguments evaluate(Context& context) const;
};

/// The tokens of a template, and what has been read of them.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(position_ + ahead, tokens_.size() - 1)];
  }
  Token next();
  bool accept_symbol(std::string_view symbol);
  bool accept_name(std::string_view name);
  /// Each throws SyntaxFault unless the next token is that one.
  void expect_symbol(std::string_view symbol);
  std::string expect_name();
  void expect_name(std::string_view name);
  void expect(Token::Kind kind);
  /// Throws SyntaxFault at the next token.
  [[noreturn]] void fail_here() const;

 private:
  std::vector<Token> tokens_;
  size_t position_ = 0;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// An expression; without `if` where `has_condition` is false, as the list of a loop is.
  Expression parse(bool has_condition = true);
  /// The same, or several with commas between them, which make a tuple.
  Expression parse_tuple(bool has_condition = true);
  /// | filter | filter(arguments)..., which may be none.
  std::vector<Link> parse_filters();
  /// filter(arguments) | filter..., where no '|' stands in front of the first.
  std::vector<Link> parse_filter_chain();
  /// A call alone, as {% call %} has it: the function, and the expressions of its arguments.
  struct Call {
    Expression function;
    ArgumentExpressions arguments;
    int line = 1;
  };
  Call parse_call();

  /// Names that were read since the set was cleared, for what a macro's body asks for.
  std::set<std::string> names_read;

 private:
  class DepthGuard;
  Expression parse_or();
  Expression parse_and();
  Expression parse_not();
  Expression parse_comparison();
  Expression parse_sum();
  Expression parse_concatenation();
  Expression parse_product();
  Expression parse_power();
  Expression parse_unary(bool has_filters = true);
  Expression parse_primary();
  Expression parse_literal();
  Expression parse_list();
  Expression parse_dict();
  Expression parse_parentheses();
  Expression parse_name();
  void parse_members_and_items(std::vector<Link>& links);
  void parse_postfix(std::vector<Link>& links);
  void parse_filters_and_tests(std::vector<Link>& links);
  Link parse_member();
  Link parse_item();
  Link parse_filter();
  Link parse_test();
  std::vector<Expression> parse_slice(std::vector<Expression> begin);
  ArgumentExpressions parse_arguments();
  ArgumentExpressions parse_test_arguments();
  bool is_tuple_end() const;

  TokenStream& tokens_;
  int depth_ = 0;
};

/// `first` with what stands behind it.
Expression chain(Expression first, std::vector<Link> links);

}  // namespace cpx::tokenizer::jinja
