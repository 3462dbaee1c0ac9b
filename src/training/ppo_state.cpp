// SPDX-License-Identifier: Apache-2.0
#include "ppo_state.h"

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"

namespace cpx::training {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kStateFile = "ppo_state.json";
constexpr int64_t kStateVersion = 1;

PpoState parse(const Json& json) {
  PpoState state;
  state.is_told = json.at("is_told").get<bool>();
  state.is_stopped = json.at("is_stopped").get<bool>();
  state.kl_coef = json.at("kl_coef").get<double>();
  const Json& moments = json.at("moments");
  state.moments = {.mean = moments.at("mean").get<double>(),
                   .std = moments.at("std").get<double>(),
                   .var = moments.at("var").get<double>(),
                   .count = moments.at("count").get<double>()};
  state.rollout.number = json.at("rollout").get<int64_t>();
  state.rollout.figures = json.at("figures").get<std::map<std::string, double>>();
  return state;
}

}  // namespace

void write_ppo_state(const std::filesystem::path& folder, const PpoState& state) {
  const objectives::RunningMoments& moments = state.moments;
  const Json json = {{"version", kStateVersion},
                     {"rollout", state.rollout.number},
                     {"is_told", state.is_told},
                     {"is_stopped", state.is_stopped},
                     {"kl_coef", state.kl_coef},
                     {"moments",
                      {{"mean", moments.mean},
                       {"std", moments.std},
                       {"var", moments.var},
                       {"count", moments.count}}},
                     {"figures", state.rollout.figures}};
  OutputFile file(folder / kStateFile);
  file.write(json.dump(2) + "\n");
  file.sync_and_close();
  if (state.rollout.number >= 0) write_rollout(folder, state.rollout);
}

PpoState read_ppo_state(const std::filesystem::path& folder) {
  const auto path = folder / kStateFile;
  const Json json = Json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("version", int64_t{0}) != kStateVersion) {
    throw_<DataError>("[{}] is no PPO state of version {}. The checkpoint is damaged.",
                      path.string(), kStateVersion);
  }
  PpoState state;
  try {
    state = parse(json);
  } catch (const Json::exception& error) {
    throw_<DataError>("[{}] {}. The checkpoint is damaged.", path.string(), error.what());
  }
  if (state.rollout.number >= 0) {
    Rollout rollout = read_rollout(folder);
    rollout.number = state.rollout.number;
    rollout.figures = std::move(state.rollout.figures);
    state.rollout = std::move(rollout);
  }
  return state;
}

}  // namespace cpx::training
