// SPDX-License-Identifier: Apache-2.0
// Source: jinja2 3.1.6 (utils.py: Namespace, Cycler, Joiner; sandbox.py: safe_range) and
// transformers' chat_template_utils.py.
#include "jinja_functions.h"

#include <ctime>
#include <utility>

#include "jinja_arguments.h"
#include "jinja_operators.h"
#include "python_text.h"

namespace cpx::tokenizer::jinja {

namespace {

constexpr int64_t kMaxRange = 100'000;  // jinja2's sandbox has the same

// ---- Objects ------------------------------------------------------------------------------------

class Function : public Object {
 public:
  Function(std::string description, std::function<Value(Context&, const Arguments&)> function)
      : description_(std::move(description)), function_(std::move(function)) {}

  Value call(Context& context, const Arguments& arguments) override {
    return function_(context, arguments);
  }
  std::string description() const override { return description_; }

 private:
  std::string description_;
  std::function<Value(Context&, const Arguments&)> function_;
};

// Objects that are no functions.
class PlainObject : public Object {
 public:
  bool is_callable() const override { return false; }
  Value call(Context&, const Arguments&) override { fail("it calls " + description()); }
};

class Namespace : public PlainObject {
 public:
  std::optional<Value> attribute(Context&, const std::string& name) override {
    const Value* found = members_->find(name);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  std::optional<std::string> printed(Context& context) const override {
    return "<Namespace " + to_repr(context, {DictRef(members_)}) + ">";
  }
  std::string description() const override { return "a namespace"; }

  void set(const Value& name, Value value) {
    const bool is_private = name.text() != nullptr && name.text()->starts_with('_');
    if (is_private) fail(fmt::format("a namespace gets the private member '{}'", *name.text()));
    members_->set(name, std::move(value));
  }
  void clear() { *members_ = {}; }

 private:
  std::shared_ptr<Dict> members_ = std::make_shared<Dict>();
};

// Gives its items in turn.
class Cycler : public PlainObject {
 public:
  explicit Cycler(Values items) : items_(std::move(items)) {
    if (items_.empty()) fail("cycler() has no items");
  }
  std::optional<Value> attribute(Context&, const std::string& name) override {
    if (name == "current") return items_[position_];
    // The function keeps the cycler alive only while it is being called.
    if (name == "reset") {
      return make_function("cycler.reset", [this](Context&, const Arguments&) {
        position_ = 0;
        return Value{None{}};
      });
    }
    if (name != "next") return std::nullopt;
    return make_function("cycler.next", [this](Context&, const Arguments&) {
      const Value item = items_[position_];
      position_ = (position_ + 1) % items_.size();
      return item;
    });
  }
  std::string description() const override { return "a cycler"; }

