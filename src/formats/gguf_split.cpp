// SPDX-License-Identifier: Apache-2.0
#include "gguf_split.h"

#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "gguf_parser.h"

namespace cpx::formats {

namespace fs = std::filesystem;

namespace {

using Metadata = std::map<std::string, GgufValue>;

constexpr int64_t kMaxParts = 99999;  // what five digits can number

std::optional<int64_t> integer_at(const Metadata& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  const auto* value = std::get_if<int64_t>(&found->second);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

int64_t num_parts(const Metadata& metadata) {
  return integer_at(metadata, "split.count").value_or(1);
}

// From 1.
int64_t part_number(const Metadata& metadata) {
  const int64_t index = integer_at(metadata, "split.no").value_or(0);
  return index < 0 || index >= kMaxParts ? 0 : index + 1;
}

std::string ending(int64_t number, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number, count);
}

// The path of part `number` beside the first one.
fs::path part_path(const fs::path& first, int64_t number, int64_t count) {
  const std::string name = first.filename().string();
  const std::string own = ending(1, count);
  if (!name.ends_with(own)) {
    throw_<DataError>(
        "[gguf] {}: is the first of {} parts ('split.count'), but its name does not end in '{}', "
        "by which the others are found. Name it so, or join the parts with 'llama-gguf-split "
        "--merge'.",
        first.string(), count, own);
  }
  return first.parent_path() /
         fmt::format("{}{}", name.substr(0, name.size() - own.size()), ending(number, count));
}

GgufPart open_part(const fs::path& path, int64_t number, int64_t count) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw_<DataError>("[gguf] {}: is not there, expected part {} of {}. Copy it beside the first.",
                      path.string(), number, count);
  }
  GgufPart part{.file = MappedFile::open(path), .tensors = {}};
  auto content = parse_gguf(*part.file);
  if (part_number(content.metadata) != number || num_parts(content.metadata) != count) {
    throw_<DataError>(
        "[gguf] {}: is part {} of {} ('split.no', 'split.count'), expected part {} of {}.",
        path.string(), part_number(content.metadata), num_parts(content.metadata), number, count);
  }
  part.tensors = std::move(content.tensors);
  return part;
}

}  // namespace

std::vector<GgufPart> open_other_parts(const fs::path& path, const Metadata& metadata) {
  const int64_t count = num_parts(metadata);
  if (count <= 1) return {};
  if (count > kMaxParts) {
    throw_<DataError>("[gguf] {}: 'split.count' is {}, expected at most {}.", path.string(), count,
                      kMaxParts);
  }
  if (const int64_t number = part_number(metadata); number != 1) {
    throw_<DataError>(
        "[gguf] {}: is part {} of {} ('split.no', 'split.count'), expected the first, whose name "
        "ends in '{}'. The others are found beside it.",
        path.string(), number, count, ending(1, count));
  }
  std::vector<GgufPart> parts;
  for (int64_t number = 2; number <= count; ++number) {
    parts.push_back(open_part(part_path(path, number, count), number, count));
  }
  return parts;
}

void check_number_of_tensors(const fs::path& path, const Metadata& metadata, size_t count) {
  if (num_parts(metadata) <= 1) return;
  const auto expected = integer_at(metadata, "split.tensors.count");
  if (expected && *expected != static_cast<int64_t>(count)) {
    throw_<DataError>("[gguf] {}: the parts hold {} tensors, expected {} ('split.tensors.count').",
                      path.string(), count, *expected);
  }
}

}  // namespace cpx::formats
