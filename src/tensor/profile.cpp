// SPDX-License-Identifier: Apache-2.0
#include "cpx/tensor/profile.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include "cpx/core/output_file.h"

namespace cpx::tensor {

namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;
using Parts = std::map<std::string, ProfilePart, std::less<>>;

constexpr std::string_view kPrefix = "cpx::";
constexpr std::string_view kOther = "other";

bool is_matrix_product(std::string_view name) {
  constexpr std::array<std::string_view, 4> kProducts = {"aten::mm", "aten::addmm", "aten::bmm",
                                                         "aten::baddbmm"};
  return std::ranges::find(kProducts, name) != kProducts.end();
}

// An operator or scope that has begun and not ended.
struct OpenEvent {
  ProfilePart* part = nullptr;
  bool is_product = false;
  uint64_t end_ns = 0;
};

// A stretch of time that a thread spent in one part.
struct Stretch {
  ProfilePart* part = nullptr;
  bool is_product = false;
  uint64_t begin_ns = 0;
  uint64_t end_ns = 0;
};

// Splits one thread's events, in the order of their starts and an outer one before those in it,
// into stretches of the innermost part.
class ThreadTimes {
 public:
  ThreadTimes(Parts& parts, std::vector<Stretch>& stretches)
      : parts_(parts), stretches_(stretches) {}

  void add(const profiler::KinetoEvent& event) {
    advance(event.startNs());
    const std::string name = event.name();
    ProfilePart* part = open_.empty() ? &part_of(kOther) : open_.back().part;
    if (name.starts_with(kPrefix)) {
      part = &part_of(std::string_view(name).substr(kPrefix.size()));
      part->num_calls += 1;
    }
    const bool is_product = is_matrix_product(name);
    if (is_product) part->product_flops += static_cast<double>(event.flops());
    open_.push_back(
        {.part = part, .is_product = is_product, .end_ns = event.startNs() + event.durationNs()});
  }

  // Gives the time up to `now_ns` to the innermost event, and ends what ends before it.
  void advance(uint64_t now_ns) {
    while (!open_.empty() && open_.back().end_ns <= now_ns) {
      account(open_.back().end_ns);
      open_.pop_back();
    }
    account(now_ns);
  }

  void finish() { advance(std::numeric_limits<uint64_t>::max()); }

 private:
  ProfilePart& part_of(std::string_view name) {
    const auto found = parts_.find(name);
    if (found != parts_.end()) return found->second;
    return parts_.emplace(name, ProfilePart{.name = std::string(name)}).first->second;
  }

  void account(uint64_t now_ns) {
    if (now_ns <= last_ns_) return;
    if (!open_.empty()) {
      stretches_.push_back({.part = open_.back().part,
                            .is_product = open_.back().is_product,
                            .begin_ns = last_ns_,
                            .end_ns = now_ns});
    }
    last_ns_ = now_ns;
  }

  Parts& parts_;
  std::vector<Stretch>& stretches_;
  std::vector<OpenEvent> open_;
  uint64_t last_ns_ = 0;
};

// Time that is shared out evenly among the threads that are in a part at that moment, so that what
// several threads did at once adds up to the time that it took.
class SharedTime {
 public:
  explicit SharedTime(const std::vector<Stretch>& stretches) {
    std::map<uint64_t, int64_t> changes;  // of the number of threads in a part
    for (const Stretch& stretch : stretches) {
      changes[stretch.begin_ns] += 1;
      changes[stretch.end_ns] -= 1;
    }
    double share = 0.0;
    int64_t num_threads = 0;
    uint64_t last_ns = 0;
    for (const auto& [now_ns, change] : changes) {
      if (num_threads > 0) {
        share += 1e-9 * static_cast<double>(now_ns - last_ns) / static_cast<double>(num_threads);
      }
      seconds_[now_ns] = share;
      num_threads += change;
      last_ns = now_ns;
    }
  }

  // Seconds that one thread's stretch has of the time.
  double of(const Stretch& stretch) const {
    return seconds_.at(stretch.end_ns) - seconds_.at(stretch.begin_ns);
  }

