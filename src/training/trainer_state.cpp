// SPDX-License-Identifier: Apache-2.0
#include "trainer_state.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"

namespace cpx::training {

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kVersion = 1;

[[noreturn]] void fail(const std::string& file, const std::string& key, const Json& value,
                       const char* expected) {
  throw_<DataError>("[{}] {}: got {}, expected {}.", file, key, value.dump(), expected);
}

const Json& member(const Json& object, const std::string& key, const std::string& file) {
  const auto found = object.find(key);
  if (found == object.end()) throw_<DataError>("[{}] {}: is missing.", file, key);
  return *found;
}

int64_t count(const Json& object, const std::string& key, const std::string& file) {
  const Json& value = member(object, key, file);
  if (!value.is_number_integer() || value.get<int64_t>() < 0) {
    fail(file, key, value, "an integer of 0 or more");
  }
  return value.get<int64_t>();
}

double number(const Json& object, const std::string& key, const std::string& file) {
  const Json& value = member(object, key, file);
  if (!value.is_number()) fail(file, key, value, "a number");
  return value.get<double>();
}

}  // namespace

std::string trainer_state_text(const TrainerState& state) {
  Json json = {
      {"version", kVersion},
      {"step", state.step},
      {"epoch", state.epoch},
      {"best_metric", nullptr},
      {"best_step", state.best.step},
      {"evaluations_without_better", state.best.evaluations_without_better},
      {"skipped_steps", state.skipped_steps},
      {"consecutive_skipped_steps", state.consecutive_skipped_steps},
      {"elapsed_s", state.elapsed_s},
      {"fingerprints", state.fingerprints},
  };
  if (state.best.value) json["best_metric"] = *state.best.value;
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

TrainerState parse_trainer_state(std::string_view text, const std::string& file) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    throw_<DataError>("[{}] is no JSON object: got {} bytes. The checkpoint is damaged.", file,
                      text.size());
  }
  if (const int64_t version = count(json, "version", file); version != kVersion) {
    throw_<DataError>("[{}] version: got {}, expected {}.", file, version, kVersion);
  }
  TrainerState state;
  state.step = count(json, "step", file);
  state.epoch = number(json, "epoch", file);
  if (!member(json, "best_metric", file).is_null()) {
    state.best.value = number(json, "best_metric", file);
  }
  state.best.step = count(json, "best_step", file);
  state.best.evaluations_without_better = count(json, "evaluations_without_better", file);
  state.skipped_steps = count(json, "skipped_steps", file);
  state.consecutive_skipped_steps = count(json, "consecutive_skipped_steps", file);
  state.elapsed_s = number(json, "elapsed_s", file);
  const Json& fingerprints = member(json, "fingerprints", file);
  if (!fingerprints.is_object()) fail(file, "fingerprints", fingerprints, "an object of texts");
  for (const auto& [name, value] : fingerprints.items()) {
    if (!value.is_string()) fail(file, "fingerprints." + name, value, "a text");
    state.fingerprints[name] = value.get<std::string>();
  }
  return state;
}

}  // namespace cpx::training
