// SPDX-License-Identifier: Apache-2.0
#include "pickle.h"

#include <algorithm>
#include <unordered_map>

#include "byte_reader.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"

namespace cpx::formats {

namespace {

using Kind = PickleValue::Kind;

// Far above any model: a tensor takes about 20 values.
constexpr size_t kMaxValues = size_t{1} << 22;
constexpr size_t kMaxInstructions = size_t{1} << 24;

struct Instruction {
  uint8_t code;
  std::string_view name;
};

// What is not read, by name.
constexpr Instruction kOthers[] = {
    {'0', "POP"},
    {'1', "POP_MARK"},
    {'2', "DUP"},
    {'F', "FLOAT"},
    {'I', "INT"},
    {'L', "LONG"},
    {'P', "PERSID"},
    {'S', "STRING"},
    {'T', "BINSTRING"},
    {'U', "SHORT_BINSTRING"},
    {'V', "UNICODE"},
    {'B', "BINBYTES"},
    {'C', "SHORT_BINBYTES"},
    {'d', "DICT"},
    {'l', "LIST"},
    {'g', "GET"},
    {'p', "PUT"},
    {'i', "INST"},
    {'o', "OBJ"},
    {0x81, "NEWOBJ"},
    {0x82, "EXT1"},
    {0x83, "EXT2"},
    {0x84, "EXT4"},
    {0x8b, "LONG4"},
    {0x8e, "BINBYTES8"},
    {0x8f, "EMPTY_SET"},
    {0x90, "ADDITEMS"},
    {0x91, "FROZENSET"},
    {0x92, "NEWOBJ_EX"},
    {0x96, "BYTEARRAY8"},
    {0x97, "NEXT_BUFFER"},
    {0x98, "READONLY_BUFFER"},
};

std::string instruction_name(uint8_t code) {
  for (const auto& other : kOthers) {
    if (other.code == code) return std::string(other.name);
  }
  return fmt::format("{:#04x}", code);
}

class PickleReader {
 public:
  PickleReader(const std::string& place, std::span<const std::byte> bytes,
               std::span<const std::string_view> names)
      : place_(place), reader_(place, bytes), names_(names) {}

  Pickle read() {
    for (size_t count = 0; count < kMaxInstructions; ++count) {
      const auto code = reader_.read<uint8_t>("an instruction");
      if (code == '.') {
        const uint32_t top = pop();
        return {std::move(values_), top};
      }
      if (!read_number(code) && !read_text(code) && !read_container(code) &&
          !read_reference(code) && !read_call(code)) {
        throw_<DataError>(
            "{}: has the instruction {} at byte {}, which cpx does not read: it reads dictionaries "
            "of "
            "tensors alone and runs nothing. Save the tensors alone, or as safetensors.",
            place_, instruction_name(code), reader_.position() - 1);
      }
    }
    throw_<DataError>("{}: has more than {} instructions.", place_, kMaxInstructions);
  }

 private:
  [[noreturn]] void fail_damaged(std::string_view what) const {
    throw_<DataError>("{}: {} at byte {}. It is damaged.", place_, what, reader_.position());
  }

  // ---- The stack --------------------------------------------------------------------------------

  void push(PickleValue value) {
    if (values_.size() == kMaxValues) {
      throw_<DataError>("{}: has more than {} values.", place_, kMaxValues);
    }
    stack_.push_back(static_cast<uint32_t>(values_.size()));
    values_.push_back(std::move(value));
  }

  // What is above the last mark cannot be taken from below it.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  uint32_t pop() {
    if (stack_.size() <= floor()) fail_damaged("takes a value from an empty stack");
    const uint32_t value = stack_.back();
    stack_.pop_back();
    return value;
  }

  PickleValue& top() {
    if (stack_.size() <= floor()) fail_damaged("takes a value from an empty stack");
    return values_[stack_.back()];
  }

