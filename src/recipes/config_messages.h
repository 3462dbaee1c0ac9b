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
#include "cpx/recipes/train_config.h"

namespace cpx::recipes {

/// What is wrong with a config.
class ConfigFaults {
 public:
  /// Lines go to `lines`; `config` says where keys were given.
  ConfigFaults(const TrainConfig& config, std::vector<std::string>& lines)
      : sources_(config.sources), lines_(lines) {}

  /// Adds "[where] key: text".
  template <class... Args>
  void add(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    lines_.push_back(fmt::format("[{}] {}: {}", sources_.where(key), key,
                                 fmt::format(format, std::forward<Args>(args)...)));
  }

 private:
  const config::Sources& sources_;
  std::vector<std::string>& lines_;
};

/// What is allowed in a config but probably not meant.
class ConfigNotices {
 public:
  /// `config` must outlive the object.
  explicit ConfigNotices(const TrainConfig& config);

  /// Adds "[where] key: text".
  template <class... Args>
  void add(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    ConfigFaults(config_, lines_).add(key, format, std::forward<Args>(args)...);
  }

  /// Where `is_idle`: adds "has no effect: reason" for each of `keys` that was given and differs
  /// from its default.
  void add_idle(bool is_idle, std::initializer_list<std::string_view> keys,
                std::string_view reason);

  std::vector<std::string> take() { return std::move(lines_); }

 private:
  const TrainConfig& config_;
  std::map<std::string, std::string, std::less<>> defaults_;  // of the config's objective
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> lines_;
};

}  // namespace cpx::recipes
