// SPDX-License-Identifier: Apache-2.0
#include "jinja_context.h"

#include <utility>

#include "jinja_functions.h"

namespace cpx::tokenizer::jinja {

Context::Context(std::map<std::string, Value> variables, Clock clock) : clock_(std::move(clock)) {
  auto globals = std::make_shared<Frame>(Frame{.variables = global_functions()});
  auto given = std::make_shared<Frame>(
      Frame{.variables = std::move(variables), .parent = std::move(globals)});
  frame_ = std::make_shared<Frame>(Frame{.parent = std::move(given)});
}

Context::~Context() {
  for (const auto& frame : closures_) frame->variables.clear();
  for (const auto& open : openers_) open();
}

Value Context::find(const std::string& name) const {
  for (const Frame* frame = frame_.get(); frame != nullptr; frame = frame->parent.get()) {
    const auto found = frame->variables.find(name);
    if (found != frame->variables.end()) return found->second;
  }
  return make_undefined(fmt::format("'{}' is undefined", name));
}

void Context::set(const std::string& name, Value value) {
  step();
  frame_->variables[name] = std::move(value);
}

void Context::step() {
  if (++num_steps_ > kMaxSteps) fail(fmt::format("it takes more than {} steps", kMaxSteps));
}

void Context::spend(uint64_t bytes) {
  check_size(bytes);
  num_bytes_ += bytes;
  if (num_bytes_ > kMaxMadeBytes) {
    fail(fmt::format("it works on more than {} MiB", kMaxMadeBytes >> 20));
  }
}

void Context::check_size(uint64_t bytes) const {
  if (bytes > kMaxTextBytes) {
    fail(fmt::format("it makes a text or list of more than {} MiB", kMaxTextBytes >> 20));
  }
}

void Context::mark_generation(size_t num_bytes) {
  generations_.emplace_back(root_->size(), root_->size() + num_bytes);
}

Context::FrameGuard::FrameGuard(Context& context, std::shared_ptr<Frame> parent)
    : context_(context), before_(context.frame_) {
  context.step();
  context.frame_ = std::make_shared<Frame>(Frame{.parent = std::move(parent)});
}

Context::DepthGuard::DepthGuard(Context& context) : context_(context) {
  if (context.depth_ >= kMaxDepth) {
    fail(fmt::format("it nests more than {} levels deep when it runs", kMaxDepth));
  }
  ++context.depth_;
}

}  // namespace cpx::tokenizer::jinja
