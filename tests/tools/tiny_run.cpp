// SPDX-License-Identifier: Apache-2.0
#include "tiny_run.h"

#include <sstream>

#include "cpx/core/output_file.h"

namespace cpx::tests {

namespace {

std::string shard(const std::string& group, int num_records) {
  auto records = nlohmann::json::array();
  for (int i = 0; i < num_records; ++i) {
    const std::string what = "thing " + std::to_string(i);
    records.push_back(
        {{"input", "About " + what},
         {"group", group},
         {"id", group + "-" + std::to_string(i)},
         {"paraphrases",
          {"Please hand me " + what, "Could I have " + what, "May I borrow " + what + ", please?"}},
         {"paraphrases_toxic",
          {"Give me " + what + ", fool", "Hand it over, " + what, "Out with " + what + " now!"}}});
  }
  return records.dump(1);
}

std::string config(const std::string& folder, const std::string& model) {
  return "version: 1\n"
         "model: {path: " +
         model +
         "}\n"
         "adapter: {rank: 4, alpha: 8, dropout: 0.1}\n"
         "data:\n"
         "  train: [\"" +
         folder +
         "/shard.json\"]\n"
         "  eval: [\"" +
         folder +
         "/eval.json\"]\n"
         "  max_tokens: 48\n"
         "objective: {num_positives: 2, num_hard_negatives: 2, distance: signed, centroid: base, "
         "hold: 0.5}\n"
         "optimizer: {lr: 0.01}\n"
         "training: {max_steps: 6, groups: 2, output: " +
         folder +
         "/run}\n"
         "evaluation: {every_steps: 3}\n"
         "checkpoint: {every_steps: 2}\n";
}

}  // namespace

TinyRun::TinyRun() {
  write("shard.json", shard("desk", 7));
  write("eval.json", shard("shelf", 3));
  write("config.yaml", config(folder_.string(), model()));
}

void TinyRun::write(const std::string& name, const std::string& content) const {
  write_file_atomically(folder_ / name, content);
}

std::string TinyRun::read(const std::string& name) const { return read_text_file(folder_ / name); }

void TinyRun::use(const std::string& objective) const {
  std::string config;
  std::istringstream lines(read("config.yaml"));
  for (std::string line; std::getline(lines, line);) {
    config += line.starts_with("objective:") ? "objective: {" + objective + "}" : line;
    config += "\n";
  }
  write("config.yaml", config);
}

std::vector<nlohmann::json> TinyRun::steps(const std::string& run) const {
  std::vector<nlohmann::json> found;
  std::istringstream lines(read(run + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    auto object = nlohmann::json::parse(line);
    if (object.contains("loss")) found.push_back(std::move(object));
  }
  return found;
}

ToolResult TinyRun::train(const std::vector<std::string>& arguments,
                          const ToolSetting& setting) const {
  std::vector<std::string> all = {"--config", path("config.yaml"), "--device", "cpu"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_tool("cpx-train", all, setting);
}

ToolResult TinyRun::eval_ppl(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"--device", "cpu"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_tool("cpx-eval-ppl", all);
}

}  // namespace cpx::tests
