// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/progress.h"

#include <algorithm>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace cpx {

namespace {

constexpr std::chrono::milliseconds kTerminalInterval{200};
constexpr std::chrono::seconds kPlainInterval{5};
constexpr size_t kBarCells = 20;

// Columns of the terminal; a longer line would wrap and could not be rewritten.
size_t terminal_width() {
  constexpr size_t kUsual = 80;
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return kUsual - 1;
  return size.ws_col - 1U;
}

// What stands behind the bar: "30/60  loss 1.5  ETA 1:02".
std::string figures(const ProgressState& state) {
  std::string text = state.total > 0 ? fmt::format("{}/{}", state.done, state.total)
                                     : fmt::format("{}", state.done);
  if (!state.detail.empty()) text += fmt::format("  {}", state.detail);
  const int64_t done_now = state.done - state.done_before;
  if (state.total > 0 && done_now > 0 && state.done < state.total) {
    const double left = state.elapsed_s / static_cast<double>(done_now);
    text += fmt::format("  ETA {}",
                        format_duration(left * static_cast<double>(state.total - state.done)));
  }
  return text;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(0.0, seconds) + 0.5);
  const int64_t hours = whole / 3600;
  const int64_t minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string progress_line(const ProgressState& state) {
  return fmt::format("{} {}", state.title, figures(state));
}

std::string progress_bar(const ProgressState& state, size_t width) {
  if (state.total <= 0) return progress_line(state).substr(0, width);
  const auto done = static_cast<size_t>(std::clamp<int64_t>(state.done, 0, state.total));
  const size_t full = done * kBarCells / static_cast<size_t>(state.total);
  return fmt::format("{} [{}{}] {}", state.title, std::string(full, '#'),
                     std::string(kBarCells - full, '-'), figures(state))
      .substr(0, width);
}

Progress::Progress(std::string title, int64_t total, int64_t done_before)
    : title_(std::move(title)),
      total_(total),
      done_before_(done_before),
      start_(std::chrono::steady_clock::now()),
      last_drawn_(start_),
      is_terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (is_terminal_ && has_drawn_) std::fputs("\n", stderr);
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
  const ProgressState state{.title = title_,
                            .total = total_,
                            .done = done,
                            .done_before = done_before_,
                            .elapsed_s = elapsed.count(),
                            .detail = detail};
  if (is_terminal_) {
    std::fputs(fmt::format("\r\033[K{}", progress_bar(state, terminal_width())).c_str(), stderr);
  } else {
    std::fputs(fmt::format("{}\n", progress_line(state)).c_str(), stderr);
  }
  std::fflush(stderr);
  has_drawn_ = true;
}

}  // namespace cpx
