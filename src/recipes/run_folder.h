// SPDX-License-Identifier: Apache-2.0
// The folder of a run: is it free, what does a resume go on from, and what in it is the run's?
// What cpx-train did not write stays as it is, whatever is asked for.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/file_lock.h"
#include "cpx/recipes/train.h"
#include "cpx/recipes/train_config.h"

namespace cpx::recipes {

/// The name of the run's resolved config in its folder; `config.yaml` is the user's to give.
inline constexpr const char* kResolvedConfigFile = "config.resolved.yaml";

/// A run's folder, made where it is missing and held against other processes.
class RunFolder {
 public:
  /// Throws DataError where it cannot be made, or another process writes a run there.
  explicit RunFolder(std::filesystem::path folder);
  /// Folders that were made and that are still empty are removed: a start that fails leaves none.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

 private:
  std::vector<std::filesystem::path> made_;  // the outermost first
  std::optional<FileLock> lock_;
};

/// How a run begins.
struct RunStart {
  std::optional<std::filesystem::path> checkpoint;  // what it goes on from; nothing: at step 0
  bool removes_old_run = false;                     // what stands in training.output has to go
  std::unique_ptr<RunFolder> folder;                // training.output
};

/// Decides from --resume, --overwrite and what stands in training.output, makes that folder and
/// holds it. Throws ConfigError where a run stands in the way, or where the checkpoint's run has
/// another config (all differences), and DataError where there is nothing to resume, the folder
/// cannot be made or is in use, or a file that is not cpx-train's stands in the way. On resume
/// `model.dtype: auto` becomes what the run has computed in: measured anew, it might come out
/// otherwise.
RunStart prepare_run_folder(const TrainCommand& command, TrainConfig& config);

/// Throws DataError where something that a run in `folder` would write over is not a run's.
void check_nothing_foreign(const std::filesystem::path& folder);

/// Removes the run in `folder`: the files that cpx-train writes, and folders that are empty then.
/// Throws DataError.
void remove_run(const std::filesystem::path& folder);

/// True for what remove_run() would remove, or lies below it.
bool is_part_of_run(const std::filesystem::path& path, const std::filesystem::path& folder);

/// The fault of a folder that a run could not be written to, or nothing; makes no folder.
std::optional<std::string> output_fault(const std::filesystem::path& folder);

/// Writes config.resolved.yaml: a first line by which it is known again, and `yaml`.
void write_resolved_config(const std::filesystem::path& folder, std::string_view yaml);

}  // namespace cpx::recipes
