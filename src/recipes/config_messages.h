// SPDX-License-Identifier: Apache-2.0
// Lines about keys of a config, each with the place where its key was given.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cpx/config/load.h"
#include "cpx/core/faults.h"
#include "cpx/recipes/train_config.h"

namespace cpx::recipes {

/// What is wrong with a config.
class ConfigFaults {
 public:
  /// Faults go to `faults`; `config` says where keys were given.
  ConfigFaults(const TrainConfig& config, Faults& faults)
      : sources_(config.sources), faults_(faults) {}

  /// Adds "[where] key: MESSAGE".
  template <class... Args>
  void add(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    faults_.add_at(sources_.where(key), key, format, std::forward<Args>(args)...);
  }
  /// Adds each of `faults`, which the value of `key` has, behind its key.
  void append(std::string_view key, const Faults& faults) {
    for (const Fault& fault : faults) add(key, "{}", fault.text());
  }

 private:
  const config::Sources& sources_;
  Faults& faults_;
};

/// What is allowed in a config but probably not meant.
class ConfigNotices {
 public:
  /// `config` must outlive the object.
  explicit ConfigNotices(const TrainConfig& config);

  /// Adds "[where] key: MESSAGE".
  template <class... Args>
  void add(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    notices_.add_at(config_.sources.where(key), key, format, std::forward<Args>(args)...);
  }

  /// Where `is_idle`: adds "has no effect: reason" for each of `keys` that was given and differs
  /// from its default.
  void add_idle(bool is_idle, std::initializer_list<std::string_view> keys,
                std::string_view reason);

  std::vector<std::string> texts() const { return notices_.texts(); }

 private:
  const TrainConfig& config_;
  std::map<std::string, std::string, std::less<>> defaults_;  // of the config's objective
  std::map<std::string, std::string, std::less<>> values_;
  Faults notices_;
};

}  // namespace cpx::recipes
