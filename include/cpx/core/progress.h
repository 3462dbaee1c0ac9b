// SPDX-License-Identifier: Apache-2.0
// Progress on standard error: a bar that is rewritten on a terminal, a plain line every few seconds
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace cpx {

/// The progress of a job.
struct ProgressState {
  std::string_view title = {};
  int64_t total = 0;  // units of work; 0: unknown
  int64_t done = 0;
  int64_t done_before = 0;  // by an earlier run; they do not count in the rate
  double elapsed_s = 0.0;
  std::string_view detail = {};
};

/// "train 30/60  loss 1.5  ETA 1:02".
std::string progress_line(const ProgressState& state);

/// The same with a bar, cut to `width` columns: "train [#####-----] 30/60  loss 1.5  ETA 1:02".
std::string progress_bar(const ProgressState& state, size_t width);

/// Shows the progress of a job. Not thread-safe; one object at a time.
class Progress {
 public:
  /// `title` begins each line; `total` is the number of units of work (0: unknown); `done_before`
  /// units were finished by an earlier run and do not count in the rate.
  Progress(std::string title, int64_t total, int64_t done_before = 0);
  /// Ends the line, so that later output starts on a new one.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Reports `done` finished units and a few words of detail; draws at most a few times a second.
  void update(int64_t done, std::string_view detail = {});

 private:
  void draw(int64_t done, std::string_view detail);

  std::string title_;
  int64_t total_;
  int64_t done_before_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_drawn_;
  bool is_terminal_;
  bool has_drawn_ = false;
};

/// "1:02:03" or "2:03" for a duration in seconds.
std::string format_duration(double seconds);

}  // namespace cpx
