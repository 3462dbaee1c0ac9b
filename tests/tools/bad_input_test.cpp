// SPDX-License-Identifier: Apache-2.0
// Files that are not what they should be: the tool says one line and ends with 1. The formats' own
// tests go through all faults of each; here is what reaches the user.
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cpx::tests {
namespace bad_input_test {

class BadInput : public TinyRun {
 protected:
  BadInput() { std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model")); }

  // Replaces the first `before` in a file by `after` of the same or another length.
  void change(const std::string& name, const std::string& before, const std::string& after) const {
    std::string text = read(name);
    const size_t at = text.find(before);
    ASSERT_NE(at, std::string::npos) << name << " has no " << before;
    write(name, text.replace(at, before.size(), after));
  }

  // Trains on the folder's model and expects this line alone.
  void expect_line(const std::string& model_path, const std::string& line) const {
    const ToolResult result = train({"model.path=" + model_path});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err, "cpx-train: " + line + "\n");
    EXPECT_FALSE(exists("run/metrics.jsonl"));
  }

  // The same of a fault of the shard's only record.
  void expect_fault_of_record(const std::string& fault) const {
    expect_line(path("model"), "[" + path("shard.json") + ": record 1 (id '1')] " + fault);
  }

  void write_record(const std::string& neutral) const {
    write("shard.json", R"([{"input": "x", "group": "g", "id": "1", "paraphrases": )" + neutral +
                            R"(, "paraphrases_toxic": ["a b", "c d"]}])");
  }
};

TEST_F(BadInput, ATruncatedModel) {
  std::filesystem::resize_file(path("model/model.safetensors"), 5000);
  expect_line(path("model"),
              "[safetensors] " + path("model/model.safetensors") +
                  ": 'lm_head.weight' ends 36864 bytes after the header, but only 2872 bytes are "
                  "there. The file is cut short; copy or download it again.");
}

TEST_F(BadInput, AHeaderOf100GB) {
  std::string bytes = read("model/model.safetensors");
  bytes.replace(0, 8, std::string("\0\0\0\0\x19\0\0\0", 8));  // little endian: 0x19 * 2^32
  write("model/model.safetensors", bytes);
  expect_line(path("model"),
              "[safetensors] " + path("model/model.safetensors") +
                  ": its header has 107374182400 bytes by the first number, expected at most "
                  "137928 (the file has 137936 bytes). It is cut short or no safetensors file.");
}

TEST_F(BadInput, ATensorWithAnotherName) {
  change("model/model.safetensors", "model.layers.1.mlp.up_proj.weight",
         "model.layers.1.mlp.up_prok.weight");
  expect_line(path("model"),
              "[load_model] " + path("model") +
                  ": 1 tensor is missing: 'model.layers.1.mlp.up_proj.weight'. The file has "
                  "'model.layers.1.mlp.up_prok.weight', which the model has no place for.");
}

TEST_F(BadInput, ATensorOfAnotherShape) {
  change("model/config.json", "\"intermediate_size\": 48", "\"intermediate_size\": 40");
  expect_line(path("model"),
              "[load_model] " + path("model/model.safetensors") +
                  ": 'model.layers.0.mlp.gate_proj.weight' is [48, 32], expected [40, 32] "
                  "(config.json: intermediate_size 40).");
}

TEST_F(BadInput, AnUnknownArchitecture) {
  change("model/config.json", "\"model_type\": \"llama\"", "\"model_type\": \"gpt2\"");
  expect_line(path("model"), "[model_config] " + path("model/config.json") +
                                 ": 'model_type' is 'gpt2', expected llama (LlamaForCausalLM) "
                                 "or mistral (MistralForCausalLM).");
}

TEST_F(BadInput, AFolderWithoutATokenizer) {
  std::filesystem::remove(path("model/tokenizer.json"));
  expect_line(path("model"), "[load_tokenizer] " + path("model") +
                                 ": no tokenizer found, expected tokenizer.json or "
                                 "tokenizer.model in this folder.");
}

TEST_F(BadInput, ATokenizerWithoutItsModel) {
  change("model/tokenizer.json", "\"model\"", "\"modle\"");
  expect_line(path("model"),
              "[tokenizer] " + path("model/tokenizer.json") + ": 'model' is missing.");
}

TEST_F(BadInput, AGgufThatIsNone) {
  write("model.gguf", "GGUX and nothing else, but long enough for a header of its own");
  expect_line(path("model.gguf"), "[gguf] " + path("model.gguf") +
                                      ": begins with 'GGUX', expected 'GGUF'. It is no GGUF file.");
}

TEST_F(BadInput, AGgufOfAnotherVersion) {
  write("model.gguf", std::string("GGUF\x09\0\0\0", 8) + std::string(64, '\0'));
  expect_line(path("model.gguf"),
              "[gguf] " + path("model.gguf") + ": is of version 9, expected 2 or 3.");
}

TEST_F(BadInput, AShardWithAWrongType) {
  write_record("\"no list\"");
  expect_fault_of_record(
      "'paraphrases' is 'no list', expected a list of texts or an object {text: score}.");
}

TEST_F(BadInput, AShardWithAnEmptyText) {
  write_record(R"(["a b", ""])");
  expect_fault_of_record("'paraphrases[1]' is '', expected a text that is not blank.");
}

TEST_F(BadInput, AShardWithoutAKey) {
  write("shard.json", R"([{"input": "x", "group": "g", "id": "1", "paraphrases": ["a b"]}])");
  expect_fault_of_record(
      "'paraphrases_toxic' is missing (keys: input, group, id, paraphrases), expected a list of "
      "texts or an object {text: score}. The other side is here; cpx-paraphrase --polarity toxic "
      "adds this one.");
}

TEST_F(BadInput, AShardThatIsNotUtf8) {
  write_record("[\"caf\xE9\", \"c d\"]");
  expect_line(path("model"), "[" + path("shard.json") +
                                 ": line 1] not UTF-8: got the byte 0xE9 at offset 61, expected "
                                 "UTF-8. Convert the file, for example with iconv.");
}

TEST_F(BadInput, AnEmptyShard) {
  write("shard.json", "[]");
  expect_line(path("model"), "[" + path("shard.json") + "] got an empty list, expected records.");
}

TEST_F(BadInput, AnEmptyTextFileInTheEvaluation) {
  write("rude.txt", "");
  const ToolResult result = eval_ppl({"--model", model(), "--toxic", path("rude.txt")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "cpx-eval-ppl: [" + path("rude.txt") +
                            "] got no line with text, expected a text a line.\n");
}

TEST_F(BadInput, ADeviceThatIsNone) {
  const ToolResult result =
      run_tool("cpx-train", {"--config", path("config.yaml"), "--device", "tpu"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err,
            "cpx-train: [device] unknown device: got 'tpu', expected auto, cpu, cuda or cuda:i.\n");
}

TEST_F(BadInput, ALogLevelThatIsNone) {
  const ToolResult result = train({"--log-level", "loud"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(
      result.err,
      "cpx-train: [log level] unknown level: got 'loud', expected debug, info, warning, error "
      "or off.\n");
}

}  // namespace bad_input_test
}  // namespace cpx::tests
