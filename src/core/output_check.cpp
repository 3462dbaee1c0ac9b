// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/output_check.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <climits>

#include "cpx/core/faults.h"
#include "cpx/core/output_target.h"

namespace cpx {

namespace fs = std::filesystem;

namespace {

using Kind = OutputTarget::Kind;

// Endings and names of the files that models, tokenizers and adapters consist of.
constexpr std::array<std::string_view, 5> kModelEndings = {".safetensors", ".bin", ".gguf",
                                                           ".model", ".jinja"};
constexpr std::array<std::string_view, 11> kModelFiles = {"config.json",
                                                          "generation_config.json",
                                                          "tokenizer.json",
                                                          "tokenizer_config.json",
                                                          "special_tokens_map.json",
                                                          "added_tokens.json",
                                                          "vocab.json",
                                                          "merges.txt",
                                                          "adapter_config.json",
                                                          "quantize_config.json",
                                                          "quant_config.json"};

bool is_model_file(const fs::path& path) {
  const std::string name = path.filename().string();
  return std::ranges::find(kModelFiles, name) != kModelFiles.end() ||
         std::ranges::find(kModelEndings, path.extension().string()) != kModelEndings.end() ||
         name.ends_with(".safetensors.index.json");
}

std::string cannot_be_written(std::string_view flag, const fs::path& path,
                              const std::string& reason) {
  return fmt::format("[{}] '{}' cannot be written: {}. Choose another place.", flag, path.string(),
                     reason);
}

// Why the stream cannot be written into: errno, or 0.
int stream_error(const OutputTarget& target) {
  if (target.descriptor < 0) return access(target.path.c_str(), W_OK) == 0 ? 0 : errno;
  const int flags = fcntl(target.descriptor, F_GETFL);
  return flags < 0 || (flags & O_ACCMODE) == O_RDONLY ? EBADF : 0;
}

// The same of a file, of which the folder is there.
int file_error(const OutputTarget& target, const fs::path& folder) {
  if (access(folder.c_str(), W_OK | X_OK) != 0) return errno;
  if (staging_file(target.path).filename().string().size() > NAME_MAX) return ENAMETOOLONG;
  if (target.kind == Kind::kFile && access(target.path.c_str(), W_OK) != 0) return errno;
  return 0;
}

// The device and number of what is there.
std::optional<std::pair<dev_t, ino_t>> identity(const fs::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return std::pair(status.st_dev, status.st_ino);
}

}  // namespace

std::optional<std::string> output_file_fault(std::string_view flag, const fs::path& path) {
  if (path.empty()) return fmt::format("[{}] got an empty name, expected that of a file.", flag);
  const OutputTarget target = find_output(path);
  if (target.error != 0 && target.error != ENOTDIR) {
    return cannot_be_written(flag, path, system_error_text(target.error));
  }
  if (target.kind == Kind::kFolder || !target.path.has_filename()) {
    return cannot_be_written(flag, path, "it is a folder, expected a file");
  }
  int error = 0;
  if (target.is_stream()) {
    error = stream_error(target);
  } else {
    const fs::path folder = fs::absolute(target.path).parent_path();
    std::error_code ignored;
    if (!fs::is_directory(folder, ignored)) {
      return fmt::format("[{}] '{}' cannot be written: there is no folder '{}'. Make it first.",
                         flag, path.string(), folder.string());
    }
    error = file_error(target, folder);
  }
  if (error == 0) return std::nullopt;
  return cannot_be_written(flag, path, system_error_text(error));
}

std::optional<std::string> output_folder_fault(std::string_view flag, const fs::path& folder) {
  std::error_code error;
  const fs::path wanted = fs::absolute(folder);
  fs::path existing = wanted;
  while (!fs::exists(existing, error) && existing.has_relative_path()) {
    if (fs::is_symlink(existing, error)) break;  // leads nowhere: mkdir does not follow it
    existing = existing.parent_path();
  }
  int code = 0;
  if (!fs::is_directory(existing, error)) {
    code = ENOTDIR;
  } else if (access(existing.c_str(), W_OK | X_OK) != 0) {
    code = errno;
  }
  if (code == 0) return std::nullopt;
  return fmt::format("[{}] '{}' cannot be {}: {}. Choose another folder.", flag, folder.string(),
                     existing == wanted ? "written to" : "made", system_error_text(code));
}

bool is_same_place(const fs::path& one, const fs::path& other) {
  const OutputTarget first = find_output(one);
  const OutputTarget second = find_output(other);
  const auto first_identity = identity(first.path);
  const auto second_identity = identity(second.path);
  if (first_identity && second_identity) return first_identity == second_identity;
  if (first_identity || second_identity) return false;
  std::error_code error;
  return fs::weakly_canonical(first.path, error) == fs::weakly_canonical(second.path, error);
}

void OutputCheck::reads(std::string flag, fs::path path) {
  inputs_.push_back({std::move(flag), std::move(path)});
}

void OutputCheck::writes(std::string flag, fs::path path) {
  outputs_.push_back({std::move(flag), std::move(path)});
}

// What stands in the way of the output of this number, or nothing. Streams are in nobody's way.
std::optional<std::string> OutputCheck::clash(const Named& output, size_t number) const {
  const OutputTarget target = find_output(output.path);
  if (target.is_stream()) {
    for (size_t i = 0; i < number && target.descriptor == STDOUT_FILENO; ++i) {
      if (!is_standard_output(outputs_[i].path)) continue;
      return fmt::format("[{}] standard output is also {}, expected one of them to be a file.",
                         output.flag, outputs_[i].flag);
    }
    return std::nullopt;
  }
  for (const Named& input : inputs_) {
    const bool is_part_of_it = target.kind == Kind::kFile && is_model_file(target.path) &&
                               is_same_place(fs::absolute(target.path).parent_path(), input.path);
    if (!is_part_of_it && !is_same_place(target.path, input.path)) continue;
    return fmt::format("[{}] '{}' is {} {}, which is read, expected another file.", output.flag,
                       output.path.string(), is_part_of_it ? "a file of" : "also", input.flag);
  }
  for (size_t i = 0; i < number; ++i) {
    if (!is_same_place(target.path, outputs_[i].path)) continue;
    return fmt::format("[{}] '{}' is also {}, expected another file.", output.flag,
                       output.path.string(), outputs_[i].flag);
  }
  return std::nullopt;
}

void OutputCheck::check() const {
  Faults clashes;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (auto fault = clash(outputs_[i], i)) clashes.add_line(std::move(*fault));
  }
  clashes.throw_if_any();
  for (const Named& output : outputs_) {
    if (const auto fault = output_file_fault(output.flag, output.path)) throw DataError(*fault);
  }
}

}  // namespace cpx
