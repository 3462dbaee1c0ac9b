// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6, parser.py (statements) and compiler.py (scopes); the tag `generation` is
// transformers' (chat_template_utils.py).
#include "jinja_template.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>

#include "cpx/core/text.h"
#include "jinja_expression.h"
#include "jinja_functions.h"
#include "jinja_lexer.h"
#include "jinja_loop.h"
#include "jinja_macro.h"
#include "jinja_operators.h"

namespace cpx::tokenizer::jinja {

namespace {

using Nodes = std::vector<Node>;
using Names = std::initializer_list<std::string_view>;

constexpr int kMaxBlockDepth = 50;
constexpr const char* kHint = "Give another template with --chat-template FILE.";

void append_text(Context& context, std::string& output, std::string_view text) {
  context.check_size(output.size() + text.size());
  output += text;
}

// ---- Statements ---------------------------------------------------------------------------------

Node make_text_node(std::string text) {
  return [text = std::move(text)](Context& context, std::string& output) {
    append_text(context, output, text);
    return Flow::kNormal;
  };
}

Node make_print(Expression expression, int line) {
  return [expression = std::move(expression), line](Context& context, std::string& output) {
    context.line = line;
    const Value value = expression(context);
    append_text(context, output, to_text(context, value));
    return Flow::kNormal;
  };
}

struct Branch {
  Expression condition = nullptr;  // null: else
  Nodes body = {};
  int line = 1;
};

Node make_if(std::vector<Branch> branches) {
  return [branches = std::move(branches)](Context& context, std::string& output) {
    for (const auto& branch : branches) {
      context.line = branch.line;
      if (branch.condition && !is_true(branch.condition(context))) continue;
      return run_nodes(context, branch.body, output);
    }
    return Flow::kNormal;
  };
}

Node make_set(Target target, Expression expression, int line) {
  return [target = std::move(target), expression = std::move(expression), line](Context& context,
                                                                                std::string&) {
    context.line = line;
    const Value value = expression(context);
    context.line = line;
    assign(context, target, value);
    return Flow::kNormal;
  };
}

// What a body makes, in a scope of its own, through filters: {% set x %} and {% filter f %}.
struct CapturedBody {
  Nodes body = {};
  std::vector<Link> filters = {};
  int line = 1;
};

// Returns nothing where the body ends the loop around it.
std::optional<Value> run_captured(Context& context, const CapturedBody& captured, Flow& flow) {
  std::string text;
  {
    const Context::FrameGuard frame(context);
    flow = run_nodes(context, captured.body, text);
  }
  if (flow != Flow::kNormal) return std::nullopt;
  context.spend(text.size());
  Value value = make_text(std::move(text));
  for (const auto& filter : captured.filters) value = filter(context, std::move(value));
  return value;
}

Node make_block_set(Target target, CapturedBody captured) {
  return
      [target = std::move(target), captured = std::move(captured)](Context& context, std::string&) {
        Flow flow = Flow::kNormal;
        if (const auto value = run_captured(context, captured, flow)) {
          context.line = captured.line;
          assign(context, target, *value);
        }
        return flow;
      };
}

Node make_filter_block(CapturedBody captured) {
  return [captured = std::move(captured)](Context& context, std::string& output) {
    Flow flow = Flow::kNormal;
    if (const auto value = run_captured(context, captured, flow)) {
      append_text(context, output, to_text(context, *value));
    }
    return flow;
  };
}

// A body with a scope of its own.
Node make_scope(Nodes body) {
  return [body = std::move(body)](Context& context, std::string& output) {
    const Context::FrameGuard frame(context);
    return run_nodes(context, body, output);
  };
}

// A body whose text is the assistant's. As in transformers, the text so far is that of the template
// itself, not of a macro around the block.
Node make_generation(Nodes body) {
  return [body = std::move(body)](Context& context, std::string& output) {
    std::string text;
    {
      const Context::FrameGuard frame(context);
      run_nodes(context, body, text);
    }
    context.spend(text.size());
    context.mark_generation(text.size());
    append_text(context, output, text);
    return Flow::kNormal;
  };
}

Node make_with(std::vector<std::pair<Target, Expression>> assignments, Nodes body, int line) {
  return [assignments = std::move(assignments), body = std::move(body), line](Context& context,
                                                                              std::string& output) {
    context.line = line;
    Values values;
    for (const auto& [target, expression] : assignments) values.push_back(expression(context));
    const Context::FrameGuard frame(context);
    for (size_t i = 0; i < values.size(); ++i) assign(context, assignments[i].first, values[i]);
    return run_nodes(context, body, output);
  };
}

Node make_macro_node(MacroStatement statement, int line) {
  return [statement = std::make_shared<const MacroStatement>(std::move(statement)), line](
             Context& context, std::string&) {
    context.line = line;
    context.set(statement->name, make_macro(context, statement));
    return Flow::kNormal;
  };
}

Node make_call_block(ExpressionParser::Call called, MacroStatement body, int line) {
  return
      [called = std::move(called), body = std::make_shared<const MacroStatement>(std::move(body)),
       line](Context& context, std::string& output) {
        context.line = line;
        const Value function = called.function(context);
        Arguments arguments = called.arguments.evaluate(context);
        arguments.keywords.emplace_back("caller", make_macro(context, body));
        context.line = line;
        append_text(context, output, to_text(context, call(context, function, arguments)));
        return Flow::kNormal;
      };
}

// What cpx does not do, where it is evaluated.
Node make_unknown(std::string what, int line) {
  return [what = std::move(what), line](Context& context, std::string&) -> Flow {
    context.line = line;
    fail(what);
  };
}

Node make_flow(Flow flow) {
  return [flow](Context&, std::string&) { return flow; };
}

// ---- Parsing ------------------------------------------------------------------------------------

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), expressions_(tokens_) {}

