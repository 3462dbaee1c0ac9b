// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6, parser.py: its grammar and the precedence of its operators.
#include "jinja_expression.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "cpx/core/text.h"
#include "jinja_functions.h"
#include "jinja_operators.h"

namespace cpx::tokenizer::jinja {

namespace {

constexpr int kMaxExpressionDepth = 100;

Expression constant(Value value) {
  return [value = std::move(value)](Context&) { return value; };
}

// What a token is called in messages.
std::string token_name(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kData:
      return "text";
    case Token::Kind::kPrintBegin:
      return "'{{'";
    case Token::Kind::kPrintEnd:
      return "'}}'";
    case Token::Kind::kBlockBegin:
      return "'{%'";
    case Token::Kind::kBlockEnd:
      return "'%}'";
    case Token::Kind::kEnd:
      return "the end of the template";
    default:
      return quote(token.text);
  }
}

// A number that int64_t cannot hold is an error where it is used.
Expression integer_literal(const Token& token) {
  std::string_view digits = token.text;
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0') {
    const int mark = digits[1] | 0x20;
    base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    if (base != 10) digits.remove_prefix(2);
  }
  int64_t number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (result.ec == std::errc()) return constant({number});
  return [text = token.text, line = token.line](Context& context) -> Value {
    context.line = line;
    fail(fmt::format("the number {} is too large", quote(text)));
  };
}

Expression float_literal(const Token& token) {
  double number = 0;
  std::from_chars(token.text.data(), token.text.data() + token.text.size(), number);
  return constant({number});
}

Link binary(std::string symbol, Expression right, int line) {
  return
      [symbol = std::move(symbol), right = std::move(right), line](Context& context, Value left) {
        const Value other = right(context);
        context.line = line;
        return combine(context, symbol, left, other);
      };
}

// a < b <= c: every operand is asked for once, and none behind the first that fails.
Expression comparison(Expression first, std::vector<std::pair<std::string, Expression>> rest,
                      int line) {
  return [first = std::move(first), rest = std::move(rest), line](Context& context) {
    const Context::DepthGuard guard(context);
    Value left = first(context);
    for (const auto& [symbol, expression] : rest) {
      Value right = expression(context);
      context.line = line;
      if (!compare(context, symbol, left, right)) return Value{false};
      left = std::move(right);
    }
    return Value{true};
  };
}

}  // namespace

Expression chain(Expression first, std::vector<Link> links) {
  if (links.empty()) return first;
  return [first = std::move(first), links = std::move(links)](Context& context) {
    const Context::DepthGuard guard(context);
    Value value = first(context);
    for (const auto& link : links) value = link(context, std::move(value));
    return value;
  };
}

