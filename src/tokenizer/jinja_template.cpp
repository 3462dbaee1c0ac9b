// SPDX-License-Identifier: Apache-2.0
#include "jinja_template.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "json_node.h"

namespace cpx::tokenizer::jinja {

namespace {

using Node = Template::Node;
using Nodes = std::vector<Node>;

constexpr int kMaxBlockDepth = 50;

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// ---- Text and tags
// -------------------------------------------------------------------------------

struct Segment {
  enum class Kind { kText, kPrint, kStatement };
  Kind kind = Kind::kText;
  std::string content;
};

std::string normalize_newlines(std::string_view source) {
  std::string result;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else if (i + 1 >= source.size() || source[i + 1] != '\n') {
      result += '\n';
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

// The end of the tag whose inside starts at `position`: where `close` stands outside of texts.
size_t find_close(std::string_view source, size_t position, std::string_view close) {
  char quote = 0;
  for (; position < source.size(); ++position) {
    const char c = source[position];
    if (quote != 0) {
      if (c == '\\') ++position;
      if (c == quote) quote = 0;
    } else if (source.substr(position).starts_with(close)) {
      return position;
    } else if (close != "#}" && (c == '\'' || c == '"')) {
      quote = c;
    }
  }
  fail(fmt::format("a tag is not closed by '{}'", close));
}

// Cuts a template into text and tags and applies the white space control.
class Splitter {
 public:
  explicit Splitter(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Segment> split() {
    while (position_ < source_.size()) {
      const size_t open = find_open();
      std::string text = source_.substr(position_, open - position_);
      if (open >= source_.size()) {
        add(Segment::Kind::kText, std::move(text));
        break;
      }
      read_tag(std::move(text), open);
    }
    return std::move(segments_);
  }

 private:
  size_t find_open() const {
    for (size_t i = position_; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' && std::string_view("{%#").find(source_[i + 1]) != std::string::npos) {
        return i;
      }
    }
    return source_.size();
  }

  void add(Segment::Kind kind, std::string content) {
    if (kind == Segment::Kind::kText && content.empty()) return;
    segments_.push_back({kind, std::move(content)});
  }

  void read_tag(std::string text, size_t open) {
    const char kind = source_[open + 1];
    const std::string close = kind == '{' ? "}}" : std::string(1, kind) + "}";
    size_t begin = open + 2;
    const char control = begin < source_.size() ? source_[begin] : '\0';
    if (control == '-' || control == '+') ++begin;
    size_t end = find_close(source_, begin, close);
    position_ = end + 2;
    const char end_control = end > begin ? source_[end - 1] : '\0';
    if (end_control == '-' || end_control == '+') --end;

    strip_before(text, kind, control);
    add(Segment::Kind::kText, std::move(text));
    const std::string content = source_.substr(begin, end - begin);
    if (kind == '{') add(Segment::Kind::kPrint, content);
    if (kind == '%') add(Segment::Kind::kStatement, content);
    skip_after(kind, end_control);
  }

  // White space in front of a tag: all with '-', else what stands alone in front of a block.
  void strip_before(std::string& text, char kind, char control) const {
    if (control == '-') {
      while (!text.empty() && is_space(text.back())) text.pop_back();
      return;
    }
    if (kind == '{' || control == '+') return;
    const size_t newline = text.rfind('\n');
    if (newline == std::string::npos && !starts_line_) return;
    const size_t line = newline == std::string::npos ? 0 : newline + 1;
    if (std::all_of(text.begin() + static_cast<ptrdiff_t>(line), text.end(), is_space)) {
      text.resize(line);
    }
  }

  // White space behind a tag: all with '-', else the end of the line behind a block.
  void skip_after(char kind, char control) {
    const size_t start = position_;
    if (control == '-') {
      while (position_ < source_.size() && is_space(source_[position_])) ++position_;
    } else if (kind != '{' && control != '+' && position_ < source_.size() &&
               source_[position_] == '\n') {
      ++position_;
    }
    starts_line_ = position_ > start && source_[position_ - 1] == '\n';
  }

  std::string source_;
  size_t position_ = 0;
  bool starts_line_ = true;
  std::vector<Segment> segments_;
};

// ---- Statements
// ----------------------------------------------------------------------------------

void run(const Nodes& nodes, Scope& scope, std::string& output) {
  for (const auto& node : nodes) node(scope, output);
}

Value loop_variable(size_t index, size_t count) {
  auto loop = std::make_shared<std::map<std::string, Value>>();
  (*loop)["index0"] = {static_cast<int64_t>(index)};
  (*loop)["index"] = {static_cast<int64_t>(index) + 1};
  (*loop)["first"] = {index == 0};
  (*loop)["last"] = {index + 1 == count};
  (*loop)["length"] = {static_cast<int64_t>(count)};
  return {loop};
}

// The elements that a loop visits.
std::vector<Value> select(const std::string& name, const Value& values, const Expression& condition,
                          Scope& scope) {
  if (values.is_undefined()) return {};
  const auto* list = values.as<List>();
  if (list == nullptr) fail("it loops over " + type_name(values));
  if (!condition) return **list;
  std::vector<Value> kept;
  for (const auto& element : **list) {
    scope.push();
    scope.set(name, element);
    if (is_true(condition(scope))) kept.push_back(element);
    scope.pop();
  }
  return kept;
}

Node make_for(std::string name, Expression sequence, Expression condition, Nodes body) {
  return [=](Scope& scope, std::string& output) {
    const auto elements = select(name, sequence(scope), condition, scope);
    for (size_t i = 0; i < elements.size(); ++i) {
      scope.push();
      scope.set(name, elements[i]);
      scope.set("loop", loop_variable(i, elements.size()));
      run(body, scope, output);
      scope.pop();
    }
  };
}

struct Branch {
  Expression condition;
  Nodes body;
};

Node make_if(std::vector<Branch> branches) {
  return [=](Scope& scope, std::string& output) {
    for (const auto& branch : branches) {
      if (!is_true(branch.condition(scope))) continue;
      run(branch.body, scope, output);
      return;
    }
  };
}

Node make_set(std::string name, std::optional<std::string> member, Expression value) {
  return [=](Scope& scope, std::string&) {
    if (!member) {
      scope.set(name, value(scope));
      return;
    }
    const Value target = scope.find(name);
    const auto* dict = target.as<Dict>();
    if (dict == nullptr) fail("it sets a member of " + type_name(target));
    (**dict)[*member] = value(scope);
  };
}

class StatementParser {
 public:
  explicit StatementParser(std::vector<Segment> segments) : segments_(std::move(segments)) {}

  Nodes parse() {
    Nodes nodes = parse_until({});
    return nodes;
  }

 private:
  // Reads nodes up to a statement that starts with one of `ends`; last_ holds the rest of it.
  Nodes parse_until(const std::vector<std::string>& ends) {
    if (++depth_ > kMaxBlockDepth)
      fail(fmt::format("it nests more than {} levels deep", kMaxBlockDepth));
    Nodes nodes;
    while (position_ < segments_.size()) {
      const Segment& segment = segments_[position_++];
      if (segment.kind == Segment::Kind::kText) {
        nodes.push_back([text = segment.content](Scope&, std::string& out) { out += text; });
      } else if (segment.kind == Segment::Kind::kPrint) {
        nodes.push_back(parse_print(segment.content));
      } else {
        ExpressionParser parser(segment.content);
        const std::string keyword = parser.expect_name();
        if (std::find(ends.begin(), ends.end(), keyword) != ends.end()) {
          end_ = keyword;
          end_parser_ = std::move(parser);
          --depth_;
          return nodes;
        }
        parse_statement(keyword, parser, nodes);
      }
    }
    if (!ends.empty()) fail(fmt::format("'{}' is missing", ends.back()));
    --depth_;
    return nodes;
  }

  Node parse_print(const std::string& content) {
    ExpressionParser parser(content);
    Expression value = parser.parse();
    parser.expect_end();
    return [value](Scope& scope, std::string& out) { out += to_text(value(scope)); };
  }

  void parse_statement(const std::string& keyword, ExpressionParser& parser, Nodes& nodes) {
    if (keyword == "for") {
      nodes.push_back(parse_for(parser));
    } else if (keyword == "if") {
      nodes.push_back(parse_if(parser));
    } else if (keyword == "set") {
      nodes.push_back(parse_set(parser));
    } else if (keyword == "generation") {  // marks the assistant's tokens, prints nothing
      Nodes body = parse_until({"endgeneration"});
      nodes.insert(nodes.end(), body.begin(), body.end());
    } else {
      fail("it uses the statement " + in_quotes(keyword));
    }
  }

  Node parse_for(ExpressionParser& parser) {
    const std::string name = parser.expect_name();
    if (!parser.accept_name("in")) fail("a loop has more than one variable");
    Expression sequence = parser.parse_unconditional();
    Expression condition = parser.accept_name("if") ? parser.parse() : nullptr;
    parser.expect_end();
    return make_for(name, std::move(sequence), std::move(condition), parse_until({"endfor"}));
  }

  Node parse_if(ExpressionParser& parser) {
    std::vector<Branch> branches;
    Expression condition = parser.parse();
    parser.expect_end();
    for (;;) {
      Nodes body = parse_until({"elif", "else", "endif"});
      branches.push_back({std::move(condition), std::move(body)});
      if (end_ == "endif") return make_if(std::move(branches));
      if (end_ == "else") {
        branches.push_back({[](const Scope&) { return Value{true}; }, parse_until({"endif"})});
        return make_if(std::move(branches));
      }
      condition = end_parser_->parse();
      end_parser_->expect_end();
    }
  }

  Node parse_set(ExpressionParser& parser) {
    const std::string name = parser.expect_name();
    std::optional<std::string> member;
    if (parser.accept_symbol(".")) member = parser.expect_name();
    parser.expect_symbol("=");
    Expression value = parser.parse();
    parser.expect_end();
    return make_set(name, member, std::move(value));
  }

  std::vector<Segment> segments_;
  size_t position_ = 0;
  int depth_ = 0;
  std::string end_;
  std::optional<ExpressionParser> end_parser_;
};

}  // namespace

Template::Template(std::string_view source)
    : nodes_(StatementParser(Splitter(source).split()).parse()) {}

std::string Template::render(Scope scope) const {
  std::string output;
  run(nodes_, scope, output);
  return output;
}

}  // namespace cpx::tokenizer::jinja
