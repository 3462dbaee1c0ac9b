// SPDX-License-Identifier: Apache-2.0
// A narrow reader of Python's pickles: data of a closed list of instructions, and names of things
// that the caller knows. Nothing is run: a call is a value like any other. Format: the opcodes of
// CPython's Lib/pickletools.py, protocols 2 to 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::formats {

/// One value of a pickle. Values stand in a table and name each other by place, so that cycles and
/// deep nesting are harmless.
struct PickleValue {
  enum class Kind {
    kNone,
    kBoolean,     // integer
    kInteger,     // integer
    kNumber,      // a floating-point number, whose value nobody asks for
    kText,        // text
    kTuple,       // items
    kList,        // items
    kDictionary,  // items: key, value, key, value, ...
    kName,        // text: "module.name"
    kPersistent,  // items: those of a reference to something outside the pickle
    kCall,        // text: the name that is called; items: the arguments
  };

  Kind kind = Kind::kNone;
  int64_t integer = 0;
  std::string text = {};
  std::vector<uint32_t> items = {};
};

struct Pickle {
  std::vector<PickleValue> values;
  uint32_t top = 0;

  const PickleValue& at(uint32_t place) const { return values[place]; }
  const PickleValue& top_value() const { return values[top]; }
};

/// "a dictionary", "a call of torch.device", ...: for messages.
std::string describe(const PickleValue& value);

/// Reads one pickle. `place` opens every message: "[where] file: 'entry'". Throws DataError that
/// says which instruction, or which name that is not among `names`, stands where.
Pickle read_pickle(const std::string& place, std::span<const std::byte> bytes,
                   std::span<const std::string_view> names);

}  // namespace cpx::formats
