// SPDX-License-Identifier: Apache-2.0
// What torch.save writes: torch/serialization.py (_save) and torch/_utils.py (_rebuild_tensor_v2)
// of PyTorch 2.11.
#include "cpx/formats/torch_file.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/nearest.h"
#include "cpx/core/text.h"
#include "cpx/formats/safetensors.h"
#include "lfs_pointer.h"
#include "pickle.h"
#include "zip_archive.h"

namespace cpx::formats {

namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr const char* kPickleEntry = "data.pkl";
constexpr size_t kMaxTensorDimensions = 16;
constexpr size_t kMaxShownKeys = 3;

struct Storage {
  std::string_view name;
  torch::Dtype dtype;
};

constexpr Storage kStorages[] = {
    {"torch.FloatStorage", torch::kFloat32},     {"torch.HalfStorage", torch::kFloat16},
    {"torch.BFloat16Storage", torch::kBFloat16}, {"torch.DoubleStorage", torch::kFloat64},
    {"torch.LongStorage", torch::kInt64},        {"torch.IntStorage", torch::kInt32},
    {"torch.ShortStorage", torch::kInt16},       {"torch.CharStorage", torch::kInt8},
    {"torch.ByteStorage", torch::kUInt8},        {"torch.BoolStorage", torch::kBool},
};

std::vector<std::string_view> known_names() {
  std::vector<std::string_view> names = {"collections.OrderedDict", kRebuildTensor,
                                         kRebuildParameter};
  for (const auto& storage : kStorages) names.push_back(storage.name);
  return names;
}

// ---- Before the archive -------------------------------------------------------------------------

void check_beginning(const MappedFile& file) {
  refuse_lfs_pointer("torch_file", file);
  const auto bytes = file.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("PK\x03\x04")) return;
  // A pickle of torch.save's own number.
  if (text.starts_with("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")) {
    throw_<DataError>(
        "[torch_file] {0}: is in the format of PyTorch before 1.6, expected a zip archive. Convert "
        "it once: python -c \"import torch; torch.save(torch.load('{0}', map_location='cpu', "
        "weights_only=True), '{0}')\"",
        file.path().string());
  }
  throw_<DataError>("[torch_file] {}: begins with {}, expected a zip archive of torch.save.",
                    file.path().string(), quote(text.substr(0, 4)));
}

// ---- Tensors of the pickle ----------------------------------------------------------------------

class TensorTable {
 public:
  TensorTable(const std::string& place, std::span<const std::byte> file)
      : place_(place), file_(file), archive_(place, file) {
    const std::string pickle = archive_.find_ending(fmt::format("/{}", kPickleEntry));
    if (pickle.empty()) {
      throw_<DataError>("{}: has no entry {}, expected an archive of torch.save.", place_,
                        quote(kPickleEntry));
    }
    folder_ = pickle.substr(0, pickle.size() - std::strlen(kPickleEntry));
    check_byte_order();
    const auto names = known_names();
    pickle_ = read_pickle(fmt::format("{}: {}", place_, quote(kPickleEntry)),
                          archive_.bytes(pickle), names);
  }

  std::map<std::string, TorchEntry> read() const {
    const PickleValue& top = pickle_.top_value();
    if (top.kind != Kind::kDictionary) {
      throw_<DataError>("{}: holds {}, expected a dictionary of tensors by name.", place_,
                        describe(top));
    }
    std::map<std::string, TorchEntry> entries;
    std::vector<std::string> other_keys;
    for (size_t i = 0; i + 1 < top.items.size(); i += 2) {
      const PickleValue& key = pickle_.at(top.items[i]);
      const PickleValue* tensor = find_tensor(pickle_.at(top.items[i + 1]));
      if (key.kind == Kind::kText && tensor != nullptr) {
        entries[key.text] = read_tensor(key.text, *tensor);
      } else if (other_keys.size() < kMaxShownKeys) {
        other_keys.push_back(key.kind == Kind::kText ? quote(key.text) : describe(key));
      }
    }
    if (entries.empty()) fail_without_tensors(other_keys);
    return entries;
  }

 private:
  void check_byte_order() const {
    const std::string name = folder_ + "byteorder";
    if (!archive_.contains(name)) return;  // before PyTorch 2.1
    const auto bytes = archive_.bytes(name);
    const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (order != "little") {
      throw_<DataError>("{}: has the byte order {}, expected 'little'.", place_,
                        quote(order.substr(0, 16)));
    }
  }

