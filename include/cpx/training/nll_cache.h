// SPDX-License-Identifier: Apache-2.0
// What a frozen model says of texts, kept on disk from one run to the next: the base's token NLLs
// (centroid base, hold, retain), a reference policy's log-probabilities.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cpx/data/packed_batch.h"
#include "cpx/tokenizer/tokenizer.h"
#include "cpx/training/checkpoint.h"

namespace cpx::training {

/// A number that stands for a sequence of ids and its prompt; what tokenizer, template, limits and
/// EOS change in a text changes it too.
uint64_t sequence_id(std::span<const tokenizer::TokenId> ids, int64_t num_given = 0);

/// The same for a pack: its texts, their order, and what is predicted of them.
uint64_t pack_id(const data::PackedBatch& batch);

/// Numbers by id, in one file. The file holds the key that they were computed under, and a
/// checksum: a file of another key or a damaged one is told of and begun anew, never an error.
///
/// The file is replaced as a whole (AtomicFile), whenever as much is new as is stored and at the
/// end, so a run that is killed loses some of its values, nothing else. Several runs may read one
/// file; of several that write it at once the last one wins.
class NllCache {
 public:
  /// In memory alone.
  NllCache() = default;

  /// Reads `file` where it exists; its folder is made by the first flush. `key` is what the values
  /// depend on besides their ids, by name ("model", "adapter", "dtype", ...). What is found under
  /// another key is dropped, with a line to the log that says which parts changed; so is a file
  /// that is damaged or cannot be read, with a warning.
  NllCache(std::filesystem::path file, Fingerprints key);
  /// Flushes.
  ~NllCache();
  NllCache(const NllCache&) = delete;
  NllCache& operator=(const NllCache&) = delete;

  /// The values under `id`; none where there are none, or another number of them than
  /// `num_values`. They stay where they are until the next put().
  std::optional<std::span<const float>> get(uint64_t id, int64_t num_values) const;

  /// Keeps `values` under `id`, in the place of what is there.
  void put(uint64_t id, std::vector<float> values);

  /// Writes what is new. Where that fails there is one warning, and no further attempt.
  void flush();

  int64_t num_entries() const { return static_cast<int64_t>(entries_.size()); }

 private:
  void read();

  std::filesystem::path file_;
  Fingerprints key_;
  std::unordered_map<uint64_t, std::vector<float>> entries_;
  int64_t num_values_ = 0;  // in memory, and of them those that are not on disk yet
  int64_t num_new_values_ = 0;
};

}  // namespace cpx::training
