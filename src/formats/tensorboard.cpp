// SPDX-License-Identifier: Apache-2.0
// Event messages by hand: tensorboard/compat/proto/event.proto and summary.proto.
#include "cpx/formats/tensorboard.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <string>
#include <system_error>
#include <unistd.h>

#include "cpx/core/error.h"
#include "tfrecord.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

// Numbers of the fields in the two .proto files.
enum EventField { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
enum SummaryField { kValue = 1 };
enum ValueField { kTag = 1, kSimpleValue = 2 };
enum SessionLogField { kStatus = 1 };
constexpr uint64_t kSessionStart = 1;

// A protobuf message being put together.
class Message {
 public:
  Message& add_varint(int field, uint64_t value) { return add_key(field, 0).add_raw_varint(value); }
  Message& add_double(int field, double value) {
    return add_key(field, 1).add_fixed(std::bit_cast<uint64_t>(value));
  }
  Message& add_float(int field, float value) {
    return add_key(field, 5).add_fixed(std::bit_cast<uint32_t>(value));
  }
  Message& add_bytes(int field, std::string_view value) {
    add_key(field, 2).add_raw_varint(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Message& add_key(int field, uint64_t wire_type) {
    return add_raw_varint(static_cast<uint64_t>(field) << 3 | wire_type);
  }
  Message& add_raw_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  template <class T>
  Message& add_fixed(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes_ += static_cast<char>(value >> (8 * i));
    return *this;
  }

  std::string bytes_;
};

// An event of `step` now, without its content.
Message event_now(int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  Message event;
  event.add_double(kWallTime, now.count());
  if (step != 0) event.add_varint(kStep, static_cast<uint64_t>(step));
  return event;
}

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

// The seconds in the name of an event file; 0 for another file.
int64_t seconds_of(const std::string& name) {
  constexpr std::string_view kPrefix = "events.out.tfevents.";
  if (!name.starts_with(kPrefix)) return 0;
  const std::string digits =
      name.substr(kPrefix.size(), name.find('.', kPrefix.size()) - kPrefix.size());
  const bool is_number = !digits.empty() && digits.size() <= 12 &&
                         digits.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? std::stoll(digits) : 0;
}

// TensorBoard reads the files in the order of their names: a new one must come last, even when the
// clock went back or two start in one second.
int64_t seconds_after_all(const fs::path& folder) {
  using std::chrono::seconds;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  int64_t result = std::chrono::duration_cast<seconds>(now).count();
  for (const auto& entry : fs::directory_iterator(folder)) {
    result = std::max(result, seconds_of(entry.path().filename().string()) + 1);
  }
  return result;
}

fs::path new_event_file(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw_<DataError>("[tensorboard] {}: cannot be made: {}.", folder.string(), error.message());
  }
  static std::atomic<int> num_files = 0;
  return folder / fmt::format("events.out.tfevents.{:010}.{}.{}.{}", seconds_after_all(folder),
                              host_name(), getpid(), num_files++);
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const fs::path& folder, int64_t first_step)
    : file_(std::make_unique<OutputFile>(new_event_file(folder))) {
  write_event(event_now(0).add_bytes(kFileVersion, "brain.Event:2").bytes());
  if (first_step > 0) {
    const auto session = Message().add_varint(kStatus, kSessionStart);
    write_event(event_now(first_step).add_bytes(kSessionLog, session.bytes()).bytes());
  }
  flush();
}

void TensorBoardWriter::add_scalar(std::string_view tag, double value, int64_t step) {
  const auto point =
      Message().add_bytes(kTag, tag).add_float(kSimpleValue, static_cast<float>(value));
  const auto summary = Message().add_bytes(kValue, point.bytes());
  write_event(event_now(step).add_bytes(kSummary, summary.bytes()).bytes());
}

void TensorBoardWriter::flush() { file_->flush(); }

void TensorBoardWriter::write_event(std::string_view event) { file_->write(frame_record(event)); }

}  // namespace cpx::formats
