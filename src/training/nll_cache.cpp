// SPDX-License-Identifier: Apache-2.0
// The file: kMagic; the key as JSON, behind its length; the number of entries; each entry's id,
// number of values, values; a checksum (FNV-1a) of all before it. Numbers are little-endian,
// lengths, ids and the checksum of 64 bits, values of 32.
#include "cpx/training/nll_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text_hash.h"

namespace cpx::training {

namespace fs = std::filesystem;

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "cpx NLL cache 1\n";
// Fewer new values than these are not written on their own.
constexpr int64_t kMinNewValues = 1 << 18;

using Entries = std::unordered_map<uint64_t, std::vector<float>>;

template <class Number>
std::string_view bytes_of(const Number* numbers, size_t count) {
  return {reinterpret_cast<const char*>(numbers), count * sizeof(Number)};
}

uint64_t checksum(std::string_view bytes) {
  TextHash hash;
  hash.add(bytes);
  return hash.value();
}

std::string key_text(const Fingerprints& key) {
  return nlohmann::json(key).dump(-1, ' ', /*ensure_ascii=*/false,
                                  nlohmann::json::error_handler_t::replace);
}

// ---- Writing ------------------------------------------------------------------------------------

// Writes bytes and keeps their checksum.
class SummedFile {
 public:
  explicit SummedFile(const fs::path& target) : file_(target) {}

  void write(std::string_view bytes) {
    hash_.add(bytes);
    file_.write(bytes);
  }
  void write_count(uint64_t count) { write(bytes_of(&count, 1)); }

  void commit() {
    const uint64_t sum = hash_.value();
    file_.write(bytes_of(&sum, 1));
    file_.commit();
  }

 private:
  AtomicFile file_;
  TextHash hash_;
};

void write_entries(const fs::path& target, const Fingerprints& key, const Entries& entries) {
  if (target.has_parent_path()) fs::create_directories(target.parent_path());
  SummedFile file(target);
  const std::string key_json = key_text(key);
  file.write(kMagic);
  file.write_count(key_json.size());
  file.write(key_json);
  file.write_count(entries.size());
  for (const auto& [id, values] : entries) {
    file.write_count(id);
    file.write_count(values.size());
    file.write(bytes_of(values.data(), values.size()));
  }
  file.commit();
}

// ---- Reading ------------------------------------------------------------------------------------

// Takes what a sound file holds from its front; throws DataError where it ends too early.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::string_view take(uint64_t num_bytes) {
    if (num_bytes > bytes_.size()) {
      throw_<DataError>("got {} more bytes, expected {}", bytes_.size(), num_bytes);
    }
    const auto taken = bytes_.substr(0, num_bytes);
    bytes_.remove_prefix(num_bytes);
    return taken;
  }

  uint64_t take_count() {
    uint64_t count = 0;
    std::memcpy(&count, take(sizeof(count)).data(), sizeof(count));
    return count;
  }

  std::vector<float> take_values(uint64_t count) {
    const uint64_t most = bytes_.size() / sizeof(float);
    if (count > most) throw_<DataError>("got {} more values, expected {}", most, count);
    std::vector<float> values(count);
    const auto bytes = take(count * sizeof(float));
    if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

 private:
  std::string_view bytes_;
};

// What is between the magic and the checksum.
std::string_view checked_content(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) {
    throw_<DataError>("it does not begin with '{}'", kMagic.substr(0, kMagic.size() - 1));
  }
  if (bytes.size() < kMagic.size() + sizeof(uint64_t)) {
    throw_<DataError>("got {} bytes, expected more", bytes.size());
  }
  const auto summed = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  const uint64_t written = Reader(bytes.substr(summed.size())).take_count();
  if (const uint64_t sum = checksum(summed); sum != written) {
    throw_<DataError>("got checksum {:016x}, expected {:016x}", sum, written);
  }
  return summed.substr(kMagic.size());
}

