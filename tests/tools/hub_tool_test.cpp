// SPDX-License-Identifier: Apache-2.0
// Models and adapters by their name in a Hugging Face cache, and paths from the home folder.
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace hub_tool_test {

namespace fs = std::filesystem;

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

// A cache with a model, its adapter and a classifier; HOME is the test's folder.
class HubTool : public TinyRun {
 protected:
  HubTool() {
    add("models--ann--tiny", model());
    add("models--bo--lora", model() + "/adapter");
    add("models--cy--judge", "tests/fixtures/models/roberta_two_labels");
  }

  // A snapshot of links into blobs, as huggingface_hub makes it.
  void add(const std::string& folder, const std::string& source) const {
    const fs::path snapshot = fs::path(path("cache")) / folder / "snapshots" / kCommit;
    const fs::path blobs = fs::path(path("cache")) / folder / "blobs";
    fs::create_directories(snapshot);
    fs::create_directories(blobs);
    for (const auto& entry : fs::directory_iterator(CPX_SOURCE_DIR "/" + source)) {
      if (!entry.is_regular_file()) continue;
      const fs::path name = entry.path().filename();
      fs::copy_file(entry.path(), blobs / name);
      fs::create_symlink(fs::path("../../blobs") / name, snapshot / name);
    }
    fs::create_directories(fs::path(path("cache")) / folder / "refs");
    write("cache/" + folder + "/refs/main", kCommit);
    write("cache/" + folder + "/refs/v1", kCommit);
  }

  ToolSetting setting() const {
    return {.environment = {"HF_HUB_CACHE=" + path("cache"), "HOME=" + path("")}};
  }

  ToolResult run(const std::string& tool, const Arguments& arguments) const {
    return run_tool(tool, arguments, setting());
  }
};

TEST_F(HubTool, AnAdapterNamesItsBaseAsTheUserDid) {
  const ToolResult result = train({"model.path=ann/tiny@v1", "training.max_steps=1"}, setting());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("model   ann/tiny@v1 (snapshot 0123456789ab) in "));
  const json config = json::parse(read("run/final/adapter_config.json"));
  EXPECT_EQ(config.at("base_model_name_or_path"), "ann/tiny");
  EXPECT_EQ(config.at("revision"), "v1");
  EXPECT_THAT(read("run/final/README.md"), AllOf(HasSubstr("base_model: \"ann/tiny\"\n"),
                                                 HasSubstr("# LoRA adapter for ann/tiny\n")));
  EXPECT_THAT(read("run/config.resolved.yaml"), HasSubstr("ann/tiny@v1"));
  // The same by path: the same weights, and the path as it was given.
  const ToolResult by_path = train({"training.output=" + path("other"), "training.max_steps=1"});
  ASSERT_EQ(by_path.exit_code, 0) << by_path.err;
  EXPECT_EQ(read("other/final/adapter_model.safetensors"),
            read("run/final/adapter_model.safetensors"));
  EXPECT_TRUE(json::parse(read("other/final/adapter_config.json")).at("revision").is_null());
}