 private:
  Values items_;
  size_t position_ = 0;
};

// ---- Functions ----------------------------------------------------------------------------------

void add_entries(Context& context, const Value& source,
                 const std::function<void(Value, Value)>& add) {
  if (const auto* dict = source.as<DictRef>()) {
    for (const auto& [key, value] : (*dict)->entries()) add(key, value);
    return;
  }
  for (const auto& pair : elements_of(context, source)) {
    const Values parts = elements_of(context, pair);
    if (parts.size() != 2) fail(fmt::format("an entry has {} parts, expected 2", parts.size()));
    add(parts[0], parts[1]);
  }
}

// What dict() and namespace() are given: a dict or pairs, and keyword arguments.
void add_arguments(Context& context, const Arguments& arguments,
                   const std::function<void(Value, Value)>& add) {
  for (const auto& source : arguments.positional) add_entries(context, source, add);
  for (const auto& [name, value] : arguments.keywords) add(make_text(name), value);
}

Value make_dict(Context& context, const Arguments& arguments) {
  if (arguments.positional.size() > 1) fail("dict() takes at most 1 argument without a name");
  auto dict = std::make_shared<Dict>();
  add_arguments(context, arguments,
                [&](const Value& key, Value value) { dict->set(key, std::move(value)); });
  return {DictRef(std::move(dict))};
}

Value make_namespace(Context& context, const Arguments& arguments) {
  auto space = std::make_shared<Namespace>();
  context.spend(sizeof(Namespace));
  context.register_cycle([space] { space->clear(); });
  add_arguments(context, arguments,
                [&](const Value& key, Value value) { space->set(key, std::move(value)); });
  return {ObjectRef(std::move(space))};
}

Value make_range(Context& context, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.keywords.empty()) {
    fail(fmt::format("range() takes 1 to 3 numbers, got {} arguments",
                     given.size() + arguments.keywords.size()));
  }
  const auto number = [&](size_t i) { return to_integer(given[i], "an argument of range()"); };
  const int64_t begin = given.size() == 1 ? 0 : number(0);
  const int64_t end = given.size() == 1 ? number(0) : number(1);
  const int64_t step = given.size() == 3 ? number(2) : 1;
  if (step == 0) fail("the step of a range is 0");
  Sequence range{.kind = Sequence::Kind::kRange,
                 .range_text = step == 1 ? fmt::format("range({}, {})", begin, end)
                                         : fmt::format("range({}, {}, {})", begin, end, step)};
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (std::ssize(range.elements) == kMaxRange) {
      fail(fmt::format("a range has more than {} numbers", kMaxRange));
    }
    range.elements.push_back({i});
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  context.spend(range.elements.size() * sizeof(Value));
  return {std::make_shared<const Sequence>(std::move(range))};
}

Value make_cycler(Context& context, const Arguments& arguments) {
  auto cycler = std::make_shared<Cycler>(arguments.positional);
  context.spend(sizeof(Cycler));
  context.register_cycle([cycler] {});  // its functions point to it
  return {ObjectRef(std::move(cycler))};
}

Value make_joiner(Context&, const Arguments& arguments) {
  const BoundArguments bound("joiner()", {"sep"}, arguments);
  const Value separator = bound.find(0) != nullptr ? *bound.find(0) : make_text(", ");
  return make_function("a joiner",
                       [separator, is_used = false](Context&, const Arguments&) mutable -> Value {
                         return std::exchange(is_used, true) ? separator : make_text("");
                       });
}

Value refuse(Context& context, const Arguments& arguments) {
  const BoundArguments bound("raise_exception()", {"message"}, arguments);
  throw TemplateFault{.what = to_text(context, bound.at(0)), .is_refusal = true};
}

// The date and time in the format of C's strftime; what Python treats otherwise is done here.
Value format_now(Context& context, const Arguments& arguments) {
  const BoundArguments bound("strftime_now()", {"format"}, arguments);
  const auto now = context.now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  const auto since_second = now - std::chrono::system_clock::from_time_t(seconds);
  const auto microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(since_second).count();
  const std::string& format = bound.text(0);
  std::string filled;
  for (size_t i = 0; i < format.size(); ++i) {
    const char next = format[i] == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
    if (next == 'f') filled += fmt::format("{:06}", microseconds);
    if (next == '%') filled += "%%";
    const bool is_done = next == 'f' || next == '%' || next == 'z' || next == 'Z';
    if (!is_done) filled += format[i];
    if (is_done) ++i;
  }
  if (filled.empty()) return make_text("");
  context.check_size(filled.size() * 64);
  std::string result(filled.size() * 64 + 256, '\0');
  result.resize(std::strftime(result.data(), result.size(), filled.c_str(), &parts));
  return make_text(std::move(result));
}

Value unknown_function(Context&, const Arguments&) {
  fail("it calls the function 'lipsum', which cpx does not know");
}

}  // namespace

std::map<std::string, Value> global_functions() {
  using Call = Value (*)(Context&, const Arguments&);
  constexpr std::pair<const char*, Call> kFunctions[] = {
      {"range", make_range},        {"dict", make_dict},         {"namespace", make_namespace},
      {"cycler", make_cycler},      {"joiner", make_joiner},     {"raise_exception", refuse},
      {"strftime_now", format_now}, {"lipsum", unknown_function}};
  std::map<std::string, Value> functions;
  for (const auto& [name, function] : kFunctions) {
    functions[name] = make_function(fmt::format("the function '{}'", name), function);
  }
  return functions;
}

Value make_function(std::string description,
                    std::function<Value(Context&, const Arguments&)> function) {
  return {ObjectRef(std::make_shared<Function>(std::move(description), std::move(function)))};
}

void set_member(Context&, const Value& space, const std::string& name, Value value) {
  if (const auto* undefined = space.as<Undefined>()) fail_undefined(*undefined);
  const auto* object = space.as<ObjectRef>();
  auto* target = object != nullptr ? dynamic_cast<Namespace*>(object->get()) : nullptr;
  if (target == nullptr) {
    fail(fmt::format("it sets the member '{}' of {}, expected a namespace", name,
                     object != nullptr ? (*object)->description() : type_name(space)));
  }
  target->set(make_text(name), std::move(value));
}

}  // namespace cpx::tokenizer::jinja
