// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/model_folder.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx::formats {
namespace model_folder_test {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

class ModelFolderTest : public ScratchFolderTest {
 protected:
  std::string error() const {
    return message_of<DataError>([&] { ModelFolder folder(folder_); });
  }
  std::string named(const std::string& rest) const {
    return fmt::format("[model_folder] {}{}", folder_.string(), rest);
  }
  // Copies the fixture with two shards here.
  void copy_shards() const {
    for (const auto& entry : fs::directory_iterator(fixture("models/llama_sharded_bf16"))) {
      if (entry.is_regular_file()) fs::copy(entry.path(), folder_);
    }
  }
};

TEST_F(ModelFolderTest, SingleFileHoldsAllTensors) {
  const ModelFolder folder(fixture("models/llama_gqa"));
  EXPECT_EQ(folder.names().size(), 2u * 9 + 3);
  EXPECT_TRUE(folder.contains("lm_head.weight"));
  EXPECT_EQ(folder.tensor("model.embed_tokens.weight").sizes(), (at::IntArrayRef{288, 32}));
  EXPECT_EQ(folder.file_of("model.norm.weight").path().filename(), "model.safetensors");
}

TEST_F(ModelFolderTest, ShardsAreReadAsOneModel) {
  const ModelFolder folder(fixture("models/llama_sharded_bf16"));
  EXPECT_EQ(folder.names().size(), 2u * 9 + 3);
  std::set<std::string> files;
  for (const auto& name : folder.names()) {
    files.insert(folder.file_of(name).path().filename());
    EXPECT_EQ(folder.tensor(name).scalar_type(), torch::kBFloat16);
  }
  EXPECT_EQ(files.size(), 2u);
}

TEST_F(ModelFolderTest, UnknownNameGetsTheNearestOne) {
  const ModelFolder folder(fixture("models/llama_gqa"));
  EXPECT_THAT(message_of<DataError>([&] { folder.tensor("lm_head.wight"); }),
              HasSubstr("models/llama_gqa: has no tensor 'lm_head.wight'. The nearest name is "
                        "'lm_head.weight'."));
}

TEST_F(ModelFolderTest, MissingShardIsNamed) {
  copy_shards();
  fs::remove(folder_ / "model-00002-of-00002.safetensors");
  EXPECT_EQ(error(), named("/model.safetensors.index.json: names the shard "
                           "'model-00002-of-00002.safetensors', which is not there. Copy it "
                           "here."));
}

TEST_F(ModelFolderTest, TensorThatItsShardLacksIsNamed) {
  copy_shards();
  write("model.safetensors.index.json",
        R"({"weight_map":{"model.norm.bias":"model-00001-of-00002.safetensors"}})");
  EXPECT_EQ(error(), named("/model.safetensors.index.json: says that "
                           "'model-00001-of-00002.safetensors' holds 'model.norm.bias', but that "
                           "file does not."));
}

TEST_F(ModelFolderTest, IndexMustMapNamesToFilesOfTheFolder) {
  const std::string path = "/model.safetensors.index.json: ";
  write("model.safetensors.index.json", "{}");
  EXPECT_EQ(error(), named(path + "'weight_map' is missing."));
  write("model.safetensors.index.json", R"({"weight_map":[]})");
  EXPECT_EQ(error(), named(path + "'weight_map' is [], expected an object."));
  for (const auto& [bad, shown] : {std::pair(R"("../x.safetensors")", "'../x.safetensors'"),
                                   {R"("/etc/passwd")", "'/etc/passwd'"},
                                   {R"("..")", "'..'"},
                                   {R"("")", "''"},
                                   {"1", "1"}}) {
    write("model.safetensors.index.json", fmt::format(R"({{"weight_map":{{"w":{}}}}})", bad));
    EXPECT_EQ(error(), named(fmt::format("{}'weight_map.w' is {}, expected the name of a file in "
                                         "the same folder.",
                                         path, shown)));
  }
}

TEST_F(ModelFolderTest, FolderWithoutWeightsAndNoFolderAreNamed) {
  EXPECT_EQ(error(), named(": holds none of model.safetensors, model.safetensors.index.json, "
                           "pytorch_model.bin and pytorch_model.bin.index.json."));
  EXPECT_THAT(message_of<DataError>([&] { ModelFolder folder(folder_ / "none"); }),
              HasSubstr("/none: is no folder, expected one with model.safetensors or "
                        "model.safetensors.index.json."));
}

}  // namespace model_folder_test
}  // namespace cpx::formats