TEST_F(HubTool, EveryToolTakesNames) {
  const auto table = [&](const std::string& base, const std::string& adapter) {
    const ToolResult result = run("cpx-eval-ppl", {"--model", base, "--adapter", adapter, "--dtype",
                                                   "float32", "--shards", path("shard.json")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out.substr(result.out.find("toxic"));
  };
  EXPECT_EQ(table("ann/tiny", "bo/lora@0123"), table(model(), model() + "/adapter"));
  const Arguments generate = {"--model",  "ann/tiny", "--adapter",        "bo/lora",
                              "--prompt", "x",        "--max-new-tokens", "2"};
  EXPECT_EQ(run("cpx-generate", generate).exit_code, 0);
  write("texts.txt", "A fine day\n");
  const ToolResult score = run("cpx-score", {"--model", "cy/judge", "--input", path("texts.txt"),
                                             "--output", path("scored.jsonl")});
  EXPECT_EQ(score.exit_code, 0) << score.err;
}

TEST_F(HubTool, EveryKeyTakesNames) {
  const ToolResult init = train(
      {"model.path=ann/tiny", "adapter.init_from=bo/lora", "training.max_steps=1"}, setting());
  EXPECT_EQ(init.exit_code, 0) << init.err;
  for (const char* mode : {"--validate", "--estimate"}) {
    const ToolResult result = train({"model.path=ann/tiny", mode}, setting());
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("ann/tiny"));
  }
  const ToolResult reward =
      run("cpx-train",
          {"--config", CPX_SOURCE_DIR "/configs/tiny/ppo.yaml", "--validate", "model.path=ann/tiny",
           "reward.model=cy/judge", "reward.words=[]", "training.output=" + path("ppo")});
  EXPECT_EQ(reward.exit_code, 0) << reward.err;
  EXPECT_THAT(reward.out, HasSubstr("reward     cy/judge\n"));
}

TEST_F(HubTool, WhatIsNotThereHasItsDownloadCommand) {
  const std::string tail = ", or a repository that the Hugging Face cache (" + path("cache") +
                           ") has. To download it: hf download ";
  const ToolResult absent = train({"model.path=ann/other@v2"}, setting());
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_EQ(absent.err,
            "cpx-train: [read_tokenizer] ann/other@v2: no such file or folder, expected a model "
            "folder, a .gguf" +
                tail + "ann/other --revision v2\n");
  const ToolResult adapter = run("cpx-generate", {"--model", "ann/tiny", "--adapter", "bo/none",
                                                  "--prompt", "x", "--log-level", "error"});
  EXPECT_EQ(adapter.exit_code, 1);
  EXPECT_EQ(adapter.err,
            "cpx-generate: [peft] bo/none: no such file or folder, expected a PEFT folder" + tail +
                "bo/none\n");
  const ToolResult judge = run("cpx-score", {"--model", "cy/none", "--input", path("shard.json"),
                                             "--output", path("out.json")});
  EXPECT_EQ(judge.exit_code, 1);
  EXPECT_EQ(
      judge.err,
      "cpx-score: [load_text_scorer] cy/none: no such file or folder, expected a classifier's "
      "folder" +
          tail + "cy/none\n");
}

TEST_F(HubTool, WeightsThatAreMissingInASnapshotHaveTheirDownloadCommand) {
  const std::string snapshot = path("cache/models--ann--tiny/snapshots/") + kCommit;
  fs::remove(snapshot + "/model.safetensors");
  const ToolResult result =
      run("cpx-eval-ppl", {"--model", "ann/tiny", "--neutral",
                           CPX_SOURCE_DIR "/data/demo/everyday.txt", "--log-level", "error"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(
      result.err,
      "cpx-eval-ppl: [model_folder] " + snapshot +
          ": holds none of model.safetensors, model.safetensors.index.json, pytorch_model.bin and "
          "pytorch_model.bin.index.json. "
          "To complete it: hf download ann/tiny --revision " +
          kCommit + "\n");
}

// ---- The home folder ----------------------------------------------------------------------------

TEST_F(HubTool, ATildeInAConfigIsTheHomeFolder) {
  const ToolResult result = train(
      {"training.output=~/tilde", "data.train=[~/shard.json]", "training.max_steps=1"}, setting());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(exists("tilde/final/adapter_model.safetensors"));
  EXPECT_FALSE(fs::exists(CPX_SOURCE_DIR "/~"));
}

TEST_F(HubTool, ATildeInAFlagIsTheHomeFolder) {
  const ToolResult result =
      run("cpx-eval-ppl", {"--model", model(), "--shards", "~/shard*.json", "--report=~/r.json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(exists("r.json"));
  EXPECT_EQ(run("cpx-train", {"--config=~/config.yaml", "--validate"}).exit_code, 0);
  EXPECT_EQ(run("cpx-generate", {"--model", model(), "--prompt", "x", "--max-new-tokens", "1",
                                 "--output", "~/out.jsonl"})
                .exit_code,
            0);
  EXPECT_TRUE(exists("out.jsonl"));
}

TEST_F(HubTool, TheHomeFolderOfAnotherIsRefused) {
  const std::string what =
      ": got '~ann/x', expected '~/' for your own home folder, or './~ann/x' for a file of that "
      "name: another user's home folder needs its whole path.";
  const ToolResult flag = run("cpx-eval-ppl", {"--model", "~ann/x"});
  EXPECT_EQ(flag.exit_code, 2);
  EXPECT_EQ(flag.err,
            "cpx-eval-ppl: [command line] --model" + what + " See cpx-eval-ppl --help.\n");
  const ToolResult key = train({"training.output=~ann/x"}, setting());
  EXPECT_EQ(key.exit_code, 2);
  EXPECT_EQ(key.err,
            "cpx-train: [command line: training.output=~ann/x] training.output" + what + "\n");
}

}  // namespace hub_tool_test
}  // namespace cpx::tests
