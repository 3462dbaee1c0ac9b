// SPDX-License-Identifier: Apache-2.0
// Files that are not what they should be: the tool says one line and ends with 1. The formats' own
// tests go through all faults of each; here is what reaches the user.
#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <string>

#include <gtest/gtest.h>

#include "tiny_run.h"

namespace cpx::tests {
namespace bad_input_test {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class BadInput : public TinyRun {
 protected:
  BadInput() { std::filesystem::copy(CPX_SOURCE_DIR "/" + model(), path("model")); }

  /// Replaces the first `before` in a file by `after` of the same or another length.
  void change(const std::string& name, const std::string& before, const std::string& after) const {
    std::string text = read(name);
    const size_t at = text.find(before);
    ASSERT_NE(at, std::string::npos) << name << " has no " << before;
    write(name, text.replace(at, before.size(), after));
  }

  /// Trains on the folder's model and expects one line that has `parts`.
  template <class... Parts>
  void expect_line(const std::string& model_path, const Parts&... parts) const {
    const ToolResult result = train({"model.path=" + model_path});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, AllOf(StartsWith("cpx-train: ["), HasSubstr(parts)...));
    EXPECT_EQ(num_lines(result.err), 1) << result.err;
    EXPECT_FALSE(exists("run/metrics.jsonl"));
  }

  void write_record(const std::string& neutral) const {
    write("shard.json", R"([{"input": "x", "group": "g", "id": "1", "paraphrases": )" + neutral +
                            R"(, "paraphrases_toxic": ["a b", "c d"]}])");
  }
};

TEST_F(BadInput, ATruncatedModel) {
  std::filesystem::resize_file(path("model/model.safetensors"), 5000);
  expect_line(path("model"), "model.safetensors");
}

TEST_F(BadInput, AHeaderOf100GB) {
  std::string bytes = read("model/model.safetensors");
  bytes.replace(0, 8, std::string("\0\0\0\0\x19\0\0\0", 8));  // little endian: 0x19 * 2^32
  write("model/model.safetensors", bytes);
  expect_line(path("model"), "model.safetensors", "107374182400");
}

TEST_F(BadInput, ATensorWithAnotherName) {
  change("model/model.safetensors", "model.layers.1.mlp.up_proj.weight",
         "model.layers.1.mlp.up_prok.weight");
  expect_line(path("model"), "1 tensor is missing: 'model.layers.1.mlp.up_proj.weight'",
              "The file has 'model.layers.1.mlp.up_prok.weight'");
}

TEST_F(BadInput, ATensorOfAnotherShape) {
  change("model/config.json", "\"intermediate_size\": 48", "\"intermediate_size\": 40");
  expect_line(path("model"), "gate_proj.weight' is [48, 32], expected [40, 32]",
              "intermediate_size");
}

TEST_F(BadInput, AnUnknownArchitecture) {
  change("model/config.json", "\"model_type\": \"llama\"", "\"model_type\": \"gpt2\"");
  expect_line(path("model"), "config.json", "gpt2");
}

TEST_F(BadInput, AFolderWithoutATokenizer) {
  std::filesystem::remove(path("model/tokenizer.json"));
  expect_line(path("model"), path("model"), "tokenizer.json");
}

TEST_F(BadInput, ATokenizerWithoutItsModel) {
  change("model/tokenizer.json", "\"model\"", "\"modle\"");
  expect_line(path("model"), "tokenizer.json", "model");
}

TEST_F(BadInput, AGgufThatIsNone) {
  write("model.gguf", "GGUX and nothing else, but long enough for a header of its own");
  expect_line(path("model.gguf"), "model.gguf: begins with 'GGUX', expected 'GGUF'.");
}

TEST_F(BadInput, AGgufOfAnotherVersion) {
  write("model.gguf", std::string("GGUF\x09\0\0\0", 8) + std::string(64, '\0'));
  expect_line(path("model.gguf"), "model.gguf", "version");
}

TEST_F(BadInput, AShardWithAWrongType) {
  write_record("\"no list\"");
  expect_line(path("model"), "shard.json", "record 1 (id '1')",
              "'paraphrases' is 'no list', expected a list of texts");
}

TEST_F(BadInput, AShardWithAnEmptyText) {
  write_record(R"(["a b", ""])");
  expect_line(path("model"), "shard.json",
              "'paraphrases[1]' is '', expected a text that is not blank.");
}

TEST_F(BadInput, AShardWithoutAKey) {
  write("shard.json", R"([{"input": "x", "group": "g", "id": "1", "paraphrases": ["a b"]}])");
  expect_line(path("model"), "shard.json", "paraphrases_toxic");
}

TEST_F(BadInput, AShardThatIsNotUtf8) {
  write_record("[\"caf\xE9\", \"c d\"]");
  expect_line(path("model"), "shard.json", "UTF-8");
}

TEST_F(BadInput, AnEmptyShard) {
  write("shard.json", "[]");
  expect_line(path("model"), "shard.json] got an empty list, expected records.");
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
  EXPECT_THAT(result.err, AllOf(HasSubstr("'tpu'"), HasSubstr("auto, cpu")));
  EXPECT_EQ(num_lines(result.err), 1);
}

TEST_F(BadInput, ALogLevelThatIsNone) {
  const ToolResult result = train({"--log-level", "loud"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("'loud'"));
  EXPECT_EQ(num_lines(result.err), 1);
}

}  // namespace bad_input_test
}  // namespace cpx::tests
