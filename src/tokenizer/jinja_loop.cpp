// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6, runtime.py (LoopContext) and compiler.py (visit_For).
#include "jinja_loop.h"

#include <deque>
#include <optional>
#include <utility>

#include "jinja_arguments.h"
#include "jinja_functions.h"
#include "jinja_operators.h"

namespace cpx::tokenizer::jinja {

namespace {

// Returns what its `else` part ends the loop around it with.
Flow run_loop(Context& context, const std::shared_ptr<const ForStatement>& statement,
              const Value& values, const std::shared_ptr<Frame>& outside, int64_t depth,
              std::string& output);

// The values of a loop that pass its condition, one by one: the condition may look at what the
// loop's body has changed.
Iterator filtered(Context& context, const std::shared_ptr<const ForStatement>& statement,
                  const Value& values, const std::shared_ptr<Frame>& outside) {
  const Iterator next = iterate(context, values);
  if (!statement->condition) return next;
  return [&context, statement, next, outside]() -> std::optional<Value> {
    while (auto value = next()) {
      const Context::FrameGuard frame(context, outside);
      assign(context, statement->target, *value);
      if (is_true(statement->condition(context))) return value;
    }
    return std::nullopt;
  };
}

// The variable `loop`.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(Context& context, std::shared_ptr<const ForStatement> statement, const Value& values,
       std::shared_ptr<Frame> outside, int64_t depth)
      : statement_(std::move(statement)),
        outside_(std::move(outside)),
        depth_(depth),
        next_(filtered(context, statement_, values, outside_)) {
    const bool has_length = !statement_->condition && values.as<GeneratorRef>() == nullptr;
    if (has_length) length_ = length_of(values);
  }

  // The next value, which is the current one from now on.
  std::optional<Value> advance() {
    std::optional<Value> value = take();
    if (!value) return std::nullopt;
    before_ = std::exchange(current_, std::move(value));
    ++index0_;
    return current_;
  }

  std::optional<Value> attribute(Context& context, const std::string& name) override {
    if (name == "index") return Value{index0_ + 1};
    if (name == "index0") return Value{index0_};
    if (name == "first") return Value{index0_ == 0};
    if (name == "last") return Value{!peek().has_value()};
    if (name == "length") return Value{length(context)};
    if (name == "revindex") return Value{length(context) - index0_};
    if (name == "revindex0") return Value{length(context) - index0_ - 1};
    if (name == "depth") return Value{depth_ + 1};
    if (name == "depth0") return Value{depth_};
    if (name == "previtem") {
      return index0_ == 0 ? make_undefined("there is no previous item") : *before_;
    }
    if (name == "nextitem") return peek() ? *peek() : make_undefined("there is no next item");
    if (name == "cycle" || name == "changed") return method(name);
    return std::nullopt;
  }

  bool is_callable() const override { return true; }

  // loop(values) renders the loop anew with other values, where it is recursive.
  Value call(Context& context, const Arguments& arguments) override {
    const BoundArguments given("loop()", {"iterable"}, arguments);
    if (!statement_->is_recursive) fail("it calls 'loop' of a loop that is not 'recursive'");
    std::string output;
    run_loop(context, statement_, given.at(0), outside_, depth_ + 1, output);
    return make_text(std::move(output));
  }

  std::optional<std::string> printed(Context& context) const override {
    auto* self = const_cast<Loop*>(this);  // to know the length it may have to look ahead
    return fmt::format("<LoopContext {}/{}>", index0_ + 1, self->length(context));
  }
  std::string description() const override { return "the variable 'loop'"; }

 private:
  std::optional<Value> take() {
    if (!ahead_.empty()) {
      Value value = std::move(ahead_.front());
      ahead_.pop_front();
      return value;
    }
    return is_finished_ ? std::nullopt : next_();
  }

  std::optional<Value> peek() {
    if (ahead_.empty() && !is_finished_) {
      auto value = next_();
      if (value) ahead_.push_back(std::move(*value));
      is_finished_ = ahead_.empty();
    }
    return ahead_.empty() ? std::nullopt : std::optional(ahead_.front());
  }

  // A loop whose values are made one by one looks at all of them to know how many there are.
  int64_t length(Context& context) {
    if (length_) return *length_;
    while (!is_finished_) {
      auto value = next_();
      context.spend(sizeof(Value));
      if (value) ahead_.push_back(std::move(*value));
      is_finished_ = !value;
    }
    length_ = index0_ + 1 + std::ssize(ahead_);
    return *length_;
  }

  Value method(const std::string& name) {
    return make_function("loop." + name, [self = shared_from_this(), name](Context& context,
                                                                           const Arguments& given) {
      if (name == "changed") return Value{self->has_changed(context, given.positional)};
      if (given.positional.empty()) fail("loop.cycle() has no items");
      return given.positional[static_cast<size_t>(self->index0_) % given.positional.size()];
    });
  }

  bool has_changed(Context& context, const Values& values) {
    Value now = make_sequence(Sequence::Kind::kTuple, values);
    if (!last_) context.register_cycle([self = shared_from_this()] { self->last_.reset(); });
    const bool is_same = last_ && are_equal(context, *last_, now);
    last_ = std::move(now);
    return !is_same;
  }

  std::shared_ptr<const ForStatement> statement_;
  std::shared_ptr<Frame> outside_;
  int64_t depth_;
  Iterator next_;
  int64_t index0_ = -1;
  std::optional<int64_t> length_;
  bool is_finished_ = false;
  std::deque<Value> ahead_;
  std::optional<Value> before_;
  std::optional<Value> current_;
  std::optional<Value> last_;  // what loop.changed() was asked of last
};

Flow run_loop(Context& context, const std::shared_ptr<const ForStatement>& statement,
              const Value& values, const std::shared_ptr<Frame>& outside, int64_t depth,
              std::string& output) {
  const Context::DepthGuard guard(context);
  const auto loop = std::make_shared<Loop>(context, statement, values, outside, depth);
  bool is_empty = true;
  while (const auto value = loop->advance()) {
    const Context::FrameGuard frame(context, outside);
    assign(context, statement->target, *value);
    context.set("loop", {ObjectRef(loop)});
    is_empty = false;
    if (run_nodes(context, statement->body, output) == Flow::kBreak) break;
  }
  if (!is_empty) return Flow::kNormal;
  const Context::FrameGuard frame(context, outside);
  return run_nodes(context, statement->otherwise, output);
}

}  // namespace

void assign(Context& context, const Target& target, const Value& value) {
  if (!target.member.empty()) {
    set_member(context, context.find(target.name), target.member, value);
    return;
  }
  if (target.parts.empty()) {
    context.set(target.name, value);
    return;
  }
  const Values values = elements_of(context, value);
  if (values.size() != target.parts.size()) {
    fail(fmt::format("{} values stand for {} names", values.size(), target.parts.size()));
  }
  for (size_t i = 0; i < values.size(); ++i) assign(context, target.parts[i], values[i]);
}

Flow run_nodes(Context& context, const std::vector<Node>& nodes, std::string& output) {
  const Context::DepthGuard guard(context);
  for (const auto& node : nodes) {
    context.step();
    const Flow flow = node(context, output);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Node make_for(ForStatement statement) {
  return [statement = std::make_shared<const ForStatement>(std::move(statement))](
             Context& context, std::string& output) {
    context.line = statement->line;
    const Value values = statement->values(context);
    context.line = statement->line;
    return run_loop(context, statement, values, context.frame(), 0, output);
  };
}

}  // namespace cpx::tokenizer::jinja