Fingerprints parse_key(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  Fingerprints key;
  if (!json.is_object()) throw_<DataError>("its key is no JSON object");
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) throw_<DataError>("its key's '{}' is no text", name);
    key[name] = value.get<std::string>();
  }
  return key;
}

// "model: got X, expected Y" of each part that is not what it was.
std::vector<std::string> changed_parts(const Fingerprints& stored, const Fingerprints& current) {
  const auto value_of = [](const Fingerprints& key, const std::string& name) -> std::string {
    const auto found = key.find(name);
    return found == key.end() ? "nothing" : found->second;
  };
  Fingerprints names = stored;
  names.insert(current.begin(), current.end());
  std::vector<std::string> changed;
  for (const auto& [name, unused] : names) {
    const std::string was = value_of(stored, name);
    const std::string is = value_of(current, name);
    if (was != is) changed.push_back(fmt::format("{}: got {}, expected {}", name, is, was));
  }
  return changed;
}

}  // namespace

uint64_t sequence_id(std::span<const tokenizer::TokenId> ids, int64_t num_given) {
  TextHash hash;
  hash.add(bytes_of(&num_given, 1));
  hash.add(bytes_of(ids.data(), ids.size()));
  return hash.value();
}

uint64_t pack_id(const data::PackedBatch& batch) {
  TextHash hash;
  const auto add = [&hash](const auto& numbers) {
    const uint64_t count = numbers.size();
    hash.add(bytes_of(&count, 1));
    hash.add(bytes_of(numbers.data(), numbers.size()));
  };
  add(batch.ids);
  add(batch.cu_seqlens);
  add(batch.rows);
  add(batch.targets);
  add(batch.token_of_place);
  return hash.value();
}

NllCache::NllCache(fs::path file, Fingerprints key) : file_(std::move(file)), key_(std::move(key)) {
  std::error_code error;
  if (!fs::exists(file_, error)) return;
  try {
    read();
  } catch (const std::exception& fault) {
    entries_.clear();
    num_values_ = 0;
    log_warning("[{}] the cache of NLLs is damaged: {}. They are computed anew.", file_.string(),
                fault.what());
  }
}

NllCache::~NllCache() { flush(); }

void NllCache::read() {
  const std::string bytes = read_text_file(file_);
  Reader reader(checked_content(bytes));
  const Fingerprints stored = parse_key(reader.take(reader.take_count()));
  if (const auto changed = changed_parts(stored, key_); !changed.empty()) {
    log_info("[{}] the cache of NLLs was made otherwise: {}. They are computed anew.",
             file_.string(), fmt::join(changed, "; "));
    return;
  }
  for (uint64_t left = reader.take_count(); left > 0; --left) {
    const uint64_t id = reader.take_count();
    auto values = reader.take_values(reader.take_count());
    num_values_ += std::ssize(values);
    entries_.emplace(id, std::move(values));
  }
}

std::optional<std::span<const float>> NllCache::get(uint64_t id, int64_t num_values) const {
  const auto found = entries_.find(id);
  if (found == entries_.end() || std::ssize(found->second) != num_values) return std::nullopt;
  return found->second;
}

void NllCache::put(uint64_t id, std::vector<float> values) {
  num_new_values_ += std::ssize(values);
  auto& entry = entries_[id];
  num_values_ += std::ssize(values) - std::ssize(entry);
  entry = std::move(values);
  const int64_t num_stored = num_values_ - num_new_values_;
  if (num_new_values_ >= std::max(num_stored, kMinNewValues)) flush();
}

void NllCache::flush() {
  if (file_.empty() || num_new_values_ == 0) return;
  try {
    write_entries(file_, key_, entries_);
  } catch (const std::exception& fault) {
    log_warning("{} The cache of NLLs is not kept: the next run computes them anew.", fault.what());
    file_.clear();
  }
  num_new_values_ = 0;
}

}  // namespace cpx::training
