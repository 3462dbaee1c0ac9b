// SPDX-License-Identifier: Apache-2.0
// Files of other programs that differ from ours in what a job does not need: each gives what the
// unchanged file gives. Figures are those of transformers and PEFT for the fixtures.
#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/core/output_file.h"
#include "tiny_run.h"

namespace cpx::tests {
namespace lenient_input_test {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kTexts = "data/demo/everyday.txt";
constexpr double kPerplexity = 549.96;             // of kTexts under llama_gqa
constexpr double kPerplexityWithAdapter = 551.34;  // under its adapter
constexpr const char* kClassifier = "tests/fixtures/models/roberta_two_labels";

class LenientInput : public TinyRun {
 protected:
  // A copy of a fixture's folder under the folder of the test.
  std::string copy_of(const std::string& folder) const {
    const std::string name = path(fs::path(folder).filename().string());
    fs::copy(fs::path(CPX_SOURCE_DIR) / folder, name, fs::copy_options::recursive);
    return name;
  }

  static void change(const std::string& file, const Json& changes) {
    Json json = Json::parse(read_text_file(file));
    for (const auto& [key, value] : changes.items()) json[key] = value;
    write_file_atomically(file, json.dump(1));
  }

  // The neutral perplexity that a report has.
  double perplexity(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--dtype", "float32", "--report", path("report.json")});
    const ToolResult result = eval_ppl(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    if (result.exit_code != 0) return 0.0;
    return Json::parse(read("report.json")).at("sides").at("neutral").at("perplexity");
  }

  double perplexity_of(const std::string& folder) const {
    return perplexity({"--model", folder, "--neutral", kTexts});
  }
};

TEST_F(LenientInput, AnArchitectureOfAnotherSpelling) {
  const std::string folder = copy_of(model());
  change(folder + "/config.json", {{"architectures", {"LLaMAForCausalLM"}}});
  EXPECT_NEAR(perplexity_of(folder), kPerplexity, 0.005);
}

TEST_F(LenientInput, SpecialTokensBeyondTheVocabularyAndKeysOfOtherTypes) {
  const std::string folder = copy_of(model());
  change(folder + "/config.json", {{"bos_token_id", 32000},
                                   {"eos_token_id", {-1, 32001}},
                                   {"pad_token_id", "none"},
                                   {"pretraining_tp", nullptr},
                                   {"torch_dtype", 16}});
  change(folder + "/tokenizer_config.json", {{"pad_token", ""}});
  EXPECT_NEAR(perplexity_of(folder), kPerplexity, 0.005);
}

TEST_F(LenientInput, MetadataThatIsNull) {
  const std::string folder = copy_of(model());
  const std::string file = folder + "/model.safetensors";
  std::string bytes = read_text_file(file);
  const std::string metadata = R"({"format":"pt"})";
  bytes.replace(bytes.find(metadata), metadata.size(), "null           ");
  write_file_atomically(file, bytes);
  EXPECT_NEAR(perplexity_of(folder), kPerplexity, 0.005);
}

TEST_F(LenientInput, AConfigWithAByteOrderMark) {
  const std::string folder = copy_of(model());
  for (const char* name : {"/config.json", "/tokenizer.json", "/tokenizer_config.json"}) {
    write_file_atomically(folder + name, "\xEF\xBB\xBF" + read_text_file(folder + name));
  }
  EXPECT_NEAR(perplexity_of(folder), kPerplexity, 0.005);
}

TEST_F(LenientInput, AnAdapterWhoseTargetsAreARegularExpression) {
  const std::string folder = copy_of(model() + "/adapter");
  for (const Json& changes : {Json{{"target_modules", ".*\\.self_attn\\.(q_proj|v_proj)"}},
                              Json{{"layers_to_transform", {0, 1}}, {"layers_pattern", "layers"}},
                              Json{{"exclude_modules", {"lm_head"}}, {"future_key", 1}}}) {
    change(folder + "/adapter_config.json", changes);
    EXPECT_NEAR(perplexity({"--model", model(), "--adapter", folder, "--neutral", kTexts}),
                kPerplexityWithAdapter, 0.005)
        << changes;
  }
}

TEST_F(LenientInput, AnAdapterWithARegularExpressionIsTrainedOn) {
  const std::string folder = copy_of(model() + "/adapter");
  change(folder + "/adapter_config.json", {{"target_modules", ".*\\.self_attn\\.(q_proj|v_proj)"}});
  write("run.yaml", "version: 1\nmodel: {path: " + model() +
                        "}\nadapter: {dropout: 0.0, init_from: " + folder + "}\ndata: {train: [\"" +
                        path("shard.json") +
                        "\"], max_tokens: 48}\nobjective: {name: sft, num_positives: 1}\n"
                        "training: {max_steps: 1, groups: 1, output: " +
                        path("again") + "}\nevaluation: {every_steps: 0}\n");
  const ToolResult result =
      run_tool("cpx-train", {"--config", path("run.yaml"), "--device", "cpu"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json config = Json::parse(read("again/final/adapter_config.json"));
  EXPECT_EQ(config.at("target_modules").size(), 4u);  // two layers of each
}

TEST_F(LenientInput, LabelNamesThatAreNumbers) {
  const std::string folder = copy_of(kClassifier);
  change(folder + "/config.json",
         {{"id2label", {{"0", 0}, {"1", 1}}}, {"label2id", {{"0", 0}, {"1", 1}}}});
  const auto scores_of = [&](const std::string& classifier, const std::string& label) {
    const ToolResult result =
        run_tool("cpx-score", {"--model", classifier, "--label", label, "--input", kTexts,
                               "--device", "cpu", "--output", path("out.jsonl")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read("out.jsonl");
  };
  EXPECT_EQ(scores_of(folder, "1"), scores_of(kClassifier, "LABEL_1"));
}

constexpr const char* kNeutralOnly =
    R"([{"input": "Please move.", "group": "g", "id": "1", "paraphrases_rouge": [0.5, 0.5],
         "paraphrases": ["Would you move?", "Could you move, please?"]}])";

TEST_F(LenientInput, ShardsOfOneSideAreTrainedOnByWhatNeedsNoOther) {
  write("shard.json", kNeutralOnly);
  write("eval.json", kNeutralOnly);
  use("name: sft, num_positives: 1");
  const ToolResult result = train();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(steps("run").size(), 6u);
}

TEST_F(LenientInput, ShardsOfOneSideAreRefusedByWhatNeedsBoth) {
  write("shard.json", kNeutralOnly);
  const std::string missing =
      path("shard.json") +
      ": record 1 (id '1')] 'paraphrases_toxic' is missing (keys: input, group, id, "
      "paraphrases_rouge, paraphrases), expected a list of texts or an object {text: score}. The "
      "other side is here; cpx-paraphrase --polarity toxic adds this one.\n";
  for (const char* objective : {"name: contrastive_perplexity", "name: dpo", "name: cycle"}) {
    use(objective);
    const ToolResult result = train();
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err, "cpx-train: [" + missing) << objective;
  }
  // The figure that compares the sides needs both of the evaluation's data.
  write("shard.json", kNeutralOnly);
  write("eval.json", kNeutralOnly);
  use("name: sft, num_positives: 1");
  const ToolResult result = train({"evaluation.metric=separation"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("eval.json: record 1 (id '1')] 'paraphrases_toxic' is "
                                          "missing"),
                                Not(HasSubstr("paraphrases_rouge' meant"))));
}

TEST_F(LenientInput, ShardsOfOneSideAreReportedAndScored) {
  write("neutral.json", kNeutralOnly);
  write("texts.json", "[\"Would you move?\", \"Could you move, please?\"]");
  const double expected = perplexity({"--model", model(), "--neutral", path("texts.json")});
  EXPECT_DOUBLE_EQ(perplexity({"--model", model(), "--shards", path("neutral.json")}), expected);
  EXPECT_EQ(Json::parse(read("report.json")).at("sides").at("toxic").at("texts"), 0);
  const ToolResult result =
      run_tool("cpx-score", {"--model", kClassifier, "--input", path("neutral.json"), "--device",
                             "cpu", "--output", path("out.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json record = Json::parse(read("out.json")).at(0);
  EXPECT_EQ(record.at("paraphrases_toxigenscore").size(), 2u);
  EXPECT_FALSE(record.contains("paraphrases_toxic"));
}

TEST_F(LenientInput, OptionalKeysThatAreNull) {
  const std::string sides =
      R"("id": "1", "paraphrases": ["Would you move?"], "paraphrases_toxic": ["Move now."]})";
  write("null.json", R"([{"input": null, "group": null, )" + sides + "]");
  write("absent.json", "[{" + sides + "]");
  EXPECT_DOUBLE_EQ(perplexity({"--model", model(), "--shards", path("null.json")}),
                   perplexity({"--model", model(), "--shards", path("absent.json")}));
  EXPECT_TRUE(Json::parse(read("report.json")).at("groups").empty());
}

TEST_F(LenientInput, JsonLinesWhateverTheirNameAndLineEnds) {
  write("texts.txt", "Good day.\nPlease sit.\n");
  const double expected = perplexity({"--model", model(), "--neutral", path("texts.txt")});
  const std::string first = R"({"text": "Good day."})";
  const std::string second = R"({"text": "Please sit."})";
  for (const std::string& content :
       {first + "\n" + second + "\n", "\xEF\xBB\xBF" + first + "\r\n" + second,
        first + "\r" + second + "\r", "[" + first + ",\n" + second + "]",
        std::string(R"(["Good day.", "Please sit."])")}) {
    for (const char* name : {"texts.json", "texts.jsonl", "texts.data"}) {
      write(name, content);
      EXPECT_DOUBLE_EQ(perplexity({"--model", model(), "--neutral", path(name)}), expected)
          << name << ": " << content;
    }
  }
}

TEST_F(LenientInput, NumbersComeOutAsTheyWere) {
  const std::string object = R"("hash":12345678901234567890123,"deep":[{"x":[0.10,-0,1E5]}])";
  write("texts.jsonl", R"({"text":"Good day.",)" + object + "}\n");
  const ToolResult result =
      run_tool("cpx-score", {"--model", kClassifier, "--input", path("texts.jsonl"), "--device",
                             "cpu", "--output", path("out.jsonl")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(read("out.jsonl"),
              testing::StartsWith(R"({"text":"Good day.",)" + object + R"(,"score":0.)"));
}

TEST_F(LenientInput, ScoredTextsOfThePublishedPipelineBecomeLists) {
  write("neutral_mental_disability.json",
        R"([{"input": "x", "paraphrases": {"Would you move?": 0.5, "Please move.": 0.25}},
            {"input": "y", "paraphrases": {"Good day.": 1}}])");
  const ToolResult result = run_tool(
      "cpx-score", {"--model", kClassifier, "--input", path("neutral_mental_disability.json"),
                    "--device", "cpu", "--output", path("out.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json records = Json::parse(read("out.json"));
  EXPECT_EQ(records.at(0).at("paraphrases"), Json({"Would you move?", "Please move."}));
  EXPECT_EQ(records.at(0).at("paraphrases_toxigenscore").size(), 2u);
  EXPECT_EQ(records.at(0).at("group"), "mental_dis");
  EXPECT_EQ(records.at(0).at("id"), "mental_dis-0");
  EXPECT_EQ(records.at(1).at("id"), "mental_dis-1");
}

TEST_F(LenientInput, AConversationWithLineEndsOfAnotherSystem) {
  const auto said_to = [&](const std::string& input) {
    write("turns.txt", input);
    const ToolResult result = run_tool(
        "cpx-generate",
        {"--model", model(), "--max-new-tokens", "2", "--temperature", "0", "--device", "cpu"},
        {.input_file = path("turns.txt")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string expected = said_to("Hi.\n/exit\nmore\n");
  EXPECT_EQ(std::count(expected.begin(), expected.end(), '\n'), 1);
  EXPECT_EQ(said_to("Hi.\r\n/exit\r\nmore\r\n"), expected);
  EXPECT_EQ(said_to("\xEF\xBB\xBFHi.\r\n/exit"), expected);
}

// One fault, the same words: a model's config, a tokenizer, a shard.
TEST_F(LenientInput, ABadFileIsToldInTheSameWordsByEachReader) {
  const auto told_of = [&](const std::string& content) {
    const std::string folder = copy_of(model());
    std::vector<std::string> words;
    const auto add = [&](const ToolResult& result) {
      EXPECT_EQ(result.exit_code, 1);
      const size_t place = result.err.find(".json");
      const size_t end = result.err.find_first_of(" ", place);
      words.push_back(result.err.substr(end + 1));
    };
    write_file_atomically(folder + "/config.json", content);
    add(eval_ppl({"--model", folder, "--neutral", kTexts}));
    fs::remove_all(folder);
    copy_of(model());
    write_file_atomically(folder + "/tokenizer.json", content);
    add(eval_ppl({"--model", folder, "--neutral", kTexts}));
    fs::remove_all(folder);
    write("bad.json", content);
    add(eval_ppl({"--model", model(), "--shards", path("bad.json")}));
    return words;
  };
  const std::vector<std::string> deep = told_of("{\"model\": " + std::string(200, '['));
  EXPECT_EQ(deep[0], "is JSON nested deeper than 128 levels.\n");
  EXPECT_EQ(deep[1], deep[0]);
  EXPECT_THAT(deep[2], testing::EndsWith(deep[0]));
  const std::vector<std::string> broken = told_of("{\"model\": oops}");
  EXPECT_EQ(broken[0],
            "is not valid JSON: parse error at line 1, column 11: syntax error while parsing value "
            "- invalid literal; last read: '\"model\": o'.\n");
  EXPECT_EQ(broken[1], broken[0]);
  EXPECT_THAT(broken[2], testing::EndsWith(broken[0]));
}

}  // namespace lenient_input_test
}  // namespace cpx::tests
