// SPDX-License-Identifier: Apache-2.0
// Standard output whose failures are errors: a full disk behind it must not look like success.
#pragma once

#include <exception>
#include <memory>
#include <ostream>
#include <streambuf>

namespace cpx {

/// Thrown where nobody reads standard output any more and SIGPIPE is ignored: the program ends
/// quietly, with what the shell gives for SIGPIPE.
class ClosedPipe : public std::exception {
 public:
  static constexpr int kExitCode = 128 + 13;
  const char* what() const noexcept override { return "standard output was closed"; }
};

/// Throws for a write to standard output that failed with `code` (errno): DataError, or ClosedPipe.
[[noreturn]] void throw_standard_output_error(int code);

/// Lets std::cout throw for its life: DataError where a write fails, ClosedPipe where nobody reads.
/// Whole lines appear at once on a terminal, else text is buffered.
class CheckedStandardOutput {
 public:
  CheckedStandardOutput();
  ~CheckedStandardOutput();
  CheckedStandardOutput(const CheckedStandardOutput&) = delete;
  CheckedStandardOutput& operator=(const CheckedStandardOutput&) = delete;

  /// Writes what is buffered; to be called before success is reported.
  void finish();

 private:
  std::unique_ptr<std::streambuf> buffer_;
  std::streambuf* before_;
  std::ostream* tied_before_;
  std::ios_base::iostate exceptions_before_;
};

/// Opens what of standard input, output and error is closed, so that no file gets its number:
/// reading and writing there still fail.
void reserve_standard_descriptors();

}  // namespace cpx
