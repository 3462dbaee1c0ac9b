// SPDX-License-Identifier: Apache-2.0
// Makes failed writes to standard output errors: a full disk must not look like success.
#pragma once

#include <exception>
#include <memory>
#include <ostream>
#include <streambuf>

namespace cpx {

/// Thrown when the reader of standard output has gone and SIGPIPE is ignored: the program then ends
/// quietly with the exit code that a shell gives for SIGPIPE.
class ClosedPipe : public std::exception {
 public:
  static constexpr int kExitCode = 128 + 13;
  const char* what() const noexcept override { return "standard output was closed"; }
};

/// Throws DataError or ClosedPipe for a write to standard output that failed with `code` (errno).
[[noreturn]] void throw_standard_output_error(int code);

/// While it lives, std::cout throws: DataError if a write fails, ClosedPipe if the reader has gone.
/// On a terminal whole lines appear at once, otherwise output is buffered.
class CheckedStandardOutput {
 public:
  CheckedStandardOutput();
  ~CheckedStandardOutput();
  CheckedStandardOutput(const CheckedStandardOutput&) = delete;
  CheckedStandardOutput& operator=(const CheckedStandardOutput&) = delete;

  /// Writes the buffered output; call it before success is reported.
  void finish();

 private:
  std::unique_ptr<std::streambuf> buffer_;
  std::streambuf* before_;
  std::ostream* tied_before_;
  std::ios_base::iostate exceptions_before_;
};

/// Opens those of standard input, output and error that are closed, so that no file gets their
/// descriptors. Reading and writing there still fails.
void reserve_standard_descriptors();

}  // namespace cpx
