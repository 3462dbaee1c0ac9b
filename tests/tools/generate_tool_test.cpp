// SPDX-License-Identifier: Apache-2.0
// cpx-generate as its user meets it.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_run.h"

namespace cpx::tests {
namespace generate_tool_test {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class GenerateTool : public TinyRun {
 protected:
  static std::string adapter() { return model() + "/adapter"; }

  static ToolResult generate(std::vector<std::string> arguments, const ToolSetting& setting = {}) {
    arguments.insert(arguments.begin(), {"--model", model(), "--template", "plain", "--dtype",
                                         "float32", "--max-new-tokens", "12"});
    return run_tool("cpx-generate", arguments, setting);
  }

  std::vector<nlohmann::json> lines(const std::string& name) const {
    std::istringstream text(read(name));
    std::vector<nlohmann::json> objects;
    for (std::string line; std::getline(text, line);) {
      objects.push_back(nlohmann::json::parse(line));
    }
    return objects;
  }
};

TEST_F(GenerateTool, HelpNamesItsFlagsAndExamples) {
  const ToolResult result = run_tool("cpx-generate", {"--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("--prompt"), HasSubstr("--compare"), HasSubstr("--top-p"),
                    HasSubstr("--penalty-alpha"), HasSubstr("--weights"), HasSubstr("Examples:")));
}

TEST_F(GenerateTool, OnePromptIsContinuedOnStandardOutput) {
  const ToolResult result = generate({"--prompt", "The kettle", "--temperature", "0"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GT(result.out.size(), 3U);
  EXPECT_THAT(result.out, Not(HasSubstr("==")));
  EXPECT_THAT(result.err, HasSubstr("new tokens a second"));
  EXPECT_EQ(generate({"--prompt", "The kettle", "--temperature", "0"}).out, result.out);
}

// The fixture with EOS as token 0, and token 2 spelled as `end`, here and in the chat template.
std::string gguf_with_end(const std::string& end) {
  std::ifstream file(CPX_SOURCE_DIR "/tests/fixtures/gguf/llama_gqa_f32.gguf", std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  const std::string eos = "tokenizer.ggml.eos_token_id";
  bytes[bytes.find(eos) + eos.size() + sizeof(uint32_t)] = 0;  // behind the type of the value
  const std::string spelling = "<|im_end|>";
  for (size_t at = 0; (at = bytes.find(spelling, at)) != std::string::npos; at += end.size()) {
    bytes.replace(at, spelling.size(), end);
  }
  return bytes;
}

// llama.cpp's keys for the ends of turns and messages count as much as the spelling of such an end.
TEST_F(GenerateTool, AGgufsOwnIdsEndATextAsKnownSpellingsDo) {
  write("spelled.gguf", gguf_with_end("<|im_end|>"));
  write("unknown.gguf", gguf_with_end("<|zz_end|>"));
  for (const std::string key : {"eot", "eom"}) {
    // The key of BOS, which the vocabulary does not use, becomes that of the end.
    std::string named = gguf_with_end("<|zz_end|>");
    const std::string bos = "tokenizer.ggml.bos_token_id";
    named.replace(named.find(bos), bos.size(), "tokenizer.ggml." + key + "_token_id");
    named[named.find(key + "_token_id") + 12 + sizeof(uint32_t)] = 2;
    write(key + ".gguf", named);
  }
  const auto num_stopped = [&](const std::string& name) {
    const auto result = run_tool(
        "cpx-generate", {"--model", path(name + ".gguf"), "--prompt", "Hi", "--samples", "150",
                         "--max-new-tokens", "20", "--output", path(name + ".jsonl")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return std::ranges::count_if(lines(name + ".jsonl"), [](const auto& line) {
      return line.dump().find("stop_token") != std::string::npos;
    });
  };
  const auto expected = num_stopped("spelled");
  EXPECT_GT(expected, num_stopped("unknown"));
  EXPECT_EQ(num_stopped("eot"), expected);
  EXPECT_EQ(num_stopped("eom"), expected);
}

TEST_F(GenerateTool, TheSeedAloneDecidesWhatIsSampled) {
  write("prompts.txt", "The kettle\nGood morning\nThank you\n");
  const auto texts = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(),
                {"--input", path("prompts.txt"), "--samples", "3", "--output", path(name)});
    EXPECT_EQ(generate(more).exit_code, 0);
    return read(name);
  };
  const std::string all = texts("a.jsonl", {"--batch", "20"});
  EXPECT_EQ(texts("b.jsonl", {"--batch", "2"}), all);
  EXPECT_NE(texts("c.jsonl", {"--seed", "7"}), all);

  const auto objects = lines("a.jsonl");
  ASSERT_EQ(objects.size(), 9);
  EXPECT_EQ(objects[4]["prompt"], "Good morning");
  EXPECT_EQ(objects[4]["sample"], 1);
  EXPECT_LE(objects[4]["tokens"], 12);
  EXPECT_TRUE(objects[4]["finish"] == "length" || objects[4]["finish"] == "stop_token");
  EXPECT_NE(objects[3]["text"], objects[4]["text"]);
}

TEST_F(GenerateTool, ContrastiveSearchDrawsNothing) {
  write("prompts.txt", "The kettle\nGood morning\nThank you\n");
  const auto texts = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(),
                {"--input", path("prompts.txt"), "--temperature", "0", "--output", path(name)});
    EXPECT_EQ(generate(more).exit_code, 0);
    return read(name);
  };
  const std::vector<std::string> search = {"--penalty-alpha", "0.6", "--top-k", "4"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), search.begin(), search.end());
    return more;
  };
  const std::string all = texts("a.jsonl", search);
  EXPECT_EQ(texts("b.jsonl", with({"--batch", "1", "--seed", "7"})), all);
  EXPECT_NE(texts("c.jsonl", {"--top-k", "4"}), all);  // greedy
  EXPECT_NE(texts("d.jsonl", with({"--adapter", adapter()})), all);
}

TEST_F(GenerateTool, AGptqFolderIsAModelLikeAnyOtherAndTakesAnAdapter) {
  const std::string folder = "tests/fixtures/models/llama_gptq_4bit";
  const ToolResult result =
      run_tool("cpx-generate",
               {"--model", folder, "--adapter", folder + "/adapter", "--compare", "--template",
                "plain", "--dtype", "float32", "--max-new-tokens", "12", "--prompt", "The kettle",
                "--temperature", "0", "--output", path("both.jsonl")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto objects = lines("both.jsonl");
  ASSERT_EQ(objects.size(), 2);
  EXPECT_NE(objects[0]["text"], objects[1]["text"]);
}

TEST_F(GenerateTool, CompareShowsBaseAndAdapter) {
  const ToolResult result = generate({"--adapter", adapter(), "--compare", "--prompt", "The kettle",
                                      "--temperature", "0", "--output", path("both.jsonl")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto objects = lines("both.jsonl");
  ASSERT_EQ(objects.size(), 2);
  EXPECT_EQ(objects[0]["side"], "base");
  EXPECT_EQ(objects[1]["side"], "adapter");
  EXPECT_NE(objects[0]["text"], objects[1]["text"]);
  const auto alone = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--prompt", "The kettle", "--temperature", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return generate(arguments).out;
  };
  EXPECT_EQ(alone({}), objects[0]["text"].get<std::string>() + "\n");
  EXPECT_EQ(alone({"--adapter", adapter()}), objects[1]["text"].get<std::string>() + "\n");

  const ToolResult shown =
      generate({"--adapter", adapter(), "--compare", "--prompt", "The kettle"});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("== The kettle"), HasSubstr("-- 1, base"),
                               HasSubstr("-- 1, adapter")));
}

TEST_F(GenerateTool, AStopStringEndsTheText) {
  const std::vector<std::string> greedy = {"--prompt", "The kettle", "--temperature", "0"};
  const std::string whole = generate(greedy).out;
  const std::string stop = whole.substr(4, 2);
  auto stopped = greedy;
  stopped.insert(stopped.end(), {"--stop", stop});
  EXPECT_EQ(generate(stopped).out, whole.substr(0, whole.find(stop)) + "\n");
}

TEST_F(GenerateTool, LinesOfStandardInputAreATurnEach) {
  write("turns.txt", "The kettle\n\n/reset\nGood morning\n/exit\nnever read\n");
  const ToolResult result = generate({"--temperature", "0"}, {.input_file = path("turns.txt")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto alone = [&](const std::string& prompt) {
    return generate({"--temperature", "0", "--prompt", prompt}).out;
  };
  EXPECT_EQ(result.out, alone("The kettle") + alone("Good morning"));
}

TEST_F(GenerateTool, AConversationOfAnotherSystemsLinesIsTheSame) {
  const auto answers = [&](const std::string& text) {
    write("turns.txt", text);
    const ToolResult result = generate({"--temperature", "0"}, {.input_file = path("turns.txt")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string expected = answers("The kettle\n/reset\nHi.\n");
  EXPECT_EQ(num_lines(answers("The kettle\n")), 1U);
  EXPECT_EQ(answers("The kettle\r\n/reset\r\nHi.\r\n/exit\r\nnever read\r\n"), expected);
  EXPECT_EQ(answers("\xEF\xBB\xBFThe kettle\r\n\r\n/reset\r\nHi.\r\n/exit"), expected);
  EXPECT_EQ(answers("\xEF\xBB\xBF/exit\r\nnever read\n"), "");
  EXPECT_EQ(answers("The kettle\n/reset\nHi.\n/exit\r"), expected);
}

TEST_F(GenerateTool, FlagsWithoutEffectAreTold) {
  const auto errors = [&](const std::vector<std::string>& arguments) {
    const ToolResult result = generate(arguments);
    EXPECT_EQ(result.exit_code, 2);
    return result.err;
  };
  EXPECT_EQ(errors({"--prompt", "x", "--system", "Be kind."}),
            "cpx-generate: [command line] --system: has no effect with --template plain: only a "
            "chat has a system message. Leave it out.\n");
  std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model"));
  auto config = nlohmann::json::parse(read("model/tokenizer_config.json"));
  config.erase("chat_template");
  write("model/tokenizer_config.json", config.dump());
  const ToolResult without_chat =
      run_tool("cpx-generate", {"--model", path("model"), "--prompt", "x", "--system", "Be kind."});
  EXPECT_EQ(without_chat.exit_code, 2);
  EXPECT_EQ(without_chat.err, "cpx-generate: [command line] --system: has no effect with " +
                                  path("model") +
                                  ": the model has no chat template. Leave it out.\n");

  const auto warnings = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--prompt", "x"});
    const ToolResult result = generate(arguments);
    EXPECT_EQ(result.exit_code, 0);
    return result.err;
  };
  EXPECT_THAT(warnings({"--temperature", "0", "--seed", "3", "--top-p", "0.5", "--min-p", "0.1",
                        "--top-k", "4", "--samples", "2"}),
              AllOf(HasSubstr("[command line] --seed: has no effect at --temperature 0: nothing is "
                              "drawn\n"),
                    HasSubstr("[command line] --top-p: has no effect at --temperature 0"),
                    HasSubstr("[command line] --min-p: has no effect at --temperature 0"),
                    HasSubstr("[command line] --top-k: has no effect at --temperature 0"),
                    HasSubstr("[command line] --samples: all 2 are the same text at --temperature "
                              "0\n")));
  EXPECT_THAT(warnings({"--temperature", "0", "--penalty-alpha", "0.6", "--top-k", "4"}),
              Not(HasSubstr("has no effect")));
  EXPECT_THAT(warnings({"--seed", "3", "--top-p", "0.5"}), Not(HasSubstr("has no effect")));
  write("turns.txt", "/exit\n");
  EXPECT_THAT(generate({"--batch", "3"}, {.input_file = path("turns.txt")}).err,
              HasSubstr("[command line] --batch: has no effect in a conversation: one text at a "
                        "time\n"));
}

TEST_F(GenerateTool, WeightsAreQuantisedAsAskedFor) {
  const auto run = [](const std::string& path, const std::string& weights) {
    return run_tool("cpx-generate",
                    {"--model", path, "--weights", weights, "--template", "plain", "--prompt",
                     "The kettle", "--temperature", "0", "--max-new-tokens", "12"});
  };
  const std::string gguf = "tests/fixtures/gguf/llama_tied_q4_1.gguf";
  const ToolResult as_stored = run(gguf, "auto");
  ASSERT_EQ(as_stored.exit_code, 0) << as_stored.err;
  EXPECT_THAT(as_stored.err, HasSubstr(gguf + " in Q4_1 on "));
  EXPECT_THAT(run(gguf, "float32").err, HasSubstr(gguf + " in float32 on "));
  EXPECT_THAT(run(gguf, "bfloat16").err, HasSubstr(gguf + " in bfloat16 on "));
  EXPECT_THAT(run(gguf, "q8_0").err, HasSubstr(gguf + " in Q8_0 on "));
  EXPECT_THAT(run(model(), "q4_0").err, HasSubstr(model() + " in Q4_0 + Q8_0 + float32 on "));
  EXPECT_GT(run(model(), "q8_0").out.size(), 3U);
}

TEST_F(GenerateTool, QuantisedWeightsTakeAnAdapterAndAnyBatch) {
  write("prompts.txt", "The kettle\nGood morning\nThank you\n");
  const auto texts = [&](const std::string& name, const std::string& batch) {
    const ToolResult result =
        generate({"--weights", "q8_0", "--adapter", adapter(), "--compare", "--input",
                  path("prompts.txt"), "--samples", "3", "--batch", batch, "--output", path(name)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read(name);
  };
  const std::string all = texts("a.jsonl", "20");
  EXPECT_EQ(texts("b.jsonl", "1"), all);
  const auto objects = lines("a.jsonl");
  ASSERT_EQ(objects.size(), 18);
  EXPECT_NE(objects[0]["text"], objects[3]["text"]);  // of the base, of the adapter
}

// ---- an output that grows -----------------------------------------------------------------------

TEST_F(GenerateTool, AnOutputGoesOnWhereItWasStopped) {
  write("prompts.txt", "The kettle\nGood morning\nThank you\nOne more\n");
  for (const std::string extra : {"--samples=2", "--compare"}) {
    const std::vector<std::string> command = {
        "--input", path("prompts.txt"), extra, "--adapter", adapter(), "--output", path("a.jsonl")};
    ASSERT_EQ(generate(command).exit_code, 0);
    const std::string whole = read("a.jsonl");
    EXPECT_EQ(num_lines(whole), 8U);
    for (const size_t size :
         {size_t{0}, size_t{7}, whole.find('\n') + 1, whole.size() / 2, whole.size() - 1}) {
      write("a.jsonl", whole.substr(0, size));
      const ToolResult again = generate(command);
      EXPECT_EQ(again.exit_code, 0) << again.err;
      EXPECT_EQ(read("a.jsonl"), whole) << extra << " " << size;
    }
    const ToolResult done = generate(command);
    EXPECT_EQ(done.exit_code, 0);
    EXPECT_THAT(done.err, HasSubstr("a.jsonl: made before with the same settings, nothing to do"));
    std::filesystem::remove(path("a.jsonl.meta"));
  }
}

TEST_F(GenerateTool, OtherSettingsThanTheOutputsAreAnError) {
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--output", path("a.jsonl")});
    return generate(more);
  };
  ASSERT_EQ(run({"--prompt", "x"}).exit_code, 0);
  const std::string before = read("a.jsonl");
  const auto error = [&](const std::vector<std::string>& more) {
    const ToolResult result = run(more);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(read("a.jsonl"), before);
    return result.err;
  };
  EXPECT_EQ(error({"--prompt", "x", "--seed", "7"}),
            "cpx-generate: [" + path("a.jsonl") +
                "] was made with other settings: 'seed' is 42 there and 7 now. Give those to go "
                "on, choose another output, or give --overwrite.\n");
  EXPECT_THAT(error({"--prompt", "x", "--top-k", "7"}), HasSubstr("'top_k' is 0 there and 7 now"));
  EXPECT_THAT(error({"--prompt", "y"}), HasSubstr("'inputs' is \"1 text"));
  EXPECT_THAT(error({"--prompt", "x", "--logprobs", "raw"}),
              HasSubstr("'logprobs' is \"\" there and \"raw\" now"));
  EXPECT_EQ(run({"--prompt", "y", "--overwrite"}).exit_code, 0);
  EXPECT_EQ(lines("a.jsonl").front()["prompt"], "y");
}

TEST_F(GenerateTool, AnInterruptKeepsThePromptsThatAreDone) {
  std::string prompts;
  for (int i = 0; i < 2000; ++i) prompts += "Prompt " + std::to_string(i) + "\n";
  write("prompts.txt", prompts);
  BackgroundTool tool(
      "cpx-generate",
      {"--model", model(), "--template", "plain", "--dtype", "float32", "--max-new-tokens", "60",
       "--batch", "2", "--input", path("prompts.txt"), "--output", path("a.jsonl")});
  ASSERT_TRUE(tool.runs_until([&] { return exists("a.jsonl") && !read("a.jsonl").empty(); }));
  tool.send(SIGTERM);
  const ToolResult result = tool.wait();
  EXPECT_EQ(result.exit_code, 1);
  const auto done = num_lines(read("a.jsonl"));
  EXPECT_GE(done, 1U);
  EXPECT_LT(done, 2000U);
  EXPECT_THAT(result.err, HasSubstr("interrupted: " + std::to_string(done) +
                                    " of 2000 prompts are done; the same command goes on from "
                                    "there\n"));
}

TEST_F(GenerateTool, PromptsStandWhereTheirFilesHaveThem) {
  const auto prompts = [&](const std::string& file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"--input", path(file), "--output", "-"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ToolResult result = generate(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<std::string> found;
    std::istringstream text(result.out);
    for (std::string line; std::getline(text, line);) {
      found.push_back(nlohmann::json::parse(line)["prompt"]);
    }
    return found;
  };
  // The form of RealToxicityPrompts.
  write(
      "rtp.jsonl",
      R"({"filename": "a", "prompt": {"text": "The kettle", "toxicity": 0.1}, "continuation": {"text": "no"}})"
      "\n"
      R"({"filename": "b", "prompt": {"text": "Good morning"}, "continuation": {"text": "no"}})"
      "\n");
  EXPECT_THAT(prompts("rtp.jsonl"), testing::ElementsAre("The kettle", "Good morning"));
  EXPECT_THAT(prompts("rtp.jsonl", {"--key", "continuation.text"}),
              testing::ElementsAre("no", "no"));
  write("mixed.jsonl",
        "{\"prompt\": \"one\", \"text\": \"no\"}\n{\"text\": \"two\"}\n{\"input\": \"three\"}\n"
        "\"four\"\n");
  EXPECT_THAT(prompts("mixed.jsonl"), testing::ElementsAre("one", "two", "three", "four"));
  write("list.json", R"([{"question": "five", "text": "no"}, {"question": "six"}])");
  EXPECT_THAT(prompts("list.json", {"--key", "question"}), testing::ElementsAre("five", "six"));
}

// ---- log-probabilities --------------------------------------------------------------------------

TEST_F(GenerateTool, LogProbabilitiesStandBesideTheTokens) {
  const auto line = [&](const std::string& which) {
    const std::string name = which + ".jsonl";
    EXPECT_EQ(generate({"--prompt", "The kettle", "--temperature", "0", "--repetition-penalty",
                        "1.5", "--logprobs", which, "--output", path(name)})
                  .exit_code,
              0);
    return lines(name).front();
  };
  const auto both = line("both");
  const auto& found = both["logprobs"];
  ASSERT_EQ(found["ids"].size(), both["tokens"]);
  for (const char* key : {"tokens", "raw", "processed"}) {
    EXPECT_EQ(found[key].size(), found["ids"].size()) << key;
  }
  EXPECT_NE(found["raw"], found["processed"]);
  for (const auto& value : found["raw"]) EXPECT_LE(value, 0.0);
  const auto raw = line("raw")["logprobs"];
  EXPECT_EQ(raw["raw"], found["raw"]);
  EXPECT_FALSE(raw.contains("processed"));
  EXPECT_EQ(line("processed")["logprobs"]["processed"], found["processed"]);
}

TEST_F(GenerateTool, LogProbabilitiesWithoutAPlaceOrAKindAreTold) {
  EXPECT_EQ(generate({"--prompt", "x", "--logprobs", "raw"}).err,
            "cpx-generate: [command line] --logprobs: has no effect without --output. Leave it "
            "out.\n");
  EXPECT_EQ(generate({"--prompt", "x", "--overwrite"}).err,
            "cpx-generate: [command line] --overwrite: has no effect without --output. Leave it "
            "out.\n");
  const ToolResult result =
      generate({"--prompt", "x", "--logprobs", "top", "--output", path("a.jsonl")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-generate: [command line] --logprobs: got 'top', expected raw, processed or "
            "both.\n");
}

TEST_F(GenerateTool, WrongWeightsAreTold) {
  ToolResult result = generate({"--prompt", "x", "--weights", "q5_k"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-generate: [weights] unknown format: got 'q5_k', expected auto, float32, bfloat16, "
            "q8_0 or q4_0.\n");
  result = generate({"--prompt", "x", "--weights", "bfloat16"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-generate: [weights] bfloat16: got dtype float32, expected auto or bfloat16.\n");
}

TEST_F(GenerateTool, AChatTemplateFileStandsInForTheModels) {
  write("chat.jinja", "\xEF\xBB\xBF{% for m in messages %}{{ m.content }}{% endfor %}");
  const auto answer = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "--model", model(),         "--dtype", "float32",  "--max-new-tokens",
        "12",      "--temperature", "0",       "--prompt", "The kettle"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_tool("cpx-generate", arguments);
  };
  const ToolResult chat = answer({"--chat-template", path("chat.jinja")});
  ASSERT_EQ(chat.exit_code, 0) << chat.err;
  write("same.jinja", "The kettle");
  EXPECT_EQ(answer({"--chat-template", path("same.jinja")}).out, chat.out);
  write("other.jinja", "{{ messages[0].content | upper }}!");
  EXPECT_NE(answer({"--chat-template", path("other.jinja")}).out, chat.out);

  write("bad.jinja", "{{ messages[0].name.first }}");
  const ToolResult bad = answer({"--chat-template", path("bad.jinja")});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err,
              HasSubstr("cpx-generate: [render_chat] the chat template cannot be rendered: "
                        "line 1: 'dict object' has no attribute 'name'. Give another "
                        "template with --chat-template FILE.\n"));
  const ToolResult wrong = answer({"--chat-template", path("bad.jinja"), "--template", "plain"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("[command line] --chat-template: got --template plain, expected "
                                   "auto or chat beside it."));
}

TEST_F(GenerateTool, WrongUseIsToldAtOnce) {
  ToolResult result = run_tool(
      "cpx-generate", {"--compare", "--template", "alpaca", "--samples", "0", "--prompt", "x"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-generate: [command line] --model: got nothing, expected a Hugging Face folder or a "
      ".gguf.\n"
      "cpx-generate: [command line] --template: got 'alpaca', expected auto, plain, chat, "
      "llama2 or tulu.\n"
      "cpx-generate: [command line] --samples: got 0, expected at least 1.\n"
      "cpx-generate: [command line] --compare: got no --adapter, expected one beside it.\n");

  result = generate({"--prompt", "x", "--top-p", "1.5", "--temperature", "-1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-generate: [sampling] temperature: got -1, expected 0 (greedy) or more.\n"
            "cpx-generate: [sampling] top_p: got 1.5, expected more than 0, at most 1.\n");

  result = generate({"--prompt", "x", "--penalty-alpha", "0.3"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-generate: [sampling] penalty_alpha: got 0.3 with temperature 0.8, expected "
      "temperature 0: contrastive search draws nothing (transformers ignores penalty_alpha "
      "while it samples). Leave it out to sample.\n"
      "cpx-generate: [sampling] top_k: got 0 with penalty_alpha 0.3, expected at least 2: the "
      "tokens that contrastive search chooses from.\n");

  result = generate({"--samples", "2"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-generate: [command line] --samples, --output or --compare: got no --prompt and no "
            "--input, expected one of them.\n");
}

TEST_F(GenerateTool, BadInputIsOneClearLine) {
  write("empty.txt", "");
  write("long.txt", "Hi\n" + std::string(2000, 'x') + "\n");
  const auto error_of = [&](const std::vector<std::string>& arguments) {
    const ToolResult result = generate(arguments);
    EXPECT_EQ(result.exit_code, 1);
    return last_line(result);
  };
  EXPECT_EQ(
      error_of({"--input", path("empty.txt")}),
      "cpx-generate: [" + path("empty.txt") + "] got no line with text, expected a text a line.\n");
  EXPECT_EQ(
      error_of({"--input", path("long.txt"), "--output", path("out.jsonl")}),
      "cpx-generate: [prompt 2] got 2000 tokens, expected 1 to 244 (the model's context of 256 "
      "less --max-new-tokens 12).\n");
  EXPECT_FALSE(exists("out.jsonl"));
  EXPECT_EQ(error_of({"--prompt", "x", "--output", path("no/out.jsonl")}),
            "cpx-generate: [--output] '" + path("no/out.jsonl") +
                "' cannot be written: there is no folder '" + path("no") + "'. Make it first.\n");
}

}  // namespace generate_tool_test
}  // namespace cpx::tests
