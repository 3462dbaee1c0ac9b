// SPDX-License-Identifier: Apache-2.0
#include "run_folder.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "cpx/core/faults.h"
#include "cpx/core/log.h"
#include "cpx/core/output_check.h"
#include "cpx/core/output_file.h"
#include "cpx/core/text_hash.h"
#include "cpx/training/checkpoint.h"

namespace cpx::recipes {

namespace {

namespace fs = std::filesystem;

// What cpx-train writes: lines of a step each, folders of adapters, event files.
constexpr std::array<std::string_view, 3> kLineFiles = {"metrics.jsonl", "samples.jsonl",
                                                        "generations.jsonl"};
constexpr std::array<std::string_view, 4> kRunFolders = {"checkpoints", "best", "final",
                                                         "tensorboard"};
constexpr std::array<std::string_view, 9> kAdapterFiles = {
    "adapter_config.json",    "adapter_model.safetensors", "README.md",          "config.yaml",
    "value_head.safetensors", "optimizer.safetensors",     "trainer_state.json", "ppo_state.json",
    "rollout.safetensors"};
constexpr std::string_view kEventPrefix = "events.out.tfevents.";
constexpr const char* kRunLockFile = ".lock";
// The first line of a resolved config; a hash of what follows stands between the two.
constexpr std::string_view kMarkBegin = "# Written by cpx-train (hash ";
constexpr std::string_view kMarkEnd = "): copy it to change it.\n";

std::string mark_of(std::string_view yaml) {
  TextHash hash;
  hash.add(yaml);
  return fmt::format("{}{}{}", kMarkBegin, hash.hex(), kMarkEnd);
}

// True for the text of a resolved config that nobody has changed.
bool is_resolved_config(std::string_view text) {
  const size_t end = text.find('\n');
  return end != std::string_view::npos && text.substr(0, end + 1) == mark_of(text.substr(end + 1));
}

// True for a file of lines as cpx-train writes it: the first, if any, tells a step.
bool is_line_file(const fs::path& file) {
  std::ifstream lines(file);
  std::string first;
  return !std::getline(lines, first) ||
         (first.starts_with('{') && first.find("\"step\":") != std::string::npos);
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
  Faults faults;
  for (const std::string& difference : config_differences(saved_config, config)) {
    faults.add("--resume", "{}", difference);
  }
  faults.throw_if_any();
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
  if (const auto fault = output_fault(output)) throw DataError(*fault);
  start.folder = std::make_unique<RunFolder>(output);
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
  check_nothing_foreign(output);
  return start;
}

RunFolder::RunFolder(fs::path folder) {
  std::error_code error;
  for (fs::path path = fs::absolute(folder); !fs::exists(path, error); path = path.parent_path()) {
    if (path.has_filename()) made_.insert(made_.begin(), path);
  }
  fs::create_directories(folder, error);
  if (error) {
    throw_<DataError>("[training.output] '{}' cannot be made: {}. Choose another folder.",
                      folder.string(), error.message());
  }
  lock_.emplace(folder / kRunLockFile, "training.output", folder);
}

RunFolder::~RunFolder() {
  lock_.reset();
  std::ranges::reverse(made_);
  for (const fs::path& folder : made_) {
    if (rmdir(folder.c_str()) != 0) break;  // not empty
  }
}

namespace {

void remove_if_there(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error && error != std::errc::directory_not_empty) {
    throw_<DataError>("[training.output] '{}' cannot be removed: {}.", path.string(),
                      error.message());
  }
}

// Entries of a folder; none where it cannot be read.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  return entries;
}

// Removes an adapter's folder but for what others put there.
void remove_adapter(const fs::path& folder) {
  if (!fs::exists(folder / "adapter_config.json")) return;
  for (const std::string_view name : kAdapterFiles) remove_if_there(folder / name);
  remove_if_there(folder);
}

}  // namespace

void check_nothing_foreign(const fs::path& folder) {
  const auto refuse = [&](std::string_view name, std::string_view what) {
    throw_<DataError>("[training.output] '{}' {}: it would be written over. Move it away.",
                      (folder / name).string(), what);
  };
  std::error_code error;
  for (const std::string_view name : kRunFolders) {
    if (fs::exists(folder / name, error) && !fs::is_directory(folder / name, error)) {
      refuse(name, "is no folder");
    }
  }
  for (const std::string_view name : kLineFiles) {
    if (!fs::exists(folder / name, error)) continue;
    if (!fs::is_regular_file(folder / name, error) || !is_line_file(folder / name)) {
      refuse(name, "was not written by cpx-train");
    }
  }
  const fs::path resolved = folder / kResolvedConfigFile;
  if (fs::exists(resolved, error) && !is_resolved_config(read_text_file(resolved))) {
    refuse(kResolvedConfigFile, "was not written by cpx-train, or changed since");
  }
}

void remove_run(const fs::path& folder) {
  for (const fs::path& checkpoint : training::list_checkpoints(folder)) remove_adapter(checkpoint);
  remove_adapter(folder / "best");
  remove_adapter(folder / "final");
  for (const fs::path& events : entries_of(folder / "tensorboard")) {
    if (events.filename().string().starts_with(kEventPrefix)) remove_if_there(events);
  }
  for (const std::string_view name : kRunFolders) remove_if_there(folder / name);
  for (const std::string_view name : kLineFiles) remove_if_there(folder / name);
  remove_if_there(folder / kResolvedConfigFile);
}

bool is_part_of_run(const fs::path& path, const fs::path& folder) {
  for (const std::string_view name : kRunFolders) {
    if (lies_below(path, folder / name)) return true;
  }
  for (const std::string_view name : kLineFiles) {
    if (is_same_place(path, folder / name)) return true;
  }
  return false;
}

void write_resolved_config(const fs::path& folder, std::string_view yaml) {
  write_file_atomically(folder / kResolvedConfigFile, mark_of(yaml) + std::string(yaml));
}

std::optional<std::string> output_fault(const fs::path& folder) {
  return output_folder_fault("training.output", folder);
}

}  // namespace cpx::recipes
