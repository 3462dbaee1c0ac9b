// SPDX-License-Identifier: Apache-2.0
// A whole run at the smallest size: the tiny Llama fixture, a shard of mild texts, a config.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "run_tool.h"
#include "tests/support/folders.h"

namespace cpx::tests {

/// A fresh temporary folder with `shard.json`, `eval.json` and `config.yaml`; removed at the end.
class TinyRun : public testing::Test {
 protected:
  TinyRun();

  /// A file of the folder, as text for a command line.
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string output() const { return path("run"); }
  static std::string model() { return "tests/fixtures/models/llama_gqa"; }

  void write(const std::string& name, const std::string& content) const;
  std::string read(const std::string& name) const;
  bool exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

  /// Puts the objective with these keys into the folder's config.
  void use(const std::string& objective) const;

  /// The steps in the metrics of a run folder of the folder.
  std::vector<nlohmann::json> steps(const std::string& run) const;

  /// cpx-train on the folder's config with more arguments behind.
  ToolResult train(const std::vector<std::string>& arguments = {},
                   const ToolSetting& setting = {}) const;
  ToolResult eval_ppl(const std::vector<std::string>& arguments) const;

 private:
  const testing_support::ScratchFolder scratch_{"tiny_run"};
  const std::filesystem::path folder_ = scratch_.path();
};

}  // namespace cpx::tests
