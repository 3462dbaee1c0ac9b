// SPDX-License-Identifier: Apache-2.0
#include "run_folder.h"

#include <array>
#include <system_error>
#include <unistd.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/training/checkpoint.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kRunEntries = {
    "config.yaml", "metrics.jsonl", "tensorboard", "checkpoints", "best", "final"};

void remove_run(const fs::path& folder) {
  for (const std::string_view entry : kRunEntries) {
    std::error_code error;
    fs::remove_all(folder / entry, error);
    if (error) {
      throw_<DataError>("[training.output] '{}' cannot be removed: {}.", (folder / entry).string(),
                        error.message());
    }
  }
}

void make_writable_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw_<DataError>("[training.output] '{}' cannot be made: {}. Choose another folder.",
                      folder.string(), error.message());
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    throw_<DataError>("[training.output] '{}' cannot be written to: {}. Choose another folder.",
                      folder.string(), system_error_text(errno));
  }
}

bool is_checkpoint(const fs::path& folder) { return fs::exists(folder / "trainer_state.json"); }

fs::path named_checkpoint(const std::string& name) {
  if (is_checkpoint(name)) return name;
  if (const auto last = training::find_last_checkpoint(name)) return *last;
  throw_<DataError>(
      "[--resume] '{}' is no checkpoint and holds none: expected a folder with trainer_state.json, "
      "or a run folder with checkpoints/.",
      name);
}

// A run is resumed with its own config; what may change is named in docs/config.md.
void check_same_config(const fs::path& checkpoint, TrainConfig& config) {
  const fs::path saved = checkpoint.parent_path().parent_path() / "config.yaml";
  if (!fs::exists(saved)) return;
  const TrainConfig saved_config = load_train_config(saved);
  if (config.model.dtype == ComputeType::kAuto) config.model.dtype = saved_config.model.dtype;
  std::vector<std::string> faults;
  for (const std::string& difference : config_differences(saved_config, config)) {
    faults.push_back("[--resume] " + difference);
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

}  // namespace

std::optional<fs::path> prepare_run_folder(const TrainCommand& command, TrainConfig& config) {
  const fs::path& output = config.training.output;
  std::optional<fs::path> checkpoint;
  if (command.resume) {
    checkpoint = *command.resume == "auto" ? training::find_last_checkpoint(output)
                                           : std::optional(named_checkpoint(*command.resume));
    if (checkpoint) check_same_config(fs::absolute(*checkpoint).lexically_normal(), config);
  }
  const bool may_remove = command.overwrite || (command.resume && !checkpoint);
  if (training::holds_run(output) && !checkpoint) {
    if (!may_remove) {
      throw_<ConfigError>(
          "[training.output] '{}' holds a run: expected a new or empty folder. Use --resume auto "
          "to "
          "go on with it, or --overwrite to start anew.",
          output.string());
    }
    if (command.resume) log_info("no checkpoint in {}: the run starts anew", output.string());
    remove_run(output);
  }
  make_writable_folder(output);
  return checkpoint;
}

}  // namespace cpx::recipes