  Nodes parse() { return parse_until({}); }

  bool has_generation() const { return has_generation_; }

 private:
  // Reads nodes up to a tag of one of the statements `ends`, of which only the '{%' is consumed.
  Nodes parse_until(Names ends) {
    if (++depth_ > kMaxBlockDepth) {
      fail_syntax(tokens_.peek().line,
                  fmt::format("blocks nest more than {} levels deep", kMaxBlockDepth));
    }
    Nodes nodes;
    while (tokens_.peek().kind != Token::Kind::kEnd) {
      if (is_end(ends)) {
        tokens_.next();
        --depth_;
        return nodes;
      }
      nodes.push_back(parse_node());
    }
    if (ends.size() > 0) {
      const auto [keyword, line] = open_.back();
      fail_syntax(line, fmt::format("'{}' is not closed by '{}'", keyword, *(ends.end() - 1)));
    }
    --depth_;
    return nodes;
  }

  bool is_end(Names ends) const {
    return tokens_.peek().kind == Token::Kind::kBlockBegin &&
           std::ranges::any_of(ends, [&](auto end) { return tokens_.peek(1).is_name(end); });
  }

  // The body of a statement, from the end of its tag up to one of `ends`.
  Nodes parse_body(Names ends) {
    tokens_.accept_symbol(":");  // as Python has it
    tokens_.expect(Token::Kind::kBlockEnd);
    return parse_until(ends);
  }

  // The same where there is one end, which is consumed.
  Nodes parse_whole_body(std::string_view end) {
    Nodes body = parse_body({end});
    tokens_.expect_name(end);
    return body;
  }

  Node parse_node() {
    const Token token = tokens_.next();
    if (token.kind == Token::Kind::kData) return make_text_node(token.text);
    if (token.kind == Token::Kind::kPrintBegin) {
      Expression value = expressions_.parse_tuple();
      tokens_.expect(Token::Kind::kPrintEnd);
      return make_print(std::move(value), token.line);
    }
    if (tokens_.peek().kind != Token::Kind::kName) {
      fail_syntax(tokens_.peek().line, "a tag does not begin with the name of a statement");
    }
    const Token keyword = tokens_.next();
    open_.emplace_back(keyword.text, keyword.line);
    Node node = parse_statement(keyword);
    open_.pop_back();
    tokens_.expect(Token::Kind::kBlockEnd);
    return node;
  }

  Node parse_statement(const Token& keyword) {
    using Parse = Node (StatementParser::*)(int);
    static const std::map<std::string_view, Parse> kStatements = {
        {"for", &StatementParser::parse_for},
        {"if", &StatementParser::parse_if},
        {"set", &StatementParser::parse_set},
        {"macro", &StatementParser::parse_macro},
        {"call", &StatementParser::parse_call},
        {"filter", &StatementParser::parse_filter},
        {"with", &StatementParser::parse_with},
        {"generation", &StatementParser::parse_generation},
        {"print", &StatementParser::parse_print},
        {"break", &StatementParser::parse_break},
        {"continue", &StatementParser::parse_continue},
        {"autoescape", &StatementParser::parse_autoescape},
        {"block", &StatementParser::parse_block},
        {"include", &StatementParser::parse_foreign},
        {"import", &StatementParser::parse_foreign},
        {"from", &StatementParser::parse_foreign},
        {"extends", &StatementParser::parse_foreign}};
    const auto found = kStatements.find(keyword.text);
    if (found != kStatements.end()) return (this->*found->second)(keyword.line);
    fail_syntax(keyword.line, fmt::format("there is no statement {}", quote(keyword.text)));
  }

