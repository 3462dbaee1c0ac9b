// SPDX-License-Identifier: Apache-2.0
// Writes GGUF files for tests, wrong ones too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/formats/raw.h"

namespace cpx::formats {

/// Collects metadata and tensors; build() puts them together without any check.
struct GgufBuilder {
  uint32_t version = 3;
  uint64_t alignment = 32;
  std::string metadata{};
  uint64_t num_keys = 0;
  std::string table{};
  uint64_t num_tensors = 0;
  std::string data{};

  static std::string text(const std::string& value) { return raw(uint64_t{value.size()}) + value; }

  /// A key with a value of `type`, given as its bytes.
  GgufBuilder& add(const std::string& key, uint32_t type, const std::string& value) {
    metadata += text(key) + raw(type) + value;
    ++num_keys;
    return *this;
  }
  GgufBuilder& add_text(const std::string& key, const std::string& value) {
    return add(key, 8, text(value));
  }
  GgufBuilder& add_uint(const std::string& key, uint32_t value) { return add(key, 4, raw(value)); }
  GgufBuilder& add_float(const std::string& key, float value) { return add(key, 6, raw(value)); }
  GgufBuilder& add_texts(const std::string& key, const std::vector<std::string>& values) {
    std::string bytes = raw(uint32_t{8}) + raw(uint64_t{values.size()});
    for (const auto& value : values) bytes += text(value);
    return add(key, 9, bytes);
  }

  /// A line of the tensor table; `stored_shape` has the innermost dimension first.
  GgufBuilder& add_info(const std::string& name, const std::vector<uint64_t>& stored_shape,
                        uint32_t type, uint64_t offset) {
    table += text(name) + raw(static_cast<uint32_t>(stored_shape.size()));
    for (const uint64_t size : stored_shape) table += raw(size);
    table += raw(type) + raw(offset);
    ++num_tensors;
    return *this;
  }

  std::string build() const {
    std::string bytes = "GGUF" + raw(version) + raw(num_tensors) + raw(num_keys) + metadata + table;
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return bytes + data;
  }
};

}  // namespace cpx::formats
