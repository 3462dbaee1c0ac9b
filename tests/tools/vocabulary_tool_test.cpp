// SPDX-License-Identifier: Apache-2.0
// Tokenizers with other tokens than the model has rows, both ways: what a user meets.
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace vocabulary_tool_test {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

class VocabularyTool : public TinyRun {
 protected:
  VocabularyTool() {
    std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model"));
    std::filesystem::permissions(path("model/tokenizer.json"), std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
  }

  // The tokenizer keeps its bytes and control tokens alone: the model's other rows have no token.
  void shorten_tokenizer() const {
    json content = json::parse(read("model/tokenizer.json"));
    content["model"]["merges"] = json::array();
    auto& vocabulary = content["model"]["vocab"];
    for (auto entry = vocabulary.begin(); entry != vocabulary.end();) {
      entry = entry->get<int>() >= 259 ? vocabulary.erase(entry) : std::next(entry);
    }
    write("model/tokenizer.json", content.dump());
  }

  // A token that the model, of 288 rows, lacks.
  void add_token() const { write("model/added_tokens.json", R"({"<pad>": 288})"); }

  static std::string fault(const std::string& where) {
    return "[" + where +
           "] the text has the token '<pad>' with id 288, expected ids below 288 (config.json: "
           "vocab_size): the model has no row for it.";
  }

  // Puts the token into the second neutral text of the third record.
  void spoil_shard() const {
    json shard = json::parse(read("shard.json"));
    shard[2]["paraphrases"][1] = "Could I have <pad> it";
    write("shard.json", shard.dump());
  }

  std::string record() const { return path("shard.json") + ": record 3 (id 'desk-2')"; }
};

// ---- A model with more rows than the tokenizer has tokens ---------------------------------------

TEST_F(VocabularyTool, IdsWithoutATokenAreGeneratedAsNothing) {
  shorten_tokenizer();
  const ToolResult result = run_tool(
      "cpx-generate", {"--model", path("model"), "--prompt", "x", "--samples", "20", "--dtype",
                       "float32", "--max-new-tokens", "10", "--output", path("out.jsonl")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(num_lines(read("out.jsonl")), 20U);
}

TEST_F(VocabularyTool, IdsWithoutATokenAreParaphrasedAsNothing) {
  shorten_tokenizer();
  write("inputs.txt", "The kettle is on the table\nGood morning to you all\n");
  write("ask.txt", "Say it kindly: {input}\n");
  const ToolResult result = run_tool("cpx-paraphrase", {"--model",
                                                        path("model"),
                                                        "--form",
                                                        "plain",
                                                        "--dtype",
                                                        "float32",
                                                        "--input",
                                                        path("inputs.txt"),
                                                        "--template-neutral",
                                                        path("ask.txt"),
                                                        "--polarity",
                                                        "neutral",
                                                        "--samples",
                                                        "8",
                                                        "--keep",
                                                        "2",
                                                        "--max-new-tokens",
                                                        "12",
                                                        "--output",
                                                        path("out.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(exists("out.json"));
}

TEST_F(VocabularyTool, IdsWithoutATokenAreRolledOut) {
  shorten_tokenizer();
  const ToolResult result =
      run_tool("cpx-train", {"--config", CPX_SOURCE_DIR "/configs/tiny/ppo.yaml",
                             "model.path=" + path("model"), "training.output=" + path("run")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(exists("run/final/adapter_model.safetensors"));
}

// ---- A tokenizer with more tokens than the model has rows ---------------------------------------

TEST_F(VocabularyTool, ATokenThatNoTextHasChangesNothing) {
  const Arguments arguments = {"--neutral", CPX_SOURCE_DIR "/data/demo/everyday.txt", "--dtype",
                               "float32"};
  const auto table_of = [&](const std::string& model_path) {
    Arguments all = {"--model", model_path};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const ToolResult result = eval_ppl(all);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  add_token();
  EXPECT_THAT(table_of(path("model")), HasSubstr("549.96"));
}

TEST_F(VocabularyTool, AnEvaluatedTextWithItIsToldBeforeAnythingIsComputed) {
  add_token();
  write("texts.txt", "A fine day\nA <pad> day\n");
  const ToolResult result =
      eval_ppl({"--model", path("model"), "--neutral", path("texts.txt"), "--dtype", "float32"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-eval-ppl: " + fault(path("texts.txt") + ": text 2") + "\n");
  spoil_shard();
  const ToolResult shards =
      eval_ppl({"--model", path("model"), "--shards", path("shard.json"), "--dtype", "float32"});
  EXPECT_EQ(shards.exit_code, 1);
  EXPECT_EQ(shards.err, "cpx-eval-ppl: " + fault(record() + ": neutral text 2") + "\n");
}

TEST_F(VocabularyTool, ATrainingTextWithItIsToldBeforeTheRun) {
  add_token();
  EXPECT_EQ(train({"model.path=" + path("model"), "training.max_steps=1"}).exit_code, 0);
  spoil_shard();
  const std::string line = "cpx-train: " + fault(record() + ": neutral text 2") + "\n";
  for (const Arguments& mode : {Arguments{}, Arguments{"--inspect", "1"}}) {
    Arguments all = {"model.path=" + path("model"), "training.output=" + path("other")};
    all.insert(all.end(), mode.begin(), mode.end());
    const ToolResult result = train(all);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err, line);
  }
  EXPECT_FALSE(exists("other"));
}

TEST_F(VocabularyTool, ValidateTellsAllTextsWithIt) {
  add_token();
  spoil_shard();
  json shard = json::parse(read("shard.json"));
  shard[2]["paraphrases_toxic"][0] = "<pad>, fool";
  write("shard.json", shard.dump());
  const ToolResult result = train({"model.path=" + path("model"), "--validate"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: " + fault(record() + ": neutral text 2") +
                            "\ncpx-train: " + fault(record() + ": toxic text 1") +
                            "\ncpx-train: 2 faults found, nothing was trained.\n");
}

TEST_F(VocabularyTool, PairsRetainedTextsAndPromptsWithItAreToldToo) {
  add_token();
  write("plain.txt", "A fine day\nA <pad> day\n");
  const ToolResult retained =
      train({"model.path=" + path("model"), "data.retain=[" + path("plain.txt") + "]",
             "objective.retain=1"});
  EXPECT_EQ(retained.exit_code, 1);
  EXPECT_EQ(retained.err, "cpx-train: " + fault(path("plain.txt") + ": text 2") + "\n");
  spoil_shard();
  use("name: dpo");
  const ToolResult pairs = train({"model.path=" + path("model")});
  EXPECT_EQ(pairs.exit_code, 1);
  EXPECT_EQ(pairs.err, "cpx-train: " + fault(record()) + "\n");
}

TEST_F(VocabularyTool, APromptWithItIsTold) {
  add_token();
  const ToolResult result = run_tool(
      "cpx-generate", {"--model", path("model"), "--template", "plain", "--dtype", "float32",
                       "--prompt", "x", "--prompt", "a <pad>", "--log-level", "warning"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-generate: " + fault("prompt 2") + "\n");
}

TEST_F(VocabularyTool, AChatTemplateWithItIsToldOfEveryText) {
  add_token();
  json config = json::parse(read("model/tokenizer_config.json"));
  std::string chat = config.at("chat_template");
  config["chat_template"] = "<pad>" + chat;
  write("model/tokenizer_config.json", config.dump());
  const ToolResult result = train({"model.path=" + path("model"), "data.template=chat"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: " + fault("every text") + "\n");
}

TEST_F(VocabularyTool, AnEosWithoutARowIsToldWhereItIsAppended) {
  json config = json::parse(read("model/tokenizer_config.json"));
  config["eos_token"] = "<pad>";
  write("model/tokenizer_config.json", config.dump());
  const ToolResult result = train({"model.path=" + path("model"), "--log-level", "error"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-train: " + fault("every text") + "\n");
  const ToolResult without =
      train({"model.path=" + path("model"), "data.append_eos=false", "training.max_steps=1"});
  EXPECT_EQ(without.exit_code, 0) << without.err;
}

TEST_F(VocabularyTool, AScoredTextWithItIsToldBeforeAnythingIsComputed) {
  std::filesystem::copy(CPX_SOURCE_DIR "/tests/fixtures/models/roberta_two_labels",
                        path("classifier"));
  write("classifier/added_tokens.json", R"({"<new>": 400})");
  write("texts.txt", "A fine day\nA <new> day\n");
  const ToolResult result =
      run_tool("cpx-score", {"--model", path("classifier"), "--input", path("texts.txt"),
                             "--output", path("out.jsonl"), "--log-level", "error"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-score: [" + path("texts.txt") +
                            ": line 2: text] the text has the token '<new>' with id 400, expected "
                            "ids below 400 (config.json: vocab_size): the model has no row for "
                            "it.\n");
  EXPECT_FALSE(exists("out.jsonl"));
}

// ---- What stands at both ends -------------------------------------------------------------------

TEST_F(VocabularyTool, LogsTellTheTokensAtBothEnds) {
  const std::string ends = "begin with no special token and end with '<|im_end|>' (2)";
  EXPECT_THAT(train({"training.max_steps=1"}).err, HasSubstr("tokens  texts " + ends));
  EXPECT_THAT(train({"--inspect", "1"}).out, testing::StartsWith("texts " + ends + "\n\n"));
  EXPECT_THAT(eval_ppl({"--model", model(), "--shards", path("shard.json"), "--append-eos"}).err,
              HasSubstr(model() + ": texts " + ends));
  EXPECT_THAT(run_tool("cpx-generate", {"--model", model(), "--prompt", "x", "--max-new-tokens",
                                        "1", "--template", "plain"})
                  .err,
              HasSubstr("prompts begin with no special token and end with no special token"));
}

}  // namespace vocabulary_tool_test
}  // namespace cpx::tests
