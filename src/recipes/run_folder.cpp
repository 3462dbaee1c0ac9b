// SPDX-License-Identifier: Apache-2.0
#include "run_folder.h"

#include <array>
#include <cerrno>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/training/checkpoint.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 7> kRunEntries = {
    "config.yaml", "metrics.jsonl", "samples.jsonl", "tensorboard", "checkpoints", "best", "final"};

bool is_checkpoint(const fs::path& folder) { return fs::exists(folder / "trainer_state.json"); }

fs::path named_checkpoint(const std::string& name) {
  if (is_checkpoint(name)) return name;
  if (const auto last = training::find_last_checkpoint(name)) return *last;
  throw_<DataError>(
      "[--resume] '{}' is no checkpoint and holds none: expected a folder with trainer_state.json, "
      "or a run folder with checkpoints/.",
      name);
}

// The config of the checkpoint's run: in the checkpoint, as cpx-train writes it.
void check_same_config(const fs::path& checkpoint, TrainConfig& config) {
  const fs::path saved = checkpoint / "config.yaml";
  if (!fs::exists(saved)) {
    throw_<DataError>(
        "[--resume] '{}': there is no config.yaml, expected a checkpoint as cpx-train writes it. "
        "Copy the whole folder.",
        checkpoint.string());
  }
  const TrainConfig saved_config = load_train_config(saved);
  if (config.model.dtype == ComputeType::kAuto) config.model.dtype = saved_config.model.dtype;
  std::vector<std::string> faults;
  for (const std::string& difference : config_differences(saved_config, config)) {
    faults.push_back("[--resume] " + difference);
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
}

bool lies_below(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const fs::path relative =
      fs::weakly_canonical(path, error).lexically_relative(fs::weakly_canonical(folder, error));
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

RunStart prepare_run_folder(const TrainCommand& command, TrainConfig& config) {
  const fs::path& output = config.training.output;
  RunStart start;
  if (command.resume) {
    start.checkpoint = *command.resume == "auto" ? training::find_last_checkpoint(output)
                                                 : std::optional(named_checkpoint(*command.resume));
    if (start.checkpoint) check_same_config(*start.checkpoint, config);
  }
  const bool goes_on_here = start.checkpoint && lies_below(*start.checkpoint, output);
  if (training::holds_run(output) && !goes_on_here) {
    const bool starts_anew = command.resume && !start.checkpoint;
    if (!command.overwrite && !starts_anew) {
      throw_<ConfigError>(
          "[training.output] '{}' holds a run: expected a new or empty folder. Use --resume auto "
          "to go on with it, or --overwrite to start anew.",
          output.string());
    }
    if (starts_anew) log_info("no checkpoint in {}: the run starts anew", output.string());
    start.removes_old_run = true;
  }
  if (const auto fault = output_fault(output)) throw DataError(*fault);
  std::error_code error;
  fs::create_directories(output, error);
  if (error) {
    throw_<DataError>("[training.output] '{}' cannot be made: {}. Choose another folder.",
                      output.string(), error.message());
  }
  return start;
}

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

std::optional<std::string> output_fault(const fs::path& folder) {
  std::error_code error;
  fs::path existing = fs::absolute(folder);
  while (!fs::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  const char* verb = existing == fs::absolute(folder) ? "written to" : "made";
  std::string reason;
  if (!fs::is_directory(existing, error)) {
    reason = system_error_text(ENOTDIR);
  } else if (access(existing.c_str(), W_OK | X_OK) != 0) {
    reason = system_error_text(errno);
  } else {
    return std::nullopt;
  }
  return fmt::format("[training.output] '{}' cannot be {}: {}. Choose another folder.",
                     folder.string(), verb, reason);
}

}  // namespace cpx::recipes