  [[noreturn]] void fail_without_tensors(const std::vector<std::string>& keys) const {
    throw_<DataError>(
        "{}: has no tensors at its top, expected those of a model by name{}. Save the model's "
        "state_dict alone.",
        place_, keys.empty() ? "" : fmt::format(" (its keys: {})", fmt::join(keys, ", ")));
  }

  // The call that makes a tensor, out of that of a parameter; nullptr for another value.
  const PickleValue* find_tensor(const PickleValue& value) const {
    if (value.kind != Kind::kCall) return nullptr;
    if (value.text == kRebuildTensor) return &value;
    if (value.text != kRebuildParameter || value.items.empty()) return nullptr;
    const PickleValue& data = pickle_.at(value.items[0]);
    return data.kind == Kind::kCall && data.text == kRebuildTensor ? &data : nullptr;
  }

  [[noreturn]] void fail(const std::string& name, std::string_view what) const {
    throw_<DataError>("{}: {} {}. It is damaged.", place_, quote(name), what);
  }

  std::vector<int64_t> read_integers(const std::string& name, const PickleValue& tuple) const {
    if (tuple.kind != Kind::kTuple || tuple.items.size() > kMaxTensorDimensions) {
      fail(name,
           fmt::format("has no shape and strides of at most {} numbers", kMaxTensorDimensions));
    }
    std::vector<int64_t> numbers;
    for (const uint32_t item : tuple.items) {
      const PickleValue& number = pickle_.at(item);
      if (number.kind != Kind::kInteger || number.integer < 0) {
        fail(name, "has a size or a stride that is no number from 0");
      }
      numbers.push_back(number.integer);
    }
    return numbers;
  }

  struct StoredNumbers {
    torch::Dtype dtype;
    std::span<const std::byte> bytes;
    int64_t count;
  };

  // ('storage', torch.FloatStorage, '0', 'cpu', 4)
  StoredNumbers read_storage(const std::string& name, const PickleValue& reference) const {
    const bool is_reference = reference.kind == Kind::kPersistent && reference.items.size() == 5 &&
                              pickle_.at(reference.items[0]).text == "storage" &&
                              pickle_.at(reference.items[1]).kind == Kind::kName &&
                              pickle_.at(reference.items[2]).kind == Kind::kText &&
                              pickle_.at(reference.items[4]).kind == Kind::kInteger;
    if (!is_reference) fail(name, "refers to no storage");
    for (const auto& storage : kStorages) {
      if (storage.name != pickle_.at(reference.items[1]).text) continue;
      const std::string entry =
          fmt::format("{}data/{}", folder_, pickle_.at(reference.items[2]).text);
      const auto bytes = archive_.bytes(entry);
      const int64_t count = pickle_.at(reference.items[4]).integer;
      int64_t expected = 0;
      if (count < 0 ||
          __builtin_mul_overflow(count, static_cast<int64_t>(c10::elementSize(storage.dtype)),
                                 &expected) ||
          expected > static_cast<int64_t>(bytes.size())) {
        throw_<DataError>("{}: the storage {} has {} bytes, expected {} numbers of {} bytes.",
                          place_, quote(entry), bytes.size(), count,
                          c10::elementSize(storage.dtype));
      }
      return {storage.dtype, bytes, count};
    }
    fail(name, "is of no kind of storage");
  }

  // (storage, offset, sizes, strides, requires_grad, hooks)
  TorchEntry read_tensor(const std::string& name, const PickleValue& call) const {
    if (call.items.size() < 4 || pickle_.at(call.items[1]).kind != Kind::kInteger) {
      fail(name, "has no storage, offset, shape and strides");
    }
    const StoredNumbers storage = read_storage(name, pickle_.at(call.items[0]));
    const int64_t offset = pickle_.at(call.items[1]).integer;
    TorchEntry entry{.dtype = storage.dtype,
                     .shape = read_integers(name, pickle_.at(call.items[2])),
                     .strides = read_integers(name, pickle_.at(call.items[3]))};
    if (entry.shape.size() != entry.strides.size()) {
      fail(name, "has another number of sizes than of strides");
    }
    const auto end = end_of(entry, offset);
    if (!end || *end > storage.count) {
      throw_<DataError>(
          "{}: {} is [{}] with strides [{}] from number {} on, but its storage has {} numbers.",
          place_, quote(name), fmt::join(entry.shape, ", "), fmt::join(entry.strides, ", "), offset,
          storage.count);
    }
    entry.begin = static_cast<size_t>(storage.bytes.data() - file_.data()) +
                  static_cast<size_t>(offset) * c10::elementSize(entry.dtype);
    return entry;
  }

