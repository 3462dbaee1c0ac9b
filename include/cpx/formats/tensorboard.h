// SPDX-License-Identifier: Apache-2.0
// TensorBoard event files with scalars: TFRecord framing (masked CRC-32C) around Event messages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "cpx/core/output_file.h"

namespace cpx::formats {

/// Writes one new event file; a resumed run writes another one beside it.
class TensorBoardWriter {
 public:
  /// Creates `folder` and in it an event file with a new name (time, host, process, number). With
  /// `first_step` > 0 it writes a session start, which makes TensorBoard drop later steps that an
  /// interrupted run had written.
  explicit TensorBoardWriter(const std::filesystem::path& folder, int64_t first_step = 0);

  /// Adds a point with the current wall time.
  void add_scalar(std::string_view tag, double value, int64_t step);
  /// Passes the added points to the system.
  void flush();

 private:
  void write_event(std::string_view event);

  std::unique_ptr<OutputFile> file_;
};

}  // namespace cpx::formats
