// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6, runtime.py (Macro) and compiler.py (macro_body).
#include "jinja_macro.h"

#include <algorithm>
#include <utility>

#include "jinja_loop.h"

namespace cpx::tokenizer::jinja {

namespace {

class Macro : public Object {
 public:
  Macro(std::shared_ptr<const MacroStatement> statement, std::shared_ptr<Frame> outside)
      : statement_(std::move(statement)), outside_(std::move(outside)) {}

  Value call(Context& context, const Arguments& arguments) override {
    const int line = context.line;
    const Context::FrameGuard frame(context, outside_);
    Arguments left = arguments;
    const size_t num_given = std::min(left.positional.size(), statement_->parameters.size());
    std::vector<std::optional<Value>> values(
        left.positional.begin(), left.positional.begin() + static_cast<ptrdiff_t>(num_given));
    left.positional.erase(left.positional.begin(),
                          left.positional.begin() + static_cast<ptrdiff_t>(num_given));
    for (size_t i = num_given; i < statement_->parameters.size(); ++i) {
      values.push_back(take_keyword(left, statement_->parameters[i]));
    }
    set_rest(context, std::move(left));
    set_parameters(context, values);
    std::string output;
    run_nodes(context, statement_->body, output);
    context.line = line;
    context.spend(output.size());
    return make_text(std::move(output));
  }

  std::optional<Value> attribute(Context&, const std::string& name) override {
    if (name == "name") return make_text(statement_->name);
    if (name == "catch_kwargs") return Value{statement_->reads_keywords};
    if (name == "catch_varargs") return Value{statement_->reads_positional};
    if (name == "caller") return Value{statement_->reads_caller};
    if (name != "arguments") return std::nullopt;
    Values names;
    for (const auto& parameter : statement_->parameters) names.push_back(make_text(parameter));
    return make_sequence(Sequence::Kind::kTuple, std::move(names));
  }

  std::optional<std::string> printed(Context&) const override {
    return statement_->name.empty() ? "<Macro anonymous>" : "<Macro '" + statement_->name + "'>";
  }
  std::string description() const override {
    return statement_->name.empty() ? "the body of 'call'"
                                    : fmt::format("the macro '{}'", statement_->name);
  }

 private:
  static std::optional<Value> take_keyword(Arguments& arguments, const std::string& name) {
    const auto found =
        std::ranges::find(arguments.keywords, name, &std::pair<std::string, Value>::first);
    if (found == arguments.keywords.end()) return std::nullopt;
    Value value = std::move(found->second);
    arguments.keywords.erase(found);
    return value;
  }

  // What no parameter takes: caller, kwargs and varargs where the body asks for them.
  void set_rest(Context& context, Arguments left) {
    if (statement_->reads_caller) {
      auto caller = take_keyword(left, "caller");
      context.set("caller", caller ? *caller
                                   : make_undefined("'caller' is not there: the macro "
                                                    "was called without {% call %}"));
    }
    if (statement_->reads_keywords) {
      auto keywords = std::make_shared<Dict>();
      for (auto& [name, value] : left.keywords) keywords->set(make_text(name), std::move(value));
      context.set("kwargs", {DictRef(std::move(keywords))});
    } else if (!left.keywords.empty()) {
      fail(fmt::format("{} takes no argument '{}'", description(), left.keywords[0].first));
    }
    if (statement_->reads_positional) {
      context.set("varargs", make_sequence(Sequence::Kind::kTuple, std::move(left.positional)));
    } else if (!left.positional.empty()) {
      fail(fmt::format("{} takes at most {} arguments, got {}", description(),
                       statement_->parameters.size(),
                       statement_->parameters.size() + left.positional.size()));
    }
  }

  // Defaults see the parameters in front of them.
  void set_parameters(Context& context, const std::vector<std::optional<Value>>& values) {
    const size_t first_default = values.size() - statement_->defaults.size();
    for (size_t i = 0; i < values.size(); ++i) {
      const std::string& name = statement_->parameters[i];
      if (values[i]) {
        context.set(name, *values[i]);
      } else if (i >= first_default) {
        context.set(name, statement_->defaults[i - first_default](context));
      } else {
        context.set(name, make_undefined(fmt::format("parameter '{}' was not provided", name)));
      }
    }
  }

  std::shared_ptr<const MacroStatement> statement_;
  std::shared_ptr<Frame> outside_;
};

}  // namespace

Value make_macro(Context& context, std::shared_ptr<const MacroStatement> statement) {
  context.spend(sizeof(Macro) + sizeof(Frame));
  context.register_closure(context.frame());
  return {ObjectRef(std::make_shared<Macro>(std::move(statement), context.frame()))};
}

}  // namespace cpx::tokenizer::jinja