  std::vector<uint32_t> pop_many(size_t count) {
    if (stack_.size() - floor() < count) fail_damaged("takes a value from an empty stack");
    const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<uint32_t> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return items;
  }

  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) fail_damaged("ends a group that never began");
    const size_t count = stack_.size() - marks_.back();
    auto items = pop_many(count);
    marks_.pop_back();
    return items;
  }

  // ---- Instructions by what they are for --------------------------------------------------------
  // Each function says whether the code is one of its own.

  bool read_number(uint8_t code) {
    const auto push_integer = [&](int64_t value) {
      push({.kind = Kind::kInteger, .integer = value});
    };
    switch (code) {
      case 'N':
        push({.kind = Kind::kNone});
        return true;
      case 0x88:
      case 0x89:
        push({.kind = Kind::kBoolean, .integer = code == 0x88 ? 1 : 0});
        return true;
      case 'J':
        push_integer(reader_.read<int32_t>("an integer"));
        return true;
      case 'K':
        push_integer(reader_.read<uint8_t>("an integer"));
        return true;
      case 'M':
        push_integer(reader_.read<uint16_t>("an integer"));
        return true;
      case 0x8a:
        push_integer(read_long());
        return true;
      case 'G':
        reader_.skip(8, "a number");
        push({.kind = Kind::kNumber});
        return true;
      default:
        return false;
    }
  }

  // LONG1: so many bytes of two's complement, the lowest first.
  int64_t read_long() {
    const auto count = reader_.read<uint8_t>("an integer");
    if (count > 8) fail_damaged("has an integer of more than 64 bits");
    const auto bytes = reader_.take(count, "an integer");
    uint64_t value =
        count > 0 && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = bytes.size(); i-- > 0;) value = (value << 8) | static_cast<uint8_t>(bytes[i]);
    return static_cast<int64_t>(value);
  }

  bool read_text(uint8_t code) {
    const auto push_text = [&](uint64_t length) {
      push({.kind = Kind::kText, .text = reader_.read_bytes(length, "a text")});
    };
    switch (code) {
      case 'X':
        push_text(reader_.read<uint32_t>("a text"));
        return true;
      case 0x8c:
        push_text(reader_.read<uint8_t>("a text"));
        return true;
      case 0x8d:
        push_text(reader_.read<uint64_t>("a text"));
        return true;
      case 0x80:  // PROTO
        check_protocol();
        return true;
      case 0x95:  // FRAME: how many bytes belong together
        reader_.skip(8, "a frame");
        return true;
      default:
        return false;
    }
  }

  void check_protocol() {
    const auto protocol = reader_.read<uint8_t>("the protocol");
    if (protocol < 2 || protocol > 5) {
      throw_<DataError>("{}: is a pickle of protocol {}, expected 2 to 5.", place_, protocol);
    }
  }

  bool read_container(uint8_t code) {
    const auto push_tuple = [&](std::vector<uint32_t> items) {
      push({.kind = Kind::kTuple, .items = std::move(items)});
    };
    switch (code) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case ')':
        push_tuple({});
        return true;
      case 't':
        push_tuple(pop_to_mark());
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push_tuple(pop_many(code - 0x84));
        return true;
      case ']':
        push({.kind = Kind::kList});
        return true;
      case '}':
        push({.kind = Kind::kDictionary});
        return true;
      case 'a':
        append(Kind::kList, pop_many(1));
        return true;
      case 'e':
        append(Kind::kList, pop_to_mark());
        return true;
      case 's':
        append(Kind::kDictionary, pop_many(2));
        return true;
      case 'u':
        append(Kind::kDictionary, pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  void append(Kind kind, const std::vector<uint32_t>& items) {
    PickleValue& container = top();
    if (container.kind != kind || (kind == Kind::kDictionary && items.size() % 2 != 0)) {
      fail_damaged("puts values into what takes none");
    }
    container.items.insert(container.items.end(), items.begin(), items.end());
  }

  bool read_reference(uint8_t code) {
    switch (code) {
      case 'q':
        memo_[reader_.read<uint8_t>("a place")] = top_place();
        return true;
      case 'r':
        memo_[reader_.read<uint32_t>("a place")] = top_place();
        return true;
      case 0x94:  // MEMOIZE
        memo_[static_cast<uint32_t>(memo_.size())] = top_place();
        return true;
      case 'h':
        push_known(reader_.read<uint8_t>("a place"));
        return true;
      case 'j':
        push_known(reader_.read<uint32_t>("a place"));
        return true;
      default:
        return false;
    }
  }

  uint32_t top_place() {
    top();
    return stack_.back();
  }

  void push_known(uint32_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) fail_damaged("takes a value that was never kept");
    stack_.push_back(found->second);
  }

  bool read_call(uint8_t code) {
    switch (code) {
      case 'c': {
        const std::string module = read_line();
        push_name(fmt::format("{}.{}", module, read_line()));
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const auto parts = pop_many(2);
        push_name(fmt::format("{}.{}", values_[parts[0]].text, values_[parts[1]].text));
        return true;
      }
      case 'Q': {
        const auto reference = pop();
        if (values_[reference].kind != Kind::kTuple) fail_damaged("refers to what is no tuple");
        push({.kind = Kind::kPersistent, .items = values_[reference].items});
        return true;
      }
      case 'R':
        push_call(pop_many(2));
        return true;
      case 'b':
        pop();  // the attributes of a dictionary of a model
        if (top().kind != Kind::kDictionary) fail_damaged("gives attributes to no dictionary");
        return true;
      default:
        return false;
    }
  }

  std::string read_line() {
    std::string line;
    for (char c; (c = reader_.read<char>("a name")) != '\n';) line += c;
    return line;
  }

  void push_name(const std::string& name) {
    if (std::find(names_.begin(), names_.end(), name) == names_.end()) {
      throw_<DataError>(
          "{}: has {} at byte {}, which cpx does not read: it reads dictionaries of tensors alone "
          "and "
          "runs nothing. Save the tensors alone, or as safetensors.",
          place_, quote(name), reader_.position());
    }
    push({.kind = Kind::kName, .text = name});
  }

  void push_call(const std::vector<uint32_t>& parts) {
    const PickleValue& name = values_[parts[0]];
    const PickleValue& arguments = values_[parts[1]];
    if (name.kind != Kind::kName || arguments.kind != Kind::kTuple) {
      fail_damaged("calls what is no function");
    }
    if (name.text == "collections.OrderedDict" && arguments.items.empty()) {
      push({.kind = Kind::kDictionary});
    } else {
      push({.kind = Kind::kCall, .text = name.text, .items = arguments.items});
    }
  }

  std::string place_;
  ByteReader reader_;
  std::span<const std::string_view> names_;
  std::vector<PickleValue> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, uint32_t> memo_;
};

}  // namespace

std::string describe(const PickleValue& value) {
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBoolean:
      return "a boolean";
    case Kind::kInteger:
      return "an integer";
    case Kind::kNumber:
      return "a number";
    case Kind::kText:
      return "a text";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDictionary:
      return "a dictionary";
    case Kind::kName:
      return value.text;
    case Kind::kPersistent:
      return "a storage";
    case Kind::kCall:
      return fmt::format("a call of {}", value.text);
  }
  return {};
}

Pickle read_pickle(const std::string& place, std::span<const std::byte> bytes,
                   std::span<const std::string_view> names) {
  return PickleReader(place, bytes, names).read();
}

}  // namespace cpx::formats
