// SPDX-License-Identifier: Apache-2.0
// Shows where the time goes: LibTorch's profiler, its trace for chrome://tracing or Perfetto, and a
// sum by part. A part is a scope named "cpx::..." (RECORD_FUNCTION); time counts for the innermost
// part. If several threads are in parts at once, each counts for an equal share of the time, so
// that the parts add up to the step.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace cpx::tensor {

/// Time and arithmetic of one part.
struct ProfilePart {
  std::string name;              // without "cpx::"; "other" outside of all parts
  int64_t num_calls = 0;         // scopes of that name
  double seconds = 0.0;          // in the part itself, without the parts that it calls
  double product_seconds = 0.0;  // of these, in matrix products
  double product_flops = 0.0;    // floating point operations of those products
};

/// Records all operators of this process between start() and stop(), once or several times. One
/// object at a time. Times are those of the host: on a GPU they show when work was queued.
class Profiler {
 public:
  Profiler() = default;
  /// Ends a running recording.
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  void start();

  /// Ends the recording, adds it to the sums, and writes its trace (JSON) to `trace`, replacing an
  /// older one. Throws DataError if the file cannot be written.
  void stop(const std::filesystem::path& trace);

  int64_t num_recordings() const { return num_recordings_; }

  /// A table of the parts, the longest first: milliseconds per recording, share, GFLOP/s of the
  /// products, and below them `peak_flops` (0: left out).
  std::string table(double peak_flops) const;

  /// The sums of all recordings by name.
  const std::map<std::string, ProfilePart, std::less<>>& parts() const { return parts_; }

 private:
  std::map<std::string, ProfilePart, std::less<>> parts_;
  std::chrono::steady_clock::time_point start_ = {};
  double seconds_ = 0.0;
  int64_t num_recordings_ = 0;
  bool is_running_ = false;
};

}  // namespace cpx::tensor
