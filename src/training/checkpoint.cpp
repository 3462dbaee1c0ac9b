// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "cpx/core/error.h"
#include "cpx/core/log.h"
#include "cpx/core/output_file.h"
#include "cpx/tensor/device.h"
#include "trainer_state.h"

namespace cpx::training {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr const char* kStateFile = "trainer_state.json";
constexpr const char* kOptimizerFile = "optimizer.safetensors";

fs::path checkpoints_folder(const fs::path& run_folder) { return run_folder / "checkpoints"; }

// A folder of that kind that was emptied may hold what others put there.
bool is_adapter_folder(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / kStateFile, error) ||
         fs::exists(folder / "adapter_config.json", error);
}

// The step of a folder named "step-000050".
std::optional<int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (error != std::errc() || rest != end || step < 0) return std::nullopt;
  return step;
}

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw_<DataError>("[output] {}: the folder cannot be made: {}. Choose another training.output.",
                      folder.string(), error.message());
  }
}

std::vector<formats::NamedTensor> adapter_tensors(std::span<const nn::NamedParameter> parameters) {
  std::vector<formats::NamedTensor> tensors;
  for (const nn::NamedParameter& parameter : parameters) {
    tensors.push_back({parameter.name, parameter.value.detach()});
  }
  return tensors;
}

void write_text(const fs::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.sync_and_close();
}

void write_adapter_files(const fs::path& folder, std::span<const nn::NamedParameter> parameters,
                         const AdapterInfo& info) {
  formats::write_peft(folder, info.peft, adapter_tensors(parameters));
  write_text(folder / "README.md", info.model_card);
  if (!info.config.empty()) write_text(folder / "config.yaml", info.config);
  if (info.write_weights) info.write_weights(folder);
}

// Copies the adapter's tensors into the parameters, after all have been checked.
void load_adapter(const formats::PeftAdapter& adapter,
                  std::span<const nn::NamedParameter> parameters) {
  std::map<std::string, torch::Tensor> stored;
  for (const formats::NamedTensor& factor : adapter.factors) stored[factor.name] = factor.value;
  for (const nn::NamedParameter& parameter : parameters) {
    const auto found = stored.find(parameter.name);
    if (found == stored.end()) {
      throw_<DataError>("[checkpoint] {}: '{}' is missing. It belongs to another adapter.",
                        adapter.folder.string(), parameter.name);
    }
    if (found->second.sizes() != parameter.value.sizes()) {
      throw_<DataError>(
          "[checkpoint] {}: '{}' is {}, expected {} (from the model and its adapter).",
          adapter.folder.string(), parameter.name, tensor::shape_text(found->second.sizes()),
          tensor::shape_text(parameter.value.sizes()));
    }
  }
  if (stored.size() != parameters.size()) {
    throw_<DataError>("[checkpoint] {}: got {} adapter tensors, expected {}.",
                      adapter.folder.string(), stored.size(), parameters.size());
  }
  const torch::NoGradGuard no_grad;
  for (const nn::NamedParameter& parameter : parameters) {
    auto value = parameter.value;
    value.copy_(stored[parameter.name]);
  }
}

// Throws DataError unless all files of the checkpoint can be read.
void check_checkpoint(const fs::path& checkpoint) {
  read_trainer_state(checkpoint);
  formats::read_peft(checkpoint);
  formats::SafetensorsFile::open(checkpoint / kOptimizerFile);
  for (const fs::directory_entry& entry : fs::directory_iterator(checkpoint)) {
    if (entry.path().extension() == ".safetensors") formats::SafetensorsFile::open(entry.path());
  }
}

// Removes a folder so that a kill on the way leaves nothing that looks like a checkpoint.
void remove_folder(const fs::path& folder) {
  const fs::path aside = folder.parent_path() / fmt::format(".{}.tmp", folder.filename().string());
  std::error_code error;
  fs::remove_all(aside, error);
  fs::rename(folder, aside, error);
  fs::remove_all(error ? folder : aside, error);
  if (error) {
    log_warning("[checkpoint] {}: cannot be removed: {}.", folder.string(), error.message());
  }
}

// What a killed run had begun of an entry whose name begins so.
void remove_staging_in(const fs::path& folder, std::string_view entry) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(fmt::format(".{}", entry)) && name.ends_with(".tmp")) {
      leftovers.push_back(it->path());
    }
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover, error);
}

}  // namespace

