// SPDX-License-Identifier: Apache-2.0
// The folders of a run. A run folder holds `checkpoints/step-000050/`, `best/` and `final/`; each
// is a PEFT folder with a model card (README.md), a checkpoint also holds trainer_state.json and
// optimizer.safetensors. Each folder appears as a whole, by one rename: a kill or a full disk at
// any point leaves the last one that was finished.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpx/formats/peft.h"
#include "cpx/nn/causal_lm.h"
#include "cpx/training/adamw.h"
#include "cpx/training/selection.h"

namespace cpx::training {

/// What a run is made of, by name ("model", "data.train", ...): any text that changes when the
/// thing does. Resume compares them.
using Fingerprints = std::map<std::string, std::string>;

/// trainer_state.json: all that a run needs to go on, besides adapter and optimizer. The position
/// in the data and the dropout follow from `step`.
struct TrainerState {
  int64_t step = 0;    // optimizer steps done, skipped ones too
  double epoch = 0.0;  // the same in epochs
  BestSoFar best = {};
  int64_t skipped_steps = 0;              // for a loss or gradient norm that was not finite
  int64_t consecutive_skipped_steps = 0;  // of them those just before
  double elapsed_s = 0.0;                 // over all parts of the run
  Fingerprints fingerprints = {};
};

/// Writes further files into a folder before it appears; may be empty.
using WriteMore = std::function<void(const std::filesystem::path& folder)>;

/// What an adapter folder says besides its tensors.
struct AdapterInfo {
  formats::PeftConfig peft = {};
  std::string model_card = {};   // text of README.md
  std::string config = {};       // text of config.yaml, the run's settings; empty: none is written
  WriteMore write_weights = {};  // tensors that belong to the adapter
};

/// Writes an adapter folder at `folder`, in the place of what is there. Throws DataError (disk full
/// and the like); then what was there is untouched.
void write_adapter_folder(const std::filesystem::path& folder,
                          std::span<const nn::NamedParameter> parameters, const AdapterInfo& info);

/// Writes `run_folder`/checkpoints/step-NNNNNN with the adapter's tensors, the optimizer's state
/// and what `write_state` adds, and returns its path. Throws DataError; then the earlier
/// checkpoints are untouched.
std::filesystem::path write_checkpoint(const std::filesystem::path& run_folder,
                                       const TrainerState& state,
                                       std::span<const nn::NamedParameter> adapter,
                                       const AdamW& optimizer, const AdapterInfo& info,
                                       const WriteMore& write_state = {});

/// Puts a checkpoint's adapter into `adapter` and its optimizer state into `optimizer`, and returns
/// its trainer state. Throws DataError that names the file and what does not fit.
TrainerState load_checkpoint(const std::filesystem::path& checkpoint,
                             std::span<const nn::NamedParameter> adapter, AdamW& optimizer);

/// Reads trainer_state.json alone. Throws DataError.
TrainerState read_trainer_state(const std::filesystem::path& checkpoint);

/// The run's checkpoints by step, oldest first; whether they are sound is not looked at.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& run_folder);

/// The newest checkpoint that is whole; damaged ones are passed over with a warning.
std::optional<std::filesystem::path> find_last_checkpoint(const std::filesystem::path& run_folder);

/// Removes all but the newest `keep_last` checkpoints (0: keeps all).
void rotate_checkpoints(const std::filesystem::path& run_folder, int64_t keep_last);

/// Removes the checkpoints past `step`: a run that goes on from there writes its own.
void remove_checkpoints_after(const std::filesystem::path& run_folder, int64_t step);

/// True when the folder holds something of a run: metrics, samples, generations, checkpoints, best
/// or final.
bool holds_run(const std::filesystem::path& folder);

/// Removes what a run that was killed had begun to write.
void remove_leftovers(const std::filesystem::path& run_folder);

/// One line for each fingerprint that differs: "model: got X, expected Y (from the saved run).".
std::vector<std::string> fingerprint_differences(const Fingerprints& saved,
                                                 const Fingerprints& current);

}  // namespace cpx::training