  // The number behind the last one of a tensor; nothing where that does not fit 64 bits, or the
  // tensor has more numbers than those up to there.
  static std::optional<int64_t> end_of(const TorchEntry& entry, int64_t offset) {
    if (offset < 0) return std::nullopt;
    int64_t end = offset;
    int64_t count = 1;
    bool is_too_large = false;
    for (size_t i = 0; i < entry.shape.size(); ++i) {
      is_too_large |= __builtin_mul_overflow(count, entry.shape[i], &count);
    }
    if (is_too_large) return std::nullopt;
    if (count == 0) return offset;
    for (size_t i = 0; i < entry.shape.size(); ++i) {
      int64_t reach = 0;
      is_too_large |= __builtin_mul_overflow(entry.shape[i] - 1, entry.strides[i], &reach);
      is_too_large |= __builtin_add_overflow(end, reach, &end);
    }
    is_too_large |= __builtin_add_overflow(end, 1, &end);
    if (is_too_large || count > end - offset) return std::nullopt;
    return end;
  }

  std::string place_;
  std::span<const std::byte> file_;
  ZipArchive archive_;
  std::string folder_;  // of the archive's entries, with its '/'
  Pickle pickle_;
};

// Of numbers that do not lie at multiples of their size.
torch::Tensor copy_of(const TorchEntry& stored, const std::byte* data) {
  int64_t count = 1;
  for (size_t i = 0; i < stored.shape.size(); ++i) {
    count += (stored.shape[i] - 1) * stored.strides[i];
  }
  const torch::Tensor numbers = torch::empty({count}, stored.dtype);
  std::memcpy(numbers.mutable_data_ptr(), data, numbers.nbytes());
  return numbers.as_strided(stored.shape, stored.strides).contiguous();
}

}  // namespace

std::shared_ptr<const TorchFile> TorchFile::open(const std::filesystem::path& path) {
  return std::shared_ptr<const TorchFile>(new TorchFile(MappedFile::open(path)));
}

TorchFile::TorchFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  check_beginning(*file_);
  const std::string place = fmt::format("[torch_file] {}", file_->path().string());
  entries_ = TensorTable(place, file_->bytes()).read();
  for (const auto& [name, entry] : entries_) names_.push_back(name);
}

const TorchEntry& TorchFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    const auto nearest = nearest_name(name, names_);
    throw_<DataError>("[torch_file] {}: has no tensor {}.{}", path().string(), quote(name),
                      nearest ? fmt::format(" The nearest name is {}.", quote(*nearest)) : "");
  }
  return found->second;
}

const std::vector<int64_t>& TorchFile::shape(const std::string& name) const {
  return entry(name).shape;
}

torch::Dtype TorchFile::dtype(const std::string& name) const { return entry(name).dtype; }

torch::Tensor TorchFile::tensor(const std::string& name) const {
  const TorchEntry& stored = entry(name);
  const bool is_empty = std::ranges::count(stored.shape, 0) > 0;
  if (is_empty) return torch::empty(stored.shape, stored.dtype);
  const std::byte* data = file_->bytes().data() + stored.begin;
  const auto view = [&](torch::Dtype dtype) {
    // LibTorch has no read-only tensors; the map is private to readers by contract.
    const auto mapped = at::from_blob(
        const_cast<std::byte*>(data), stored.shape, stored.strides, [file = file_](void*) {},
        at::dtype(dtype));
    return mapped.contiguous();
  };
  // Only 0 and 1 are booleans to the compiler, while a file may hold any byte.
  if (stored.dtype == torch::kBool) return view(torch::kUInt8).ne(0);
  const bool is_aligned = reinterpret_cast<uintptr_t>(data) % c10::elementSize(stored.dtype) == 0;
  return is_aligned ? view(stored.dtype) : copy_of(stored, data);
}

std::shared_ptr<const TensorFile> open_tensor_file(const std::filesystem::path& path) {
  if (path.extension() == ".safetensors") return SafetensorsFile::open(path);
  return TorchFile::open(path);
}

}  // namespace cpx::formats