void write_adapter_folder(const fs::path& folder, std::span<const nn::NamedParameter> parameters,
                          const AdapterInfo& info) {
  make_folders(folder.parent_path());
  AtomicFolder target(folder);
  write_adapter_files(target.staging(), parameters, info);
  target.commit();
}

fs::path write_checkpoint(const fs::path& run_folder, const TrainerState& state,
                          std::span<const nn::NamedParameter> adapter, const AdamW& optimizer,
                          const AdapterInfo& info, const WriteMore& write_state) {
  make_folders(checkpoints_folder(run_folder));
  const fs::path path =
      checkpoints_folder(run_folder) / fmt::format("{}{:06}", kPrefix, state.step);
  AtomicFolder target(path);
  write_adapter_files(target.staging(), adapter, info);
  formats::write_safetensors(target.staging() / kOptimizerFile, optimizer.state());
  write_text(target.staging() / kStateFile, trainer_state_text(state));
  if (write_state) write_state(target.staging());
  target.commit();
  return path;
}

TrainerState load_checkpoint(const fs::path& checkpoint,
                             std::span<const nn::NamedParameter> adapter_parameters,
                             AdamW& optimizer) {
  const TrainerState state = read_trainer_state(checkpoint);
  const auto adapter = formats::read_peft(checkpoint);
  const auto optimizer_file = formats::SafetensorsFile::open(checkpoint / kOptimizerFile);
  load_adapter(adapter, adapter_parameters);
  optimizer.load_state(*optimizer_file);
  return state;
}

TrainerState read_trainer_state(const fs::path& checkpoint) {
  const fs::path file = checkpoint / kStateFile;
  return parse_trainer_state(read_text_file(file), file.string());
}

std::vector<fs::path> list_checkpoints(const fs::path& run_folder) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  fs::directory_iterator it(checkpoints_folder(run_folder), error);
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    const auto step = step_of(it->path());
    if (step && is_adapter_folder(it->path())) found.emplace_back(*step, it->path());
  }
  std::ranges::sort(found);
  std::vector<fs::path> paths;
  for (auto& [step, path] : found) paths.push_back(std::move(path));
  return paths;
}

std::optional<fs::path> find_last_checkpoint(const fs::path& run_folder) {
  auto paths = list_checkpoints(run_folder);
  std::ranges::reverse(paths);
  for (const fs::path& path : paths) {
    try {
      check_checkpoint(path);
      return path;
    } catch (const DataError& error) {
      log_warning("[checkpoint] {}: is damaged and passed over: {}", path.string(), error.what());
    }
  }
  return std::nullopt;
}

void rotate_checkpoints(const fs::path& run_folder, int64_t keep_last) {
  const auto paths = list_checkpoints(run_folder);
  if (keep_last <= 0) return;
  for (int64_t i = 0; i < std::ssize(paths) - keep_last; ++i) {
    remove_folder(paths[static_cast<size_t>(i)]);
  }
}

void remove_checkpoints_after(const fs::path& run_folder, int64_t step) {
  for (const fs::path& path : list_checkpoints(run_folder)) {
    if (*step_of(path) <= step) continue;
    log_info("[checkpoint] {}: removed, the run goes on from step {}.", path.string(), step);
    remove_folder(path);
  }
}

bool holds_run(const fs::path& folder) {
  std::error_code error;
  for (const char* name :
       {"metrics.jsonl", "samples.jsonl", "generations.jsonl", "checkpoints", "best", "final"}) {
    if (fs::exists(folder / name, error)) return true;
  }
  return false;
}

void remove_leftovers(const fs::path& run_folder) {
  for (const char* entry : {"best", "final", "metrics.jsonl", "samples.jsonl", "generations.jsonl",
                            "config.resolved"}) {
    remove_staging_in(run_folder, entry);
  }
  remove_staging_in(checkpoints_folder(run_folder), kPrefix);
}

std::vector<std::string> fingerprint_differences(const Fingerprints& saved,
                                                 const Fingerprints& current) {
  std::map<std::string, std::pair<std::string, std::string>> both;
  for (const auto& [name, value] : saved) both[name] = {value, "nothing"};
  for (const auto& [name, value] : current) {
    both.try_emplace(name, "nothing", value).first->second.second = value;
  }
  std::vector<std::string> differences;
  for (const auto& [name, values] : both) {
    if (values.first == values.second) continue;
    differences.push_back(fmt::format("{}: got {}, expected {} (from the saved run).", name,
                                      values.second, values.first));
  }
  return differences;
}

}  // namespace cpx::training
