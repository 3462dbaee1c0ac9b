// SPDX-License-Identifier: Apache-2.0
// The state of one rendering: variables, place, and limits that a hostile template meets.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja_value.h"

namespace cpx::tokenizer::jinja {

/// Variables of one scope; a loop's iteration, a macro and some blocks have one of their own.
struct Frame {
  std::map<std::string, Value> variables = {};
  std::shared_ptr<Frame> parent = nullptr;
};

using Clock = std::function<std::chrono::system_clock::time_point()>;

class Context {
 public:
  /// Most statements, iterations and comparisons of a rendering.
  static constexpr uint64_t kMaxSteps = 10'000'000;
  /// Most bytes of one text, and of all that a rendering makes.
  static constexpr uint64_t kMaxTextBytes = uint64_t{64} << 20;
  static constexpr uint64_t kMaxMadeBytes = uint64_t{1} << 30;
  /// What an element of a list counts for: itself and a short text.
  static constexpr uint64_t kElementBytes = 128;
  /// Most blocks, calls and operators within each other when they run.
  static constexpr int kMaxDepth = 1000;

  explicit Context(std::map<std::string, Value> variables, Clock clock);
  /// Macros hold the frames that hold them: the circle is opened here.
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Undefined where the name is not set.
  Value find(const std::string& name) const;
  void set(const std::string& name, Value value);
  const std::shared_ptr<Frame>& frame() const { return frame_; }
  /// Keeps count of a frame that a value holds.
  void register_closure(std::shared_ptr<Frame> frame) { closures_.push_back(std::move(frame)); }
  /// Keeps count of an object whose members may come to hold itself; `open` forgets them.
  void register_cycle(std::function<void()> open) { openers_.push_back(std::move(open)); }

  /// Counts a step, and bytes that are made or read; each throws past its limit.
  void step();
  void spend(uint64_t bytes);
  /// Throws for a text that is too long to be made.
  void check_size(uint64_t bytes) const;

  std::chrono::system_clock::time_point now() const { return clock_(); }

  /// The text that the template itself makes, for mark_generation().
  void set_root(const std::string& text) { root_ = &text; }
  /// Notes that the next `num_bytes` of it are the assistant's.
  void mark_generation(size_t num_bytes);
  std::vector<std::pair<size_t, size_t>> take_generations() { return std::move(generations_); }

  /// The line that is rendered.
  int line = 1;

  /// A scope inside `parent` (or inside the current one) for as long as it lives.
  class FrameGuard {
   public:
    explicit FrameGuard(Context& context) : FrameGuard(context, context.frame_) {}
    FrameGuard(Context& context, std::shared_ptr<Frame> parent);
    ~FrameGuard() { context_.frame_ = std::move(before_); }
    FrameGuard(const FrameGuard&) = delete;
    FrameGuard& operator=(const FrameGuard&) = delete;

   private:
    Context& context_;
    std::shared_ptr<Frame> before_;
  };

  /// Counts a level of nesting for as long as it lives.
  class DepthGuard {
   public:
    explicit DepthGuard(Context& context);
    ~DepthGuard() { --context_.depth_; }
    DepthGuard(const DepthGuard&) = delete;
    DepthGuard& operator=(const DepthGuard&) = delete;

   private:
    Context& context_;
  };

 private:
  std::shared_ptr<Frame> frame_;
  std::vector<std::shared_ptr<Frame>> closures_;
  std::vector<std::function<void()>> openers_;
  Clock clock_;
  const std::string* root_ = nullptr;
  std::vector<std::pair<size_t, size_t>> generations_;
  uint64_t num_steps_ = 0;
  uint64_t num_bytes_ = 0;
  int depth_ = 0;
};

}  // namespace cpx::tokenizer::jinja
