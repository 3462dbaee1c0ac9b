// SPDX-License-Identifier: Apache-2.0
#include "gguf_parser.h"

#include <algorithm>
#include <bit>

#include <fmt/ranges.h>

#include "byte_reader.h"
#include "cpx/core/text.h"
#include "gguf_metadata.h"
#include "lfs_pointer.h"

namespace cpx::formats {

using tensor::StorageLayout;
using tensor::StorageType;

namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr int64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = 1 << 20;
constexpr uint32_t kMaxDimensions = 4;
// Bytes that a key with its value, and a line of the tensor table, take at least.
constexpr uint64_t kSmallestKey = 13;
constexpr uint64_t kSmallestTensorInfo = 32;

struct Counts {
  uint64_t tensors = 0;
  uint64_t keys = 0;
};

// A line of the tensor table.
struct TensorInfo {
  GgufTensor tensor;
  uint64_t offset = 0;  // from where the data begins
  uint64_t num_bytes = 0;
};

struct KnownType {
  uint32_t id;
  StorageType type;
};

constexpr KnownType kKnownTypes[] = {
    {0, StorageType::kF32},   {1, StorageType::kF16},     {30, StorageType::kBF16},
    {8, StorageType::kQ8_0},  {2, StorageType::kQ4_0},    {3, StorageType::kQ4_1},
    {6, StorageType::kQ5_0},  {7, StorageType::kQ5_1},    {10, StorageType::kQ2_K},
    {11, StorageType::kQ3_K}, {12, StorageType::kQ4_K},   {13, StorageType::kQ5_K},
    {14, StorageType::kQ6_K}, {20, StorageType::kIQ4_NL}, {23, StorageType::kIQ4_XS},
};

struct OtherType {
  uint32_t id;
  std::string_view name;
};

// What else ggml stores, for messages.
constexpr OtherType kOtherTypes[] = {
    {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {21, "IQ3_S"}, {22, "IQ2_S"}, {24, "I8"},      {25, "I16"},    {26, "I32"},     {27, "I64"},
    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"},
};

std::string type_name(uint32_t id) {
  for (const auto& other : kOtherTypes) {
    if (other.id == id) return fmt::format("{} (type {})", other.name, id);
  }
  return fmt::format("the unknown type {}", id);
}

void check_magic(ByteReader& reader) {
  const auto magic = reader.read<uint32_t>("the magic number");
  if (magic != kMagic) {
    const std::string_view text(reinterpret_cast<const char*>(&magic), sizeof(magic));
    throw_<DataError>("{}: begins with {}, expected 'GGUF'. It is no GGUF file.", reader.place(),
                      quote(text));
  }
}

void check_version(ByteReader& reader) {
  const auto version = reader.read<uint32_t>("the version");
  const uint32_t swapped = __builtin_bswap32(version);
  if (swapped == 2 || swapped == 3) {
    throw_<DataError>(
        "{}: is big-endian (version {}), expected little-endian. Convert it with llama.cpp's "
        "gguf_convert_endian.py.",
        reader.place(), swapped);
  }
  if (version != 2 && version != 3) {
    throw_<DataError>("{}: is of version {}, expected 2 or 3.", reader.place(), version);
  }
}

Counts read_counts(ByteReader& reader) {
  Counts counts;
  counts.tensors = reader.read<uint64_t>("the number of tensors");
  counts.keys = reader.read<uint64_t>("the number of metadata keys");
  const auto check = [&](uint64_t count, const char* what, uint64_t smallest) {
    if (count > reader.num_left() / smallest) {
      throw_<DataError>("{}: has {} {} by its header, but only {} bytes are left in the file.",
                        reader.place(), count, what, reader.num_left());
    }
  };
  check(counts.keys, "metadata keys", kSmallestKey);
  check(counts.tensors, "tensors", kSmallestTensorInfo);
  return counts;
}

uint64_t alignment_of(const std::string& place, const std::map<std::string, GgufValue>& metadata) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kDefaultAlignment;
  const auto* value = std::get_if<int64_t>(&found->second);
  if (value == nullptr || *value < 8 || *value > kMaxAlignment ||
      !std::has_single_bit(static_cast<uint64_t>(*value))) {
    throw_<DataError>("{}: 'general.alignment' is {}, expected a power of two from 8 to {}.", place,
                      value == nullptr ? "no integer" : std::to_string(*value), kMaxAlignment);
  }
  return static_cast<uint64_t>(*value);
}

// Outermost dimension first: the file has them the other way round.
std::vector<int64_t> read_shape(ByteReader& reader, const std::string& what) {
  const auto num_dimensions = reader.read<uint32_t>(what);
  if (num_dimensions > kMaxDimensions) {
    throw_<DataError>("{}: {} has {} dimensions, expected at most {}.", reader.place(), what,
                      num_dimensions, kMaxDimensions);
  }
  std::vector<int64_t> shape(num_dimensions);
  for (auto size = shape.rbegin(); size != shape.rend(); ++size) {
    const auto stored = reader.read<uint64_t>(what);
    if (stored >> 63 != 0) {
      throw_<DataError>("{}: {} has a dimension of {}, expected at most 2^63 - 1.", reader.place(),
                        what, stored);
    }
    *size = static_cast<int64_t>(stored);
  }
  return shape;
}

void read_type(ByteReader& reader, const std::string& what, GgufTensor& tensor) {
  const auto id = reader.read<uint32_t>(what);
  for (const auto& known : kKnownTypes) {
    if (known.id != id) continue;
    tensor.type = known.type;
    return;
  }
  tensor.unread_type = type_name(id);
}

uint64_t num_bytes(const std::string& place, const std::string& what, const GgufTensor& tensor) {
  const StorageLayout layout = storage_layout(tensor.type);
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % layout.elements != 0) {
    throw_<DataError>("{}: {} has rows of {} numbers, expected a multiple of {} for {}.", place,
                      what, row, layout.elements, layout.name);
  }
  int64_t bytes = row / layout.elements;
  bool is_too_large = __builtin_mul_overflow(bytes, layout.bytes, &bytes);
  int64_t elements = 1;  // of a quantised tensor there are more than bytes
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    is_too_large |= __builtin_mul_overflow(elements, tensor.shape[i], &elements);
    if (i + 1 == tensor.shape.size()) break;
    is_too_large |= __builtin_mul_overflow(bytes, tensor.shape[i], &bytes);
  }
  if (is_too_large) {
    throw_<DataError>("{}: {} is [{}], whose size in bytes does not fit 64 bits.", place, what,
                      fmt::join(tensor.shape, ", "));
  }
  return static_cast<uint64_t>(bytes);
}

