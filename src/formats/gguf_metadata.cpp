// SPDX-License-Identifier: Apache-2.0
#include "gguf_metadata.h"

#include <algorithm>

#include "cpx/core/text.h"

namespace cpx::formats {

namespace {

// Numbers of the format.
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kText = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Of arrays in arrays, which no known key has.
constexpr int kMaxDepth = 8;

[[noreturn]] void fail_type(const ByteReader& reader, const std::string& what, ValueType type,
                            const char* expected) {
  throw_<DataError>("{}: {} is of type {}, expected {}.", reader.place(), what,
                    static_cast<uint32_t>(type), expected);
}

// Bytes that an element takes at least.
size_t smallest_size(ValueType type) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kInt8:
    case ValueType::kBool:
      return 1;
    case ValueType::kUint16:
    case ValueType::kInt16:
      return 2;
    case ValueType::kUint32:
    case ValueType::kInt32:
    case ValueType::kFloat32:
      return 4;
    default:
      return 8;
  }
}

template <class T>
std::vector<T> read_elements(uint64_t count, const auto& read_one) {
  std::vector<T> values;
  values.reserve(count);  // checked against the bytes that are left
  for (uint64_t i = 0; i < count; ++i) values.push_back(read_one());
  return values;
}

// One integer of the given type, booleans included.
int64_t read_integer(ByteReader& reader, ValueType type, const std::string& what) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kBool:
      return reader.read<uint8_t>(what);
    case ValueType::kInt8:
      return reader.read<int8_t>(what);
    case ValueType::kUint16:
      return reader.read<uint16_t>(what);
    case ValueType::kInt16:
      return reader.read<int16_t>(what);
    case ValueType::kUint32:
      return reader.read<uint32_t>(what);
    case ValueType::kInt32:
      return reader.read<int32_t>(what);
    case ValueType::kInt64:
      return reader.read<int64_t>(what);
    default:
      fail_type(reader, what, type, "0 to 12 other than 9 in an array");
  }
}

// As int64; where one does not fit, all as double.
GgufValue read_uint64_array(ByteReader& reader, uint64_t count, const std::string& what) {
  const auto values = read_elements<uint64_t>(count, [&] { return reader.read<uint64_t>(what); });
  const auto fits = [](uint64_t value) { return value >> 63 == 0; };
  if (std::all_of(values.begin(), values.end(), fits)) {
    return std::vector<int64_t>(values.begin(), values.end());
  }
  return std::vector<double>(values.begin(), values.end());
}

GgufValue read_array(ByteReader& reader, const std::string& what, int depth);

// Arrays in an array are passed over.
GgufValue read_array_of_arrays(ByteReader& reader, uint64_t count, const std::string& what,
                               int depth) {
  if (depth >= kMaxDepth) {
    throw_<DataError>("{}: {} is nested deeper than {} arrays.", reader.place(), what, kMaxDepth);
  }
  for (uint64_t i = 0; i < count; ++i) read_array(reader, what, depth + 1);
  return GgufOtherValue();
}

GgufValue read_array(ByteReader& reader, const std::string& what, int depth) {
  const auto type = static_cast<ValueType>(reader.read<uint32_t>(what));
  const auto count = reader.read<uint64_t>(what);
  if (count > reader.num_left() / smallest_size(type)) {
    throw_<DataError>("{}: {} has {} elements, but only {} bytes are left in the file.",
                      reader.place(), what, count, reader.num_left());
  }
  switch (type) {
    case ValueType::kText:
      return read_elements<std::string>(count, [&] { return reader.read_text(what); });
    case ValueType::kFloat32:
      return read_elements<double>(count, [&] { return double{reader.read<float>(what)}; });
    case ValueType::kFloat64:
      return read_elements<double>(count, [&] { return reader.read<double>(what); });
    case ValueType::kArray:
      return read_array_of_arrays(reader, count, what, depth);
    case ValueType::kUint64:
      return read_uint64_array(reader, count, what);
    default:
      if (type > ValueType::kFloat64) fail_type(reader, what, type, "0 to 12 in an array");
      return read_elements<int64_t>(count, [&] { return read_integer(reader, type, what); });
  }
}

GgufValue read_value(ByteReader& reader, const std::string& what) {
  const auto type = static_cast<ValueType>(reader.read<uint32_t>(what));
  switch (type) {
    case ValueType::kBool:
      return reader.read<uint8_t>(what) != 0;
    case ValueType::kText:
      return reader.read_text(what);
    case ValueType::kArray:
      return read_array(reader, what, /*depth=*/1);
    case ValueType::kFloat32:
      return double{reader.read<float>(what)};
    case ValueType::kFloat64:
      return reader.read<double>(what);
    case ValueType::kUint64: {
      const auto value = reader.read<uint64_t>(what);
      if (value >> 63 != 0) return static_cast<double>(value);
      return static_cast<int64_t>(value);
    }
    default:
      if (type > ValueType::kFloat64) fail_type(reader, what, type, "0 to 12");
      return read_integer(reader, type, what);
  }
}

}  // namespace

std::map<std::string, GgufValue> read_gguf_metadata(ByteReader& reader, uint64_t count) {
  std::map<std::string, GgufValue> metadata;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string key = reader.read_text("a metadata key");
    if (metadata.contains(key)) {
      throw_<DataError>("{}: the metadata has {} twice, expected once.", reader.place(),
                        quote(key));
    }
    metadata[key] = read_value(reader, quote(key));
  }
  return metadata;
}

}  // namespace cpx::formats