  // ---- Targets ----------------------------------------------------------------------------------

  Target parse_one_target(bool has_members) {
    const Token token = tokens_.peek();
    if (tokens_.accept_symbol("(")) {
      Target target = parse_target(has_members);
      tokens_.expect_symbol(")");
      return target;
    }
    Target target{.name = tokens_.expect_name(), .line = token.line};
    for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
      if (target.name == constant) {
        fail_syntax(token.line, fmt::format("it assigns to '{}'", target.name));
      }
    }
    if (has_members && tokens_.accept_symbol(".")) target.member = tokens_.expect_name();
    return target;
  }

  // name, or several with commas between them
  Target parse_target(bool has_members) {
    Target first = parse_one_target(has_members);
    if (!tokens_.peek().is_symbol(",")) return first;
    Target target{.parts = {std::move(first)}};
    const auto is_end = [&] {
      const Token& token = tokens_.peek();
      return token.is_name("in") || token.is_symbol("=") || token.is_symbol(")") ||
             token.kind == Token::Kind::kBlockEnd;
    };
    while (tokens_.accept_symbol(",") && !is_end()) {
      target.parts.push_back(parse_one_target(has_members));
    }
    return target;
  }

  // ---- Statements -------------------------------------------------------------------------------

  Node parse_for(int line) {
    ForStatement statement{.line = line};
    statement.target = parse_target(/*has_members=*/false);
    tokens_.expect_name("in");
    statement.values = expressions_.parse_tuple(/*has_condition=*/false);
    if (tokens_.accept_name("if")) statement.condition = expressions_.parse();
    statement.is_recursive = tokens_.accept_name("recursive");
    ++loop_depth_;
    statement.body = parse_body({"else", "endfor"});
    --loop_depth_;
    if (tokens_.accept_name("else")) {
      statement.otherwise = parse_whole_body("endfor");
    } else {
      tokens_.expect_name("endfor");
    }
    return make_for(std::move(statement));
  }

  Node parse_if(int line) {
    std::vector<Branch> branches;
    do {
      Branch branch{.condition = expressions_.parse_tuple(/*has_condition=*/false), .line = line};
      branch.body = parse_body({"elif", "else", "endif"});
      branches.push_back(std::move(branch));
      line = tokens_.peek().line;
    } while (tokens_.accept_name("elif"));
    if (tokens_.accept_name("else")) {
      branches.push_back({.body = parse_whole_body("endif"), .line = line});
    } else {
      tokens_.expect_name("endif");
    }
    return make_if(std::move(branches));
  }

  Node parse_set(int line) {
    Target target = parse_target(/*has_members=*/true);
    if (tokens_.accept_symbol("=")) {
      return make_set(std::move(target), expressions_.parse_tuple(), line);
    }
    CapturedBody captured{.filters = expressions_.parse_filters(), .line = line};
    captured.body = parse_whole_body("endset");
    return make_block_set(std::move(target), std::move(captured));
  }

  Node parse_filter(int line) {
    CapturedBody captured{.filters = expressions_.parse_filter_chain(), .line = line};
    captured.body = parse_whole_body("endfilter");
    return make_filter_block(std::move(captured));
  }

  Node parse_with(int line) {
    std::vector<std::pair<Target, Expression>> assignments;
    while (tokens_.peek().kind != Token::Kind::kBlockEnd) {
      if (!assignments.empty()) tokens_.expect_symbol(",");
      Target target = parse_one_target(/*has_members=*/false);
      tokens_.expect_symbol("=");
      assignments.emplace_back(std::move(target), expressions_.parse());
    }
    return make_with(std::move(assignments), parse_whole_body("endwith"), line);
  }

  void parse_parameters(MacroStatement& macro) {
    tokens_.expect_symbol("(");
    while (!tokens_.accept_symbol(")")) {
      const int line = tokens_.peek().line;
      macro.parameters.push_back(tokens_.expect_name());
      if (tokens_.accept_symbol("=")) {
        macro.defaults.push_back(expressions_.parse());
      } else if (!macro.defaults.empty()) {
        fail_syntax(line, "a parameter without a default stands behind one with a default");
      }
      if (!tokens_.peek().is_symbol(")")) tokens_.expect_symbol(",");
    }
  }

  // A body that runs as a function: a loop around it is not its own.
  void parse_function_body(MacroStatement& macro, std::string_view end) {
    std::set<std::string> outer = std::exchange(expressions_.names_read, {});
    const int loop_depth = std::exchange(loop_depth_, 0);
    macro.body = parse_whole_body(end);
    loop_depth_ = loop_depth;
    const auto reads = [&](const char* name) {
      const auto is_parameter = std::ranges::find(macro.parameters, name);
      return expressions_.names_read.contains(name) && is_parameter == macro.parameters.end();
    };
    macro.reads_caller = reads("caller");
    macro.reads_keywords = reads("kwargs");
    macro.reads_positional = reads("varargs");
    expressions_.names_read.merge(outer);
  }

  Node parse_macro(int line) {
    MacroStatement macro{.name = tokens_.expect_name()};
    parse_parameters(macro);
    parse_function_body(macro, "endmacro");
    return make_macro_node(std::move(macro), line);
  }

  Node parse_call(int line) {
    MacroStatement body;
    if (tokens_.peek().is_symbol("(")) parse_parameters(body);
    ExpressionParser::Call called = expressions_.parse_call();
    parse_function_body(body, "endcall");
    return make_call_block(std::move(called), std::move(body), line);
  }

  // Marks the assistant's part of a text; prints what is in it.
  Node parse_generation(int) {
    MacroStatement body;
    parse_function_body(body, "endgeneration");
    has_generation_ = true;
    return make_generation(std::move(body.body));
  }

  Node parse_print(int line) {
    Nodes prints;
    while (tokens_.peek().kind != Token::Kind::kBlockEnd) {
      if (!prints.empty()) tokens_.expect_symbol(",");
      prints.push_back(make_print(expressions_.parse(), line));
    }
    return [prints = std::move(prints)](Context& context, std::string& output) {
      return run_nodes(context, prints, output);
    };
  }

  Node parse_loop_end(Flow flow, const char* name, int line) const {
    if (loop_depth_ == 0) fail_syntax(line, fmt::format("'{}' stands outside of a loop", name));
    return make_flow(flow);
  }
  Node parse_break(int line) { return parse_loop_end(Flow::kBreak, "break", line); }
  Node parse_continue(int line) { return parse_loop_end(Flow::kContinue, "continue", line); }

  Node parse_autoescape(int line) {
    Expression is_on = expressions_.parse();
    Node body = make_scope(parse_whole_body("endautoescape"));
    return [is_on, body, line](Context& context, std::string& output) {
      context.line = line;
      if (is_true(is_on(context))) fail("it uses the statement 'autoescape', which cpx lacks");
      return body(context, output);
    };
  }

  Node parse_block(int line) {
    const std::string name = tokens_.expect_name();
    tokens_.accept_name("scoped");
    tokens_.accept_name("required");
    parse_whole_body("endblock");
    tokens_.accept_name(name);
    return make_unknown("it uses the statement 'block', which cpx does not know", line);
  }

  // What takes other templates in: a chat template stands alone.
  Node parse_foreign(int line) {
    const std::string keyword = open_.back().first;
    while (tokens_.peek().kind != Token::Kind::kBlockEnd) tokens_.next();
    return make_unknown(
        fmt::format("it uses the statement '{}', but a chat template stands alone", keyword), line);
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loop_depth_ = 0;
  bool has_generation_ = false;
  // Statements that are being read, with their lines.
  std::vector<std::pair<std::string, int>> open_;
};

// On one line: a template's own text may have others.
std::string one_line(std::string what) {
  for (auto& c : what) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return what;
}

[[noreturn]] void fail_rendering(int line, const std::string& what) {
  throw_<DataError>("[render_chat] the chat template cannot be rendered: line {}: {}. {}", line,
                    one_line(what), kHint);
}

}  // namespace

Template::Template(std::string_view source) {
  try {
    StatementParser parser(tokenize(source));
    nodes_ = parser.parse();
    has_generation_ = parser.has_generation();
  } catch (const SyntaxFault& fault) {
    fail_rendering(fault.line, fault.what);
  }
}

Rendering Template::render(std::map<std::string, Value> variables, const Clock& clock) const {
  Context context(std::move(variables), clock);
  try {
    std::string output;
    context.set_root(output);
    run_nodes(context, nodes_, output);
    return {.text = std::move(output), .generations = context.take_generations()};
  } catch (const TemplateFault& fault) {
    if (!fault.is_refusal) fail_rendering(context.line, fault.what);
    throw_<DataError>("[render_chat] the model's chat template refuses this conversation: {}",
                      one_line(fault.what));
  }
}

}  // namespace cpx::tokenizer::jinja
