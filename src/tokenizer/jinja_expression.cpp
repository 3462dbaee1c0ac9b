// SPDX-License-Identifier: Apache-2.0
// Source: the Jinja documentation ("Template Designer Documentation") and its precedence of
// operators; filters and tests bind tighter than any operator.
#include "jinja_expression.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "cpx/core/utf8.h"
#include "jinja_methods.h"
#include "json_node.h"

namespace cpx::tokenizer::jinja {

namespace {

constexpr int kMaxExpressionDepth = 100;
constexpr size_t kMaxTokens = 1000;  // of one tag: chains of operators nest when they run
constexpr size_t kMaxNumberDigits = 18;

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

std::optional<char32_t> parse_hex(std::string_view digits) {
  char32_t value = 0;
  for (const char c : digits) {
    if (!std::isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
    value = value * 16 + static_cast<char32_t>(std::isdigit(static_cast<unsigned char>(c))
                                                   ? c - '0'
                                                   : std::tolower(c) - 'a' + 10);
  }
  return value;
}

// Appends the escape sequence at `position` (after the backslash) and returns its end.
size_t append_escape(std::string_view source, size_t position, std::string& text) {
  const char kind = source[position];
  constexpr std::string_view kEscaped = "ntr\\'\"";
  constexpr std::string_view kMeaning = "\n\t\r\\'\"";
  if (const size_t found = kEscaped.find(kind); found != std::string_view::npos) {
    text += kMeaning[found];
    return position + 1;
  }
  const size_t num_digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 0;
  if (num_digits > 0 && position + num_digits < source.size()) {
    const auto code_point = parse_hex(source.substr(position + 1, num_digits));
    if (code_point && (*code_point < 0xD800 || *code_point > 0xDFFF)) {
      append_utf8(text, *code_point);
      return position + 1 + num_digits;
    }
  }
  text += {'\\', kind};
  return position + 1;
}

// Reads the literal that starts with the quote at `position`; returns its end.
size_t read_text(std::string_view source, size_t position, std::string& text) {
  const char quote = source[position++];
  while (position < source.size() && source[position] != quote) {
    if (source[position] == '\\' && position + 1 < source.size()) {
      position = append_escape(source, position + 1, text);
    } else {
      text += source[position++];
    }
  }
  if (position >= source.size()) fail(fmt::format("a text has no end in {}", in_quotes(source)));
  return position + 1;
}

size_t read_while(std::string_view source, size_t position, bool (*is_part)(char)) {
  while (position < source.size() && is_part(source[position])) ++position;
  return position;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t symbol_length(std::string_view rest) {
  for (const std::string_view symbol : {"==", "!=", "<=", ">=", "//"}) {
    if (rest.starts_with(symbol)) return 2;
  }
  constexpr std::string_view kSymbols = "+-*%/~<>=.,:|()[]{}";
  return kSymbols.find(rest[0]) == std::string_view::npos ? 0 : 1;
}

std::vector<Token> tokenize(std::string_view source) {
  std::vector<Token> tokens;
  for (size_t position = 0; position < source.size();) {
    const char c = source[position];
    const size_t begin = position;
    if (std::isspace(static_cast<unsigned char>(c))) {
      ++position;
    } else if (c == '\'' || c == '"') {
      Token token{Token::Kind::kText, ""};
      position = read_text(source, position, token.text);
      tokens.push_back(std::move(token));
    } else if (is_digit(c)) {
      position = read_while(source, position, is_digit);
      tokens.push_back({Token::Kind::kNumber, std::string(source.substr(begin, position - begin))});
    } else if (is_name_character(c)) {
      position = read_while(source, position, is_name_character);
      tokens.push_back({Token::Kind::kName, std::string(source.substr(begin, position - begin))});
    } else {
      const size_t length = symbol_length(source.substr(position));
      if (length == 0)
        fail(fmt::format("it has {} in {}", in_quotes(source.substr(position, 1)),
                         in_quotes(source)));
      position += length;
      tokens.push_back({Token::Kind::kSymbol, std::string(source.substr(begin, length))});
    }
  }
  if (tokens.size() > kMaxTokens) fail(fmt::format("a tag has more than {} parts", kMaxTokens));
  tokens.emplace_back();
  return tokens;
}

Expression constant(Value value) {
  return [value = std::move(value)](const Scope&) { return value; };
}

// Guards against templates that nest without end.
class DepthGuard {
 public:
  explicit DepthGuard(int& depth) : depth_(depth) {
    if (++depth_ > kMaxExpressionDepth)
      fail(fmt::format("it nests more than {} levels deep", kMaxExpressionDepth));
  }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int& depth_;
};

}  // namespace

Value Scope::find(const std::string& name) const {
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
    const auto found = frame->find(name);
    if (found != frame->end()) return found->second;
  }
  return {};
}

ExpressionParser::ExpressionParser(std::string_view source)
    : source_(source), tokens_(tokenize(source)) {}

Token ExpressionParser::next() {
  if (peek().kind == Token::Kind::kEnd) fail_here();
  return tokens_[position_++];
}

bool ExpressionParser::accept_symbol(std::string_view symbol) {
  if (!peek().is_symbol(symbol)) return false;
  ++position_;
  return true;
}

bool ExpressionParser::accept_name(std::string_view name) {
  if (!peek().is_name(name)) return false;
  ++position_;
  return true;
}

void ExpressionParser::expect_symbol(std::string_view symbol) {
  if (!accept_symbol(symbol)) fail_here();
}

std::string ExpressionParser::expect_name() {
  if (peek().kind != Token::Kind::kName) fail_here();
  return next().text;
}

void ExpressionParser::expect_end() const {
  if (peek().kind != Token::Kind::kEnd) fail_here();
}

void ExpressionParser::fail_here() const {
  const bool is_end = peek().kind == Token::Kind::kEnd;
  fail(fmt::format("{} is not understood at {}", in_quotes(source_),
                   is_end ? "its end" : in_quotes(peek().text)));
}

// value [if condition [else other]]
Expression ExpressionParser::parse() {
  const DepthGuard guard(depth_);
  Expression value = parse_or();
  if (!accept_name("if")) return value;
  Expression condition = parse_or();
  Expression other = accept_name("else") ? parse() : constant({});
  return
      [=](const Scope& scope) { return is_true(condition(scope)) ? value(scope) : other(scope); };
}

Expression ExpressionParser::parse_or() {
  Expression left = parse_and();
  while (accept_name("or")) {
    left = [left, right = parse_and()](const Scope& scope) {
      Value value = left(scope);
      return is_true(value) ? value : right(scope);
    };
  }
  return left;
}

Expression ExpressionParser::parse_and() {
  Expression left = parse_not();
  while (accept_name("and")) {
    left = [left, right = parse_not()](const Scope& scope) {
      Value value = left(scope);
      return is_true(value) ? right(scope) : value;
    };
  }
  return left;
}

Expression ExpressionParser::parse_not() {
  if (!accept_name("not")) return parse_comparison();
  const DepthGuard guard(depth_);
  return [operand = parse_not()](const Scope& scope) { return Value{!is_true(operand(scope))}; };
}

Expression ExpressionParser::parse_comparison() {
  Expression left = parse_sum();
  for (;;) {
    std::string name;
    if (peek().kind == Token::Kind::kSymbol) {
      for (const char* symbol : {"==", "!=", "<", ">", "<=", ">="}) {
        if (peek().text == symbol) name = symbol;
      }
    } else if (peek().is_name("in")) {
      name = "in";
    } else if (peek().is_name("not") && tokens_[position_ + 1].is_name("in")) {
      name = "not in";
      ++position_;
    }
    if (name.empty()) return left;
    ++position_;
    left = [left, name, right = parse_sum()](const Scope& scope) {
      return Value{compare(name, left(scope), right(scope))};
    };
  }
}

Expression ExpressionParser::parse_sum() {
  Expression left = parse_product();
  while (peek().is_symbol("+") || peek().is_symbol("-") || peek().is_symbol("~")) {
    const char symbol = next().text[0];
    left = [left, symbol, right = parse_product()](const Scope& scope) {
      return combine(symbol, left(scope), right(scope));
    };
  }
  return left;
}

Expression ExpressionParser::parse_product() {
  Expression left = parse_unary();
  while (peek().is_symbol("*") || peek().is_symbol("%") || peek().is_symbol("//")) {
    const char symbol = next().text[0];
    left = [left, symbol, right = parse_unary()](const Scope& scope) {
      return combine(symbol, left(scope), right(scope));
    };
  }
  return left;
}

Expression ExpressionParser::parse_unary() {
  if (!accept_symbol("-")) return parse_filters(parse_postfix(parse_primary()));
  const DepthGuard guard(depth_);
  return [operand = parse_unary()](const Scope& scope) {
    return combine('-', Value{int64_t{0}}, operand(scope));
  };
}

Expression ExpressionParser::parse_filters(Expression value) {
  for (;;) {
    if (accept_symbol("|")) {
      const std::string name = expect_name();
      const auto arguments = peek().is_symbol("(") ? parse_arguments() : std::vector<Expression>{};
      value = [value, name, arguments](const Scope& scope) {
        return apply_filter(name, value(scope), evaluate_all(arguments, scope));
      };
    } else if (accept_name("is")) {
      value = parse_test(value);
    } else {
      return value;
    }
  }
}

Expression ExpressionParser::parse_test(Expression value) {
  const bool is_negated = accept_name("not");
  const std::string name = expect_name();
  return [=](const Scope& scope) { return Value{test(name, value(scope)) != is_negated}; };
}

Expression ExpressionParser::parse_postfix(Expression value) {
  for (;;) {
    if (accept_symbol(".")) {
      const std::string name = expect_name();
      if (peek().is_symbol("(")) {
        const auto arguments = parse_arguments();
        value = [value, name, arguments](const Scope& scope) {
          return call_method(name, value(scope), evaluate_all(arguments, scope));
        };
      } else {
        value = [value, name](const Scope& scope) { return subscript(value(scope), Value{name}); };
      }
    } else if (accept_symbol("[")) {
      value = parse_subscript(value);
    } else {
      return value;
    }
  }
}

// [index], [begin:], [:end], [begin:end]
Expression ExpressionParser::parse_subscript(Expression value) {
  Expression begin = constant({});
  if (!peek().is_symbol(":")) {
    begin = parse();
    if (accept_symbol("]")) {
      return [=](const Scope& scope) { return subscript(value(scope), begin(scope)); };
    }
  }
  expect_symbol(":");
  Expression end = constant({});
  if (!peek().is_symbol("]")) end = parse();
  expect_symbol("]");
  return [=](const Scope& scope) { return slice(value(scope), begin(scope), end(scope)); };
}

std::vector<Expression> ExpressionParser::parse_arguments() {
  expect_symbol("(");
  std::vector<Expression> arguments;
  while (!accept_symbol(")")) {
    arguments.push_back(parse());
    if (!peek().is_symbol(")")) expect_symbol(",");
  }
  return arguments;
}

// raise_exception(text) or namespace(name=value, ...)
Expression ExpressionParser::parse_call(const std::string& name) {
  if (name != "namespace") {
    const auto arguments = parse_arguments();
    return [=](const Scope& scope) { return call(name, evaluate_all(arguments, scope)); };
  }
  expect_symbol("(");
  std::vector<std::pair<std::string, Expression>> members;
  while (!accept_symbol(")")) {
    const std::string member = expect_name();
    expect_symbol("=");
    members.emplace_back(member, parse());
    if (!peek().is_symbol(")")) expect_symbol(",");
  }
  return [=](const Scope& scope) {
    auto dict = std::make_shared<std::map<std::string, Value>>();
    for (const auto& [member, value] : members) (*dict)[member] = value(scope);
    return Value{dict};
  };
}

Expression ExpressionParser::parse_primary() {
  const DepthGuard guard(depth_);
  if (accept_symbol("(")) {
    Expression value = parse();
    expect_symbol(")");
    return value;
  }
  if (accept_symbol("[")) {
    std::vector<Expression> elements;
    while (!accept_symbol("]")) {
      elements.push_back(parse());
      if (!peek().is_symbol("]")) expect_symbol(",");
    }
    return [=](const Scope& scope) {
      return Value{std::make_shared<std::vector<Value>>(evaluate_all(elements, scope))};
    };
  }
  if (peek().kind == Token::Kind::kText) {
    std::string text = next().text;
    while (peek().kind == Token::Kind::kText) text += next().text;
    return constant(Value{text});
  }
  if (peek().kind == Token::Kind::kNumber && peek().text.size() <= kMaxNumberDigits) {
    return constant(Value{int64_t{std::stoll(next().text)}});
  }
  const std::string name = expect_name();
  if (name == "true" || name == "True") return constant(Value{true});
  if (name == "false" || name == "False") return constant(Value{false});
  if (name == "none" || name == "None") return constant(Value{None{}});
  if (peek().is_symbol("(")) return parse_call(name);
  return [name](const Scope& scope) { return scope.find(name); };
}

}  // namespace cpx::tokenizer::jinja
