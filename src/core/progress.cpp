// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/progress.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

namespace cpx {

namespace {

constexpr std::chrono::milliseconds kTerminalInterval{200};
constexpr std::chrono::seconds kPlainInterval{5};

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(0.0, seconds) + 0.5);
  const int64_t hours = whole / 3600;
  const int64_t minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

Progress::Progress(std::string title, int64_t total, int64_t done_before)
    : title_(std::move(title)),
      total_(total),
      done_before_(done_before),
      start_(std::chrono::steady_clock::now()),
      last_drawn_(start_),
      is_terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (is_terminal_ && has_drawn_) {
    std::fputs("\n", stderr);
  }
}

void Progress::update(int64_t done, std::string_view detail) {
  const auto now = std::chrono::steady_clock::now();
  const bool is_last = total_ > 0 && done >= total_;
  const bool is_due =
      is_terminal_ ? now - last_drawn_ >= kTerminalInterval : now - last_drawn_ >= kPlainInterval;
  // Elsewhere than on a terminal a job that was never due says nothing: it was done in a moment.
  if (!is_due && !(is_last && (has_drawn_ || is_terminal_))) return;
  last_drawn_ = now;
  draw(done, detail);
}

void Progress::draw(int64_t done, std::string_view detail) {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  std::string line = title_;
  if (total_ > 0) {
    line += fmt::format(" {}/{}", done, total_);
  } else {
    line += fmt::format(" {}", done);
  }
  if (!detail.empty()) line += fmt::format("  {}", detail);
  const int64_t done_now = done - done_before_;
  if (total_ > 0 && done_now > 0 && done < total_) {
    const double left = elapsed.count() / static_cast<double>(done_now);
    line += fmt::format("  ETA {}", format_duration(left * static_cast<double>(total_ - done)));
  }
  if (is_terminal_) {
    std::fputs(fmt::format("\r\033[K{}", line).c_str(), stderr);
  } else {
    std::fputs(fmt::format("{}\n", line).c_str(), stderr);
  }
  std::fflush(stderr);
  has_drawn_ = true;
}

}  // namespace cpx