Arguments ArgumentExpressions::evaluate(Context& context) const {
  Arguments arguments;
  for (const auto& expression : positional) arguments.positional.push_back(expression(context));
  for (const auto& [name, expression] : keywords) {
    arguments.keywords.emplace_back(name, expression(context));
  }
  if (more_positional) {
    for (auto& value : elements_of(context, more_positional(context))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (more_keywords) {
    const Value more = more_keywords(context);
    const auto* dict = more.as<DictRef>();
    if (dict == nullptr) fail("'**' stands in front of a value of the type " + type_name(more));
    for (const auto& [key, value] : (*dict)->entries()) {
      if (key.text() == nullptr) fail("'**' is given a key that is no str");
      arguments.keywords.emplace_back(*key.text(), value);
    }
  }
  return arguments;
}

// ---- Tokens -------------------------------------------------------------------------------------

Token TokenStream::next() {
  Token token = peek();
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool TokenStream::accept_symbol(std::string_view symbol) {
  if (!peek().is_symbol(symbol)) return false;
  ++position_;
  return true;
}

bool TokenStream::accept_name(std::string_view name) {
  if (!peek().is_name(name)) return false;
  ++position_;
  return true;
}

void TokenStream::expect_symbol(std::string_view symbol) {
  if (accept_symbol(symbol)) return;
  fail_syntax(peek().line, fmt::format("got {}, expected '{}'", token_name(peek()), symbol));
}

std::string TokenStream::expect_name() {
  if (peek().kind == Token::Kind::kName) return next().text;
  fail_syntax(peek().line, fmt::format("got {}, expected a name", token_name(peek())));
}

void TokenStream::expect_name(std::string_view name) {
  if (accept_name(name)) return;
  fail_syntax(peek().line, fmt::format("got {}, expected '{}'", token_name(peek()), name));
}

void TokenStream::expect(Token::Kind kind) {
  if (peek().kind != kind) {
    fail_syntax(peek().line,
                fmt::format("got {}, expected {}", token_name(peek()), token_name({.kind = kind})));
  }
  next();
}

void TokenStream::fail_here() const {
  fail_syntax(peek().line, fmt::format("got {}, expected an expression", token_name(peek())));
}

// ---- Expressions, from the loosest operator to the tightest -------------------------------------

// Guards against templates that nest without end.
class ExpressionParser::DepthGuard {
 public:
  explicit DepthGuard(ExpressionParser& parser) : depth_(parser.depth_) {
    if (++depth_ > kMaxExpressionDepth) {
      fail_syntax(parser.tokens_.peek().line,
                  fmt::format("an expression nests more than {} levels deep", kMaxExpressionDepth));
    }
  }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int& depth_;
};

// value [if condition [else other]]
Expression ExpressionParser::parse(bool has_condition) {
  const DepthGuard guard(*this);
  Expression value = parse_or();
  while (has_condition && tokens_.accept_name("if")) {
    Expression condition = parse_or();
    Expression other = tokens_.accept_name("else")
                           ? parse()
                           : constant(make_undefined("the inline 'if' has no 'else' and is false"));
    value = [value, condition, other](Context& context) {
      const Context::DepthGuard depth(context);
      return is_true(condition(context)) ? value(context) : other(context);
    };
  }
  return value;
}

bool ExpressionParser::is_tuple_end() const {
  const Token& token = tokens_.peek();
  return token.kind == Token::Kind::kPrintEnd || token.kind == Token::Kind::kBlockEnd ||
         token.is_symbol(")") || token.is_name("recursive");
}

Expression ExpressionParser::parse_tuple(bool has_condition) {
  Expression first = parse(has_condition);
  if (!tokens_.peek().is_symbol(",")) return first;
  std::vector<Expression> elements = {std::move(first)};
  while (tokens_.accept_symbol(",") && !is_tuple_end()) elements.push_back(parse(has_condition));
  return [elements = std::move(elements)](Context& context) {
    Values values;
    for (const auto& element : elements) values.push_back(element(context));
    return make_sequence(Sequence::Kind::kTuple, std::move(values));
  };
}

Expression ExpressionParser::parse_or() {
  Expression first = parse_and();
  std::vector<Link> links;
  while (tokens_.accept_name("or")) {
    links.push_back([right = parse_and()](Context& context, Value left) {
      return is_true(left) ? left : right(context);
    });
  }
  return chain(std::move(first), std::move(links));
}

Expression ExpressionParser::parse_and() {
  Expression first = parse_not();
  std::vector<Link> links;
  while (tokens_.accept_name("and")) {
    links.push_back([right = parse_not()](Context& context, Value left) {
      return is_true(left) ? right(context) : left;
    });
  }
  return chain(std::move(first), std::move(links));
}

Expression ExpressionParser::parse_not() {
  if (!tokens_.accept_name("not")) return parse_comparison();
  const DepthGuard guard(*this);
  return [operand = parse_not()](Context& context) { return Value{!is_true(operand(context))}; };
}

Expression ExpressionParser::parse_comparison() {
  const int line = tokens_.peek().line;
  Expression first = parse_sum();
  std::vector<std::pair<std::string, Expression>> rest;
  while (true) {
    std::string symbol;
    for (const char* known : {"==", "!=", "<", ">", "<=", ">="}) {
      if (tokens_.peek().is_symbol(known)) symbol = known;
    }
    if (tokens_.peek().is_name("in")) symbol = "in";
    if (tokens_.peek().is_name("not") && tokens_.peek(1).is_name("in")) {
      tokens_.next();
      symbol = "not in";
    }
    if (symbol.empty()) break;
    tokens_.next();
    Expression right = parse_sum();
    rest.emplace_back(std::move(symbol), std::move(right));
  }
  return rest.empty() ? first : comparison(std::move(first), std::move(rest), line);
}

Expression ExpressionParser::parse_sum() {
  Expression first = parse_concatenation();
  std::vector<Link> links;
  while (tokens_.peek().is_symbol("+") || tokens_.peek().is_symbol("-")) {
    const Token symbol = tokens_.next();
    links.push_back(binary(symbol.text, parse_concatenation(), symbol.line));
  }
  return chain(std::move(first), std::move(links));
}

// a ~ b ~ c: joined as texts.
Expression ExpressionParser::parse_concatenation() {
  std::vector<Expression> parts = {parse_product()};
  while (tokens_.accept_symbol("~")) parts.push_back(parse_product());
  if (parts.size() == 1) return parts[0];
  return [parts = std::move(parts)](Context& context) {
    const Context::DepthGuard guard(context);
    std::string text;
    for (const auto& part : parts) {
      text += to_text(context, part(context));
      context.check_size(text.size());
    }
    context.spend(text.size());
    return make_text(std::move(text));
  };
}

Expression ExpressionParser::parse_product() {
  Expression first = parse_power();
  std::vector<Link> links;
  const auto is_product = [](const Token& token) {
    return token.is_symbol("*") || token.is_symbol("/") || token.is_symbol("//") ||
           token.is_symbol("%");
  };
  while (is_product(tokens_.peek())) {
    const Token symbol = tokens_.next();
    links.push_back(binary(symbol.text, parse_power(), symbol.line));
  }
  return chain(std::move(first), std::move(links));
}

Expression ExpressionParser::parse_power() {
  Expression first = parse_unary();
  std::vector<Link> links;
  while (tokens_.peek().is_symbol("**")) {
    const int line = tokens_.next().line;
    links.push_back(binary("**", parse_unary(), line));
  }
  return chain(std::move(first), std::move(links));
}

// A sign binds tighter than a filter and looser than a member: -a.b|abs is (-(a.b))|abs.
Expression ExpressionParser::parse_unary(bool has_filters) {
  std::vector<Link> links;
  Expression value;
  if (tokens_.peek().is_symbol("-") || tokens_.peek().is_symbol("+")) {
    const DepthGuard guard(*this);
    const Token sign = tokens_.next();
    value = [operand = parse_unary(/*has_filters=*/false), is_minus = sign.text == "-",
             line = sign.line](Context& context) {
      const Value operand_value = operand(context);
      context.line = line;
      return negate(operand_value, is_minus);
    };
  } else {
    value = parse_primary();
  }
  parse_postfix(links);
  if (has_filters) parse_filters_and_tests(links);
  return chain(std::move(value), std::move(links));
}

// ---- What stands behind a value -----------------------------------------------------------------

void ExpressionParser::parse_members_and_items(std::vector<Link>& links) {
  while (true) {
    if (tokens_.peek().is_symbol(".")) {
      links.push_back(parse_member());
    } else if (tokens_.peek().is_symbol("[")) {
      links.push_back(parse_item());
    } else {
      return;
    }
  }
}

void ExpressionParser::parse_postfix(std::vector<Link>& links) {
  while (true) {
    parse_members_and_items(links);
    if (!tokens_.peek().is_symbol("(")) return;
    const int line = tokens_.peek().line;
    links.push_back([arguments = parse_arguments(), line](Context& context, Value function) {
      const Arguments given = arguments.evaluate(context);
      context.line = line;
      return call(context, function, given);
    });
  }
}

void ExpressionParser::parse_filters_and_tests(std::vector<Link>& links) {
  while (true) {
    if (tokens_.accept_symbol("|")) {
      links.push_back(parse_filter());
    } else if (tokens_.accept_name("is")) {
      links.push_back(parse_test());
    } else if (tokens_.peek().is_symbol("(")) {
      parse_postfix(links);
    } else {
      return;
    }
  }
}

ExpressionParser::Call ExpressionParser::parse_call() {
  const int line = tokens_.peek().line;
  Expression value = parse_primary();
  std::vector<Link> links;
  parse_members_and_items(links);
  if (!tokens_.peek().is_symbol("(")) fail_syntax(line, "'call' is followed by no call");
  return {.function = chain(std::move(value), std::move(links)),
          .arguments = parse_arguments(),
          .line = line};
}

std::vector<Link> ExpressionParser::parse_filters() {
  std::vector<Link> links;
  while (tokens_.accept_symbol("|")) links.push_back(parse_filter());
  return links;
}

std::vector<Link> ExpressionParser::parse_filter_chain() {
  std::vector<Link> links = {parse_filter()};
  while (tokens_.accept_symbol("|")) links.push_back(parse_filter());
  return links;
}

Link ExpressionParser::parse_member() {
  const int line = tokens_.next().line;
  if (tokens_.peek().kind == Token::Kind::kInteger) {
    return [index = integer_literal(tokens_.next()), line](Context& context, Value value) {
      const Value place = index(context);
      context.line = line;
      return get_item(context, value, place);
    };
  }
  return [name = tokens_.expect_name(), line](Context& context, Value value) {
    context.line = line;
    return get_attribute(context, value, name);
  };
}

// The limits of begin:end:step behind the first ':'; what is left out is none.
std::vector<Expression> ExpressionParser::parse_slice(std::vector<Expression> limits) {
  const auto has_limit = [&] {
    return !tokens_.peek().is_symbol(":") && !tokens_.peek().is_symbol("]") &&
           !tokens_.peek().is_symbol(",");
  };
  limits.push_back(has_limit() ? parse() : constant({None{}}));
  const bool has_step = tokens_.accept_symbol(":") && has_limit();
  limits.push_back(has_step ? parse() : constant({None{}}));
  return limits;
}

// [index] or [begin:end:step]
Link ExpressionParser::parse_item() {
  const int line = tokens_.next().line;
  const bool has_begin = !tokens_.peek().is_symbol(":");
  Expression index = has_begin ? parse_tuple() : constant({None{}});
  if (!tokens_.accept_symbol(":")) {
    tokens_.expect_symbol("]");
    return [index, line](Context& context, Value value) {
      const Value place = index(context);
      context.line = line;
      return get_item(context, value, place);
    };
  }
  const auto limits = parse_slice({index});
  tokens_.expect_symbol("]");
  return [limits, line](Context& context, Value value) {
    const Value begin = limits[0](context);
    const Value end = limits[1](context);
    const Value step = limits[2](context);
    context.line = line;
    return slice(context, value, begin, end, step);
  };
}

Link ExpressionParser::parse_filter() {
  const int line = tokens_.peek().line;
  std::string name = tokens_.expect_name();
  while (tokens_.accept_symbol(".")) name += "." + tokens_.expect_name();
  ArgumentExpressions arguments;
  if (tokens_.peek().is_symbol("(")) arguments = parse_arguments();
  return [name, arguments, line](Context& context, Value value) {
    const Arguments given = arguments.evaluate(context);
    context.line = line;
    return apply_filter(context, name, value, given);
  };
}

Link ExpressionParser::parse_test() {
  const int line = tokens_.peek().line;
  const bool is_negated = tokens_.accept_name("not");
  std::string name = tokens_.expect_name();
  while (tokens_.accept_symbol(".")) name += "." + tokens_.expect_name();
  return
      [name, arguments = parse_test_arguments(), is_negated, line](Context& context, Value value) {
        const Arguments given = arguments.evaluate(context);
        context.line = line;
        return Value{apply_test(context, name, value, given) != is_negated};
      };
}

// (arguments), or one argument without parentheses: `x is divisibleby 3`.
ArgumentExpressions ExpressionParser::parse_test_arguments() {
  const Token& token = tokens_.peek();
  if (token.is_symbol("(")) return parse_arguments();
  const bool is_literal =
      token.kind == Token::Kind::kString || token.kind == Token::Kind::kInteger ||
      token.kind == Token::Kind::kFloat || token.is_symbol("[") || token.is_symbol("{");
  const bool is_argument = token.kind == Token::Kind::kName && !token.is_name("else") &&
                           !token.is_name("or") && !token.is_name("and");
  if (!is_literal && !is_argument) return {};
  if (token.is_name("is")) fail_syntax(token.line, "a test stands behind another one");
  Expression value = parse_primary();
  std::vector<Link> links;
  parse_postfix(links);
  return {.positional = {chain(std::move(value), std::move(links))}};
}

ArgumentExpressions ExpressionParser::parse_arguments() {
  const int line = tokens_.next().line;
  ArgumentExpressions arguments;
  const auto check = [&](bool is_in_order) {
    if (!is_in_order) fail_syntax(line, "the arguments of a call are not in their order");
  };
  while (!tokens_.accept_symbol(")")) {
    if (tokens_.accept_symbol("*")) {
      check(!arguments.more_positional && !arguments.more_keywords);
      arguments.more_positional = parse();
    } else if (tokens_.accept_symbol("**")) {
      check(!arguments.more_keywords);
      arguments.more_keywords = parse();
    } else if (tokens_.peek().kind == Token::Kind::kName && tokens_.peek(1).is_symbol("=")) {
      check(!arguments.more_keywords);
      std::string name = tokens_.next().text;
      tokens_.next();
      arguments.keywords.emplace_back(std::move(name), parse());
    } else {
      check(!arguments.more_positional && !arguments.more_keywords && arguments.keywords.empty());
      arguments.positional.push_back(parse());
    }
    if (!tokens_.peek().is_symbol(")")) tokens_.expect_symbol(",");
  }
  return arguments;
}

// ---- Values -------------------------------------------------------------------------------------

Expression ExpressionParser::parse_primary() {
  const Token& token = tokens_.peek();
  if (token.kind == Token::Kind::kName) return parse_name();
  if (token.is_symbol("(")) return parse_parentheses();
  if (token.is_symbol("[")) return parse_list();
  if (token.is_symbol("{")) return parse_dict();
  return parse_literal();
}

Expression ExpressionParser::parse_name() {
  const Token token = tokens_.next();
  if (token.text == "true" || token.text == "True") return constant({true});
  if (token.text == "false" || token.text == "False") return constant({false});
  if (token.text == "none" || token.text == "None") return constant({None{}});
  names_read.insert(token.text);
  return [name = token.text](Context& context) { return context.find(name); };
}

Expression ExpressionParser::parse_literal() {
  const Token& token = tokens_.peek();
  if (token.kind == Token::Kind::kInteger) return integer_literal(tokens_.next());
  if (token.kind == Token::Kind::kFloat) return float_literal(tokens_.next());
  if (token.kind != Token::Kind::kString) tokens_.fail_here();
  std::string text;
  while (tokens_.peek().kind == Token::Kind::kString) text += tokens_.next().text;
  return constant(make_text(std::move(text)));
}

// (value), or a tuple: (), (a,), (a, b)
Expression ExpressionParser::parse_parentheses() {
  tokens_.next();
  Expression value = tokens_.peek().is_symbol(")")
                         ? constant(make_sequence(Sequence::Kind::kTuple, {}))
                         : parse_tuple();
  tokens_.expect_symbol(")");
  return value;
}

Expression ExpressionParser::parse_list() {
  tokens_.next();
  std::vector<Expression> elements;
  while (!tokens_.accept_symbol("]")) {
    elements.push_back(parse());
    if (!tokens_.peek().is_symbol("]")) tokens_.expect_symbol(",");
  }
  return [elements = std::move(elements)](Context& context) {
    const Context::DepthGuard guard(context);
    context.spend(elements.size() * sizeof(Value));
    Values values;
    for (const auto& element : elements) values.push_back(element(context));
    return make_list(std::move(values));
  };
}

Expression ExpressionParser::parse_dict() {
  tokens_.next();
  std::vector<std::pair<Expression, Expression>> entries;
  while (!tokens_.accept_symbol("}")) {
    Expression key = parse();
    tokens_.expect_symbol(":");
    entries.emplace_back(std::move(key), parse());
    if (!tokens_.peek().is_symbol("}")) tokens_.expect_symbol(",");
  }
  return [entries = std::move(entries)](Context& context) {
    const Context::DepthGuard guard(context);
    context.spend(entries.size() * sizeof(Value));
    auto dict = std::make_shared<Dict>();
    for (const auto& [key, value] : entries) {
      const Value its_key = key(context);
      dict->set(its_key, value(context));
    }
    return Value{DictRef(std::move(dict))};
  };
}

}  // namespace cpx::tokenizer::jinja
