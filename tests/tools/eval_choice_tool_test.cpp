// SPDX-License-Identifier: Apache-2.0
// cpx-eval-choice as its user meets it; what it scores is compared with lm-evaluation-harness
// (tests/fixtures/evaluation/choice, made by scripts/fixtures/make_choice.py).
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <gmock/gmock.h>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace eval_choice_tool_test {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

constexpr const char* kData = "tests/fixtures/evaluation/choice/";
constexpr const char* kSmolLm2 = "models/SmolLM2-135M-Instruct.Q4_1.gguf";

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> objects;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) objects.push_back(json::parse(line));
  return objects;
}

std::string data_file(const std::string& task, const std::string& suffix = "") {
  const bool is_truthfulqa = task.starts_with("truthfulqa");
  return kData + (is_truthfulqa ? "truthfulqa" : task) + suffix + ".jsonl";
}

// Names the runs of the harness with one model and one number of examples.
using RunKey = std::pair<std::string, int64_t>;

class EvalChoiceTool : public TinyRun {
 protected:
  ToolResult run(const Arguments& arguments, const ToolSetting& setting = {}) const {
    Arguments all = {"--device", "cpu", "--dtype", "float32"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_tool("cpx-eval-choice", all, setting);
  }

  // `arguments` behind a model and the task piqa.
  ToolResult run_piqa(const Arguments& arguments, const ToolSetting& setting = {}) const {
    Arguments all = {"--model", model(), "--task", "piqa=" + data_file("piqa")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all, setting);
  }

  // Runs into a full disk when some documents are in the journal of `items`; their number.
  size_t run_into_full_disk(const Arguments& arguments, const std::string& items) const {
    for (int64_t file_bytes = 400; file_bytes < 8000; file_bytes += 150) {
      EXPECT_EQ(run_piqa(arguments, {.file_bytes = file_bytes}).exit_code, 1);
      const size_t num_done = exists(items + ".journal") ? num_lines(read(items + ".journal")) : 0;
      if (num_done > 1) return num_done - 1;
    }
    return 0;
  }

  // A model of the fixture; mistral_bos has the weights of llama_gqa.
  std::string model_of(const std::string& name) const {
    const fs::path source(CPX_SOURCE_DIR);
    if (name == "smollm2") return kSmolLm2;
    if (name == "llama3_bos") return "tests/fixtures/evaluation/llama3_bos";
    if (name != "mistral_bos") return "tests/fixtures/models/" + name;
    const fs::path folder = path(name);
    if (fs::exists(folder)) return folder.string();
    fs::copy(source / "tests/fixtures/evaluation" / name, folder);
    fs::copy_file(source / model() / "model.safetensors", folder / "model.safetensors");
    return folder.string();
  }

  static std::map<RunKey, std::vector<json>> harness_runs() {
    std::map<RunKey, std::vector<json>> runs;
    const auto text = run_tool("/bin/cat", {std::string(kData) + "expected.json"}).out;
    for (const json& one : json::parse(text)) {
      const RunKey key(one.at("model").get<std::string>(), one.at("num_fewshot").get<int64_t>());
      runs[key].push_back(one);
    }
    return runs;
  }

  static Arguments task_arguments(const RunKey& key, const std::vector<json>& runs) {
    Arguments arguments = {"--shots", std::to_string(key.second)};
    for (const json& one : runs) {
      const std::string task = one.at("task");
      arguments.insert(arguments.end(), {"--task", task + "=" + data_file(task)});
      if (key.second == 0) continue;
      const std::string pool = data_file(task, task == "mmlu" ? "_dev" : "_fewshot");
      arguments.insert(arguments.end(), {"--shots-from", task + "=" + pool});
    }
    return arguments;
  }

  void expect_as_the_harness(const RunKey& key, const std::vector<json>& runs) const;
};

// ---- The harness -----------------------------------------------------------------------------

TEST_F(EvalChoiceTool, TheRequestsAreThoseOfTheHarness) {
  for (const auto& [key, runs] : harness_runs()) {
    Arguments arguments = task_arguments(key, runs);
    arguments.insert(arguments.end(), {"--dump-requests", path("requests.jsonl")});
    const ToolResult result = run(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const auto documents = lines_of(read("requests.jsonl"));
    size_t next = 0;
    for (const json& one : runs) {
      for (const json& expected : one.at("documents")) {
        ASSERT_LT(next, documents.size());
        EXPECT_EQ(documents[next].at("requests"), expected.at("requests"))
            << one.at("task") << ", " << key.second << " shots";
        EXPECT_EQ(documents[next++].at("num_fewshot"), key.second);
      }
    }
    EXPECT_EQ(next, documents.size());
  }
}

void expect_scores(const json& item, const json& expected, const std::string& where) {
  const auto& values = item.at("log_likelihoods");
  ASSERT_EQ(values.size(), expected.at("log_likelihoods").size()) << where;
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(values[i].get<double>(), expected.at("log_likelihoods")[i].get<double>(), 1e-3)
        << where;
  }
  // Rolling perplexity has no such answer in the harness.
  if (!expected.at("greedy").empty()) {
    EXPECT_EQ(item.at("greedy"), expected.at("greedy")) << where;
  }
}

void expect_figures(const json& task, const json& expected, const std::string& where) {
  for (const auto& [name, value] : expected.items()) {
    if (value.is_null()) {
      EXPECT_FALSE(task.contains(name)) << where << " " << name;
      continue;
    }
    ASSERT_TRUE(task.contains(name)) << where << " " << name;
    const double number = value.get<double>();
    EXPECT_NEAR(task.at(name).get<double>(), number, 1e-4 * std::max(1.0, std::abs(number)))
        << where << " " << name;
  }
}

// The figures of a subject of MMLU in the report of the task.
json subject_of(const json& task, const std::string& name) {
  for (const json& group : task.at("groups")) {
    for (const json& subject : group.at("subjects")) {
      if ("mmlu_" + subject.at("subject").get<std::string>() == name) return subject;
    }
  }
  return json::object();
}

// Runs the tasks of the harness's runs with one model and number of examples.
void EvalChoiceTool::expect_as_the_harness(const RunKey& key, const std::vector<json>& runs) const {
  Arguments arguments = task_arguments(key, runs);
  arguments.insert(arguments.end(), {"--model", model_of(key.first), "--items", path("items.jsonl"),
                                     "--overwrite", "--report", path("report.json")});
  const ToolResult result = run(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto items = lines_of(read("items.jsonl"));
  const json report = json::parse(read("report.json"));
  size_t next = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string name = runs[i].at("task");
    const std::string where = key.first + " " + name + " " + std::to_string(key.second);
    for (const json& expected : runs[i].at("documents")) {
      ASSERT_LT(next, items.size());
      EXPECT_EQ(items[next].at("task"), name);
      expect_scores(items[next++], expected, where);
    }
    const json& task = report.at("tasks").at(i);
    for (const auto& [part, figures] : runs[i].at("figures").items()) {
      expect_figures(part == name ? task : subject_of(task, part), figures, where + " " + part);
    }
  }
  EXPECT_EQ(next, items.size());
}

TEST_F(EvalChoiceTool, ScoresAndFiguresAreThoseOfTheHarness) {
  for (const auto& [key, runs] : harness_runs()) {
    if (model_of(key.first) != kSmolLm2) expect_as_the_harness(key, runs);
  }
}

TEST_F(EvalChoiceTool, ScoresAndFiguresOfSmolLm2AreThoseOfTheHarness) {
  if (!fs::exists(fs::path(CPX_SOURCE_DIR) / kSmolLm2)) GTEST_SKIP() << "no " << kSmolLm2;
  int num_runs = 0;
  for (const auto& [key, runs] : harness_runs()) {
    if (model_of(key.first) != kSmolLm2) continue;
    expect_as_the_harness(key, runs);
    ++num_runs;
  }
  EXPECT_EQ(num_runs, 3);  // numbers of examples
}

TEST_F(EvalChoiceTool, BatchSizesChangeNoScore) {
  const auto scores = [&](const std::string& batch_tokens) {
    const ToolResult result = run({"--model", model(), "--task", std::string("mmlu=") + kData,
                                   "--task", std::string("hellaswag=") + kData, "--shots", "3",
                                   "--batch-tokens", batch_tokens, "--items", path(batch_tokens)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<double> values;
    for (const json& item : lines_of(read(batch_tokens))) {
      for (const json& value : item.at("log_likelihoods")) values.push_back(value);
    }
    return values;
  };
  const auto one = scores("1");
  const auto all = scores("100000");
  ASSERT_EQ(one.size(), 44);
  ASSERT_EQ(one.size(), all.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], all[i], 1e-4);
}

// ---- Output ----------------------------------------------------------------------------------

TEST_F(EvalChoiceTool, HelpNamesTasksAndTheHarness) {
  const ToolResult result = run_tool("cpx-eval-choice", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("as in lm-evaluation-harness 0.4.13"), HasSubstr("hellaswag"),
                    HasSubstr("--shots-from"), HasSubstr("Examples:")));
}

TEST_F(EvalChoiceTool, AnAdapterStandsBesideTheBase) {
  const std::string adapter = model() + "/adapter";
  const ToolResult result = run_piqa(
      {"--compare", adapter, "--report", path("report.json"), "--items", path("items.jsonl")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("base       " + model() + "\n"),
                                HasSubstr("adapter    " + model() + " + " + adapter + "\n"),
                                HasSubstr("difference [95 %]")));
  const json report = json::parse(read("report.json"));
  ASSERT_EQ(report.size(), 2);
  EXPECT_EQ(report[0].at("kind"), "choice");
  EXPECT_TRUE(report[0].at("adapter").is_null());
  EXPECT_EQ(report[1].at("adapter"), adapter);
  EXPECT_EQ(report[1].at("settings").at("bos"), "auto");
  EXPECT_TRUE(report[1].at("tasks")[0].at("acc_p_value").is_number());
  const auto items = lines_of(read("items.jsonl"));
  ASSERT_EQ(items.size(), 8);
  EXPECT_TRUE(items[0].at("adapter").is_null());
  EXPECT_EQ(items[4].at("adapter"), adapter);
  EXPECT_NE(items[0].at("log_likelihoods"), items[4].at("log_likelihoods"));
  EXPECT_TRUE(items[0].at("correct").is_boolean());
  EXPECT_EQ(items[0].at("gold"), 0);

  const ToolResult alone = run_piqa({"--adapter", adapter, "--items", path("alone.jsonl")});
  ASSERT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_EQ(lines_of(read("alone.jsonl"))[0].at("log_likelihoods"), items[4].at("log_likelihoods"));
}

TEST_F(EvalChoiceTool, TheReportMayBeStandardOutput) {
  const ToolResult result = run_piqa({"--report", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out).at("tasks")[0].at("documents"), 4);
}

TEST_F(EvalChoiceTool, ALimitCutsTheDocuments) {
  const ToolResult result = run_piqa({"--limit", "2", "--report", "-"});
  EXPECT_EQ(json::parse(result.out).at("tasks")[0].at("documents"), 2);
}

TEST_F(EvalChoiceTool, QuantisedWeightsAreScoredAsTheyAre) {
  const auto scores = [&](const std::string& weights) {
    const ToolResult result = run_piqa({"--weights", weights, "--items", path(weights + ".jsonl")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return lines_of(read(weights + ".jsonl"))[0].at("log_likelihoods")[0].get<double>();
  };
  const double dense = scores("dense");
  const double quantised = scores("q8_0");
  EXPECT_NE(quantised, dense);
  EXPECT_NEAR(quantised, dense, 0.01 * std::abs(dense));
}

// ---- Stops -----------------------------------------------------------------------------------

TEST_F(EvalChoiceTool, AStoppedRunEndsWithTheSameBytes) {
  const Arguments arguments = {"--batch-tokens", "8", "--compare", model() + "/adapter", "--items"};
  const auto with_output = [&](const std::string& name) {
    Arguments all = arguments;
    all.push_back(path(name));
    return all;
  };
  ASSERT_EQ(run_piqa(with_output("whole.jsonl")).exit_code, 0);
  const std::string whole = read("whole.jsonl");
  const size_t num_done = run_into_full_disk(with_output("items.jsonl"), "items.jsonl");
  EXPECT_GT(num_done, 0);
  EXPECT_LT(num_done, 8);
  const ToolResult result = run_piqa(with_output("items.jsonl"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("going on: "));
  EXPECT_EQ(read("items.jsonl"), whole);
  EXPECT_FALSE(exists("items.jsonl.journal"));
}

TEST_F(EvalChoiceTool, AnInterruptKeepsWhatIsDone) {
  std::string documents;
  const std::string line =
      R"({"goal": "Warm the tea", "sol1": "in a pot", "sol2": "in a shoe", "label": 0})";
  for (int i = 0; i < 60'000; ++i) documents += line + "\n";
  write("piqa.jsonl", documents);
  BackgroundTool tool("cpx-eval-choice", {"--device", "cpu", "--dtype", "float32", "--model",
                                          model(), "--task", "piqa=" + path("piqa.jsonl"),
                                          "--batch-tokens", "512", "--items", path("items.jsonl")});
  ASSERT_TRUE(tool.runs_until([&] {
    return exists("items.jsonl.journal") && num_lines(read("items.jsonl.journal")) >= 2;
  }));
  tool.send(SIGTERM);
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(" documents are done; the same command goes on from there\n"));
  EXPECT_FALSE(exists("items.jsonl"));
}

TEST_F(EvalChoiceTool, OtherSettingsAreToldBeforeAnythingIsReplaced) {
  ASSERT_GT(
      run_into_full_disk({"--batch-tokens", "8", "--items", path("items.jsonl")}, "items.jsonl"),
      0);
  const ToolResult result =
      run_piqa({"--batch-tokens", "8", "--items", path("items.jsonl"), "--limit", "2"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(last_line(result),
            "cpx-eval-choice: [" + path("items.jsonl.journal") +
                "] was begun with other settings: 'limit' is 0 there and 2 now. Give those to go "
                "on, or --overwrite to begin anew.\n");
  EXPECT_EQ(run_piqa({"--batch-tokens", "8", "--items", path("items.jsonl"), "--limit", "2",
                      "--overwrite"})
                .exit_code,
            0);
  EXPECT_EQ(num_lines(read("items.jsonl")), 2U);
}

// ---- Errors ----------------------------------------------------------------------------------

TEST_F(EvalChoiceTool, MissingFlagsAreToldTogether) {
  const ToolResult result = run_tool("cpx-eval-choice", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-eval-choice: [command line] --model: got nothing, expected a Hugging Face folder "
            "or a .gguf.\n"
            "cpx-eval-choice: [command line] --task: got nothing, expected NAME=FILE or "
            "NAME=FOLDER.\n");
}

TEST_F(EvalChoiceTool, WrongTasksAndExamplesAreToldTogether) {
  const ToolResult result =
      run({"--model", model(), "--task", "piqa", "--task", "lambada_openai=x.jsonl", "--task",
           "boolq=" + data_file("boolq"), "--shots", "2", "--shots-from", "piqa=y.jsonl"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-eval-choice: [command line] --task: got 'piqa', expected NAME=FILE or "
            "NAME=FOLDER.\n"
            "cpx-eval-choice: [command line] --shots-from: got 'piqa=y.jsonl', expected NAME=FILE "
            "with a task of --task.\n"
            "cpx-eval-choice: [command line] --shots: got 2 for lambada_openai, expected 0: the "
            "harness has no examples for this task.\n"
            "cpx-eval-choice: [command line] --shots: got 2 for boolq without examples, expected "
            "--shots-from boolq=FILE.\n");
}

TEST_F(EvalChoiceTool, FlagsWithoutEffectAreErrors) {
  const ToolResult result = run_piqa({"--shots-from", "x.jsonl", "--overwrite", "--dump-requests",
                                      path("r.jsonl"), "--report", path("report.json")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-eval-choice: [command line] --shots-from: has no effect without --shots. Leave "
            "it out.\n"
            "cpx-eval-choice: [command line] --overwrite: has no effect without --items. Leave it "
            "out.\n"
            "cpx-eval-choice: [command line] --report: has no effect with --dump-requests: "
            "nothing is scored. Leave it out.\n");
}

TEST_F(EvalChoiceTool, BadDataIsToldBeforeTheModelIsRead) {
  write("piqa.jsonl", R"({"goal": "g", "sol1": "a", "label": 0})");
  const ToolResult result =
      run({"--model", path("no_model"), "--task", "piqa=" + path("piqa.jsonl")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-eval-choice: [" + path("piqa.jsonl") +
                            ": document 1, line 1] 'sol2' is missing.\n");
}

TEST_F(EvalChoiceTool, AnUnknownBosRuleIsAnError) {
  const ToolResult result = run_piqa({"--bos", "maybe"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(last_line(result),
            "cpx-eval-choice: [command line] --bos: got 'maybe', expected auto, on or off.\n");
}

TEST_F(EvalChoiceTool, AnInputIsNoOutput) {
  for (const std::string& task : {data_file("piqa"), std::string(kData)}) {
    const ToolResult result =
        run({"--model", model(), "--task", "piqa=" + task, "--report", data_file("piqa")});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(last_line(result), "cpx-eval-choice: [--report] '" + data_file("piqa") +
                                     "' is also --task, which is read, expected another file.\n");
  }
}

}  // namespace eval_choice_tool_test
}  // namespace cpx::tests