 private:
  std::map<uint64_t, double> seconds_;  // a thread's share up to each change
};

void add_parts(const std::vector<profiler::KinetoEvent>& events, Parts& parts) {
  std::map<uint64_t, std::vector<const profiler::KinetoEvent*>> threads;
  for (const auto& event : events) {
    if (event.deviceType() == c10::DeviceType::CPU) {
      threads[event.startThreadId()].push_back(&event);
    }
  }
  std::vector<Stretch> stretches;
  for (auto& [id, thread] : threads) {
    std::ranges::stable_sort(thread, [](const auto* a, const auto* b) {
      if (a->startNs() != b->startNs()) return a->startNs() < b->startNs();
      return a->durationNs() > b->durationNs();
    });
    ThreadTimes times(parts, stretches);
    for (const auto* event : thread) times.add(*event);
    times.finish();
  }
  const SharedTime time(stretches);
  for (const Stretch& stretch : stretches) {
    const double seconds = time.of(stretch);
    stretch.part->seconds += seconds;
    if (stretch.is_product) stretch.part->product_seconds += seconds;
  }
}

std::string row_text(const ProfilePart& part, double recordings, double seconds) {
  const std::string rate =
      part.product_flops > 0
          ? fmt::format("{:.0f}", part.product_flops / part.product_seconds / 1e9)
          : "-";
  return fmt::format("{:<28}{:>8.0f}{:>11.2f}{:>7.1f}%{:>12.0f}%{:>10}\n", part.name,
                     static_cast<double>(part.num_calls) / recordings,
                     1e3 * part.seconds / recordings, 100 * part.seconds / seconds,
                     part.seconds > 0 ? 100 * part.product_seconds / part.seconds : 0.0, rate);
}

}  // namespace

Profiler::~Profiler() {
  if (is_running_) profiler::disableProfiler();
}

void Profiler::start() {
  const torch::profiler::impl::ProfilerConfig config(
      torch::profiler::impl::ProfilerState::KINETO, /*report_input_shapes=*/true,
      /*profile_memory=*/false, /*with_stack=*/false, /*with_flops=*/true);
  const std::set<ActivityType> activities = {ActivityType::CPU};
  // The profiler's library complains on standard error where there is no GPU.
  setenv("KINETO_LOG_LEVEL", "99", /*replace=*/0);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities);
  is_running_ = true;
  start_ = std::chrono::steady_clock::now();
}

void Profiler::stop(const std::filesystem::path& trace) {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  is_running_ = false;
  const auto result = profiler::disableProfiler();
  seconds_ += elapsed.count();
  num_recordings_ += 1;
  add_parts(result->events(), parts_);
  // The profiler's library says nothing where it cannot write.
  OutputFile(trace, OutputFile::Mode::kAppend).sync_and_close();
  result->save(trace.string());
}

std::string Profiler::table(double peak_flops) const {
  std::vector<ProfilePart> sorted;
  double known = 0.0;
  for (const auto& [name, part] : parts_) {
    sorted.push_back(part);
    known += part.seconds;
  }
  std::ranges::sort(sorted, std::greater(), &ProfilePart::seconds);
  const auto recordings = static_cast<double>(num_recordings_);
  std::string text = fmt::format("{:<28}{:>8}{:>11}{:>8}{:>13}{:>10}\n", "part", "calls",
                                 "ms a step", "share", "in products", "GFLOP/s");
  for (const ProfilePart& part : sorted) text += row_text(part, recordings, seconds_);
  const ProfilePart outside{.name = "outside of operators", .seconds = seconds_ - known};
  text += row_text(outside, recordings, seconds_);
  text += fmt::format("{:<28}{:>8}{:>11.2f}\n", "step", "", 1e3 * seconds_ / recordings);
  if (peak_flops > 0) {
    text += fmt::format("peak, [480, 4096] x [4096, 4096]: {:.0f} GFLOP/s\n", peak_flops / 1e9);
  }
  return text;
}

}  // namespace cpx::tensor