TensorInfo read_tensor_info(ByteReader& reader) {
  TensorInfo info;
  info.tensor.name = reader.read_text("a tensor's name");
  const std::string what = quote(info.tensor.name);
  info.tensor.shape = read_shape(reader, what);
  read_type(reader, what, info.tensor);
  info.offset = reader.read<uint64_t>(what);
  if (info.tensor.unread_type.empty()) {
    info.num_bytes = num_bytes(reader.place(), what, info.tensor);
  }
  return info;
}

std::vector<TensorInfo> read_tensor_table(ByteReader& reader, uint64_t count) {
  std::vector<TensorInfo> infos;
  for (uint64_t i = 0; i < count; ++i) infos.push_back(read_tensor_info(reader));
  return infos;
}

void check_overlap(const std::string& place, std::vector<const TensorInfo*> infos) {
  std::sort(infos.begin(), infos.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < infos.size(); ++i) {
    const uint64_t end = infos[i - 1]->offset + infos[i - 1]->num_bytes;
    if (infos[i]->offset < end) {
      throw_<DataError>("{}: {} begins {} bytes into the data, where {} ends at {}: they overlap.",
                        place, quote(infos[i]->tensor.name), infos[i]->offset,
                        quote(infos[i - 1]->tensor.name), end);
    }
  }
}

// Gives every tensor of a type that is read its bytes; `data` is where in the file they begin.
void place_tensors(const std::string& place, std::span<const std::byte> file, uint64_t data,
                   uint64_t alignment, std::vector<TensorInfo>& infos) {
  const uint64_t size = data < file.size() ? file.size() - data : 0;
  std::vector<const TensorInfo*> order;
  for (auto& info : infos) {
    if (!info.tensor.unread_type.empty()) continue;
    const std::string what = quote(info.tensor.name);
    if (info.offset % alignment != 0) {
      throw_<DataError>("{}: {} begins {} bytes into the data, expected a multiple of {}.", place,
                        what, info.offset, alignment);
    }
    if (info.offset > size || info.num_bytes > size - info.offset) {
      throw_<DataError>(
          "{}: {} takes {} bytes from byte {} of the data, but only {} bytes are there. The file "
          "is cut short; copy or download it again.",
          place, what, info.num_bytes, info.offset, size);
    }
    info.tensor.bytes = file.subspan(data + info.offset, info.num_bytes);
    if (info.num_bytes > 0) order.push_back(&info);
  }
  check_overlap(place, std::move(order));
}

}  // namespace

std::string known_gguf_types() {
  std::vector<std::string_view> names;
  for (const auto& known : kKnownTypes) names.push_back(storage_layout(known.type).name);
  return fmt::format("{}", fmt::join(names, ", "));
}

GgufContent parse_gguf(const MappedFile& file) {
  refuse_lfs_pointer("gguf", file);
  ByteReader reader(fmt::format("[gguf] {}", file.path().string()), file.bytes());
  check_magic(reader);
  check_version(reader);
  const Counts counts = read_counts(reader);
  GgufContent content{.metadata = read_gguf_metadata(reader, counts.keys), .tensors = {}};
  const uint64_t alignment = alignment_of(reader.place(), content.metadata);
  auto infos = read_tensor_table(reader, counts.tensors);
  const uint64_t data = (reader.position() + alignment - 1) / alignment * alignment;
  place_tensors(reader.place(), file.bytes(), data, alignment, infos);
  for (auto& info : infos) content.tensors.push_back(std::move(info.tensor));
  return content;
}

}  // namespace cpx::formats
