// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/standard_output.h"

#include <cerrno>
#include <fcntl.h>
#include <iostream>
#include <string>
#include <string_view>
#include <unistd.h>

#include "cpx/core/error.h"

namespace cpx {

namespace {

constexpr size_t kStandardBufferBytes = size_t{1} << 16;

// A buffer in front of descriptor 1. What it throws, std::cout throws on.
class StandardBuffer : public std::streambuf {
 public:
  StandardBuffer() : is_terminal_(isatty(STDOUT_FILENO) == 1) {}

 protected:
  int_type overflow(int_type character) override {
    if (traits_type::eq_int_type(character, traits_type::eof())) return traits_type::not_eof(0);
    const char text = traits_type::to_char_type(character);
    add({&text, 1});
    return character;
  }

  std::streamsize xsputn(const char* text, std::streamsize size) override {
    add({text, static_cast<size_t>(size)});
    return size;
  }

  int sync() override {
    const std::string text = std::move(text_);
    text_.clear();  // what failed once is not written again
    std::string_view rest = text;
    while (!rest.empty()) {
      const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw_standard_output_error(errno);
      rest.remove_prefix(static_cast<size_t>(written));
    }
    return 0;
  }

 private:
  void add(std::string_view text) {
    text_ += text;
    const bool ends_line = is_terminal_ && text.find('\n') != std::string_view::npos;
    if (ends_line || text_.size() >= kStandardBufferBytes) sync();
  }

  bool is_terminal_;
  std::string text_;
};

}  // namespace

void throw_standard_output_error(int code) {
  if (code == EPIPE) throw ClosedPipe();
  throw_<DataError>(
      "[standard output] cannot be written: {}. What was written there is incomplete.",
      system_error_text(code));
}

CheckedStandardOutput::CheckedStandardOutput()
    : buffer_(std::make_unique<StandardBuffer>()),
      before_(std::cout.rdbuf(buffer_.get())),
      tied_before_(std::cerr.tie(nullptr)),  // telling an error must not write here again
      exceptions_before_(std::cout.exceptions()) {
  std::cout.exceptions(std::ios_base::badbit);
}

CheckedStandardOutput::~CheckedStandardOutput() {
  std::cout.exceptions(exceptions_before_);
  std::cout.flush();  // in vain where it has failed before
  std::cout.rdbuf(before_);
  std::cerr.tie(tied_before_);
}

void CheckedStandardOutput::finish() { std::cout.flush(); }

void reserve_standard_descriptors() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(number, F_GETFD) >= 0) continue;
    // The wrong way round: reading from it, or writing to it, is an error as before.
    const int flags = number == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", flags) < 0) return;  // takes the lowest free number: this one
  }
}

}  // namespace cpx
