// SPDX-License-Identifier: Apache-2.0
// Files of torch.save (scripts/fixtures/make_torch_files.py) and hostile ones built by hand.
#include "cpx/formats/torch_file.h"

#include <gmock/gmock.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/formats/model_folder.h"
#include "cpx/formats/peft.h"
#include "cpx/formats/safetensors.h"
#include "tests/formats/zip_builder.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace torch_file_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

void expect_equal(const TensorFile& actual, const TensorFile& expected) {
  for (const auto& name : expected.names()) {
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_EQ(actual.dtype(name), expected.dtype(name)) << name;
    EXPECT_EQ(actual.shape(name), expected.shape(name)) << name;
    const auto tensor = actual.tensor(name);
    EXPECT_TRUE(tensor.is_contiguous()) << name;
    EXPECT_TRUE(at::equal(tensor, expected.tensor(name))) << name;
  }
  EXPECT_EQ(actual.names().size(), expected.names().size());
}

// ---- What torch.save writes ---------------------------------------------------------------------

TEST(TorchFileFixture, AModelsTensorsEqualItsSafetensors) {
  expect_equal(*TorchFile::open(fixture("torch/llama_gqa/pytorch_model.bin")),
               *SafetensorsFile::open(fixture("models/llama_gqa/model.safetensors")));
}

TEST(TorchFileFixture, ViewsSharedStoragesAndEveryTypeAreRead) {
  const auto expected = SafetensorsFile::open(fixture("torch/odd.safetensors"));
  const auto file = TorchFile::open(fixture("torch/odd.bin"));
  expect_equal(*file, *expected);
  EXPECT_FALSE(file->contains("epoch"));
  EXPECT_FALSE(file->contains("more"));
  expect_equal(*TorchFile::open(fixture("torch/odd_protocol_4.bin")), *expected);
}

TEST(TorchFileFixture, ContiguousTensorsStayInTheMappedFile) {
  const auto file = TorchFile::open(fixture("torch/odd.bin"));
  const auto rows = file->tensor("rows");
  EXPECT_EQ(static_cast<const char*>(rows.const_data_ptr()) -
                static_cast<const char*>(file->tensor("whole").const_data_ptr()),
            2 * 5 * 4);
  EXPECT_FALSE(rows.storage().resizable());
  EXPECT_TRUE(file->tensor("transposed").storage().resizable());
}

TEST(TorchFileFixture, ShardsAreFoundByTheirIndex) {
  const ModelFolder shards(fixture("torch/llama_sharded_bf16"));
  const ModelFolder expected(fixture("models/llama_sharded_bf16"));
  EXPECT_EQ(shards.names(), expected.names());
  for (const auto& name : expected.names()) {
    EXPECT_TRUE(at::equal(shards.tensor(name), expected.tensor(name))) << name;
  }
  EXPECT_EQ(shards.file_of("model.norm.weight").path().extension(), ".bin");
}

std::string error_of(const char* name) {
  const auto path = fixture(std::string("torch/") + name);
  const std::string place = fmt::format("[torch_file] {}: ", path.string());
  const std::string message = message_of<DataError>([&] { TorchFile::open(path); });
  EXPECT_TRUE(message.starts_with(place)) << message;
  return message.substr(std::min(place.size(), message.size()));
}

TEST(TorchFileFixture, OtherContentIsRefusedByName) {
  EXPECT_EQ(error_of("device.bin"),
            "'data.pkl': has 'torch.device' at byte 183, which cpx does not read: it reads "
            "dictionaries of tensors alone and runs nothing. Save the tensors alone, or as "
            "safetensors.");
  EXPECT_EQ(error_of("complex.bin"),
            "'data.pkl': has 'torch.ComplexFloatStorage' at byte 91, which cpx does not read: it "
            "reads dictionaries of tensors alone and runs nothing. Save the tensors alone, or as "
            "safetensors.");
  EXPECT_EQ(error_of("checkpoint.bin"),
            "has no tensors at its top, expected those of a model by name (its keys: "
            "'state_dict', 'epoch'). Save the model's state_dict alone.");
  EXPECT_EQ(error_of("tensor.bin"),
            "holds a call of torch._utils._rebuild_tensor_v2, expected a dictionary of tensors by "
            "name.");
  EXPECT_EQ(error_of("expanded.bin"),
            "'w' is [3, 4] with strides [0, 1] from number 0 on, but its storage has 4 numbers.");
}

TEST(TorchFileFixture, AMissingTensorIsNamedWithTheNearest) {
  const auto file = TorchFile::open(fixture("torch/odd.bin"));
  EXPECT_EQ(message_of<DataError>([&] { file->tensor("hole"); }),
            fmt::format("[torch_file] {}: has no tensor 'hole'. The nearest name is 'whole'.",
                        file->path().string()));
}

// ---- Which file of a folder is read -------------------------------------------------------------

class TorchFolder : public ScratchFolderTest {
 protected:
  void copy(const std::string& from, const std::string& to) const {
    fs::copy_file(fixture(from), folder_ / to);
  }
  std::string read_file() const {
    return ModelFolder(folder_).file_of("model.norm.weight").path().filename();
  }
};

TEST_F(TorchFolder, SafetensorsComeFirstAndShardsLast) {
  copy("torch/llama_sharded_bf16/pytorch_model.bin.index.json", "pytorch_model.bin.index.json");
  for (const char* shard :
       {"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"}) {
    copy(std::string("torch/llama_sharded_bf16/") + shard, shard);
  }
  EXPECT_EQ(read_file(), "pytorch_model-00002-of-00002.bin");
  copy("torch/llama_gqa/pytorch_model.bin", "pytorch_model.bin");
  EXPECT_EQ(read_file(), "pytorch_model.bin");
  copy("models/llama_gqa/model.safetensors", "model.safetensors");
  EXPECT_EQ(read_file(), "model.safetensors");
}

TEST_F(TorchFolder, AnAdaptersSafetensorsComeFirst) {
  copy("models/llama_gqa/adapter/adapter_config.json", "adapter_config.json");
  copy("torch/llama_gqa/adapter_model.bin", "adapter_model.bin");
  const auto expected = read_peft(fixture("models/llama_gqa/adapter"));
  const auto adapter = read_peft(folder_);
  EXPECT_EQ(adapter.file.filename(), "adapter_model.bin");
  ASSERT_EQ(adapter.factors.size(), expected.factors.size());
  for (const auto& factor : expected.factors) {
    const auto same = std::ranges::find(adapter.factors, factor.name, &NamedTensor::name);
    ASSERT_NE(same, adapter.factors.end()) << factor.name;
    EXPECT_TRUE(at::equal(same->value, factor.value)) << factor.name;
  }
  copy("models/llama_gqa/adapter/adapter_model.safetensors", "adapter_model.safetensors");
  EXPECT_EQ(read_peft(folder_).file.filename(), "adapter_model.safetensors");
}

// ---- Hostile files ------------------------------------------------------------------------------

std::string text(const std::string& value) {
  return "X" + raw(static_cast<uint32_t>(value.size())) + value;
}
std::string name(const std::string& module, const std::string& what) {
  return "c" + module + "\n" + what + "\n";
}
std::string integer(int32_t value) { return "J" + raw(value); }
std::string tuple(const std::string& items) { return "(" + items + "t"; }

// A tensor as torch.save spells it.
struct PickledTensor {
  std::string storage = "FloatStorage";
  std::string key = "0";
  std::string count = integer(4);
  std::string offset = integer(0);
  std::string sizes = tuple(integer(4));
  std::string strides = tuple(integer(1));

  std::string text_of() const {
    const auto reference =
        tuple(text("storage") + name("torch", storage) + text(key) + text("cpu") + count) + "Q";
    return name("torch._utils", "_rebuild_tensor_v2") +
           tuple(reference + offset + sizes + strides + "\x89" +
                 name("collections", "OrderedDict") + ")R") +
           "R";
  }
};

std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }
std::string dictionary(const std::string& body) { return pickle("}" + body); }
std::string with_tensor(const PickledTensor& tensor) {
  return dictionary(text("w") + tensor.text_of() + "s");
}

ZipBuilder archive(const std::string& content) {
  return {.entries = {{"x/data.pkl", content},
                      {"x/data/0", raw(1.0f) + raw(2.0f) + raw(3.0f) + raw(4.0f)}}};
}

class HandmadeTorchFile : public ScratchFolderTest {
 protected:
  std::shared_ptr<const TorchFile> open(const std::string& content) const {
    return TorchFile::open(write("x.bin", content));
  }
  std::string error(const std::string& content) const {
    const auto path = write("x.bin", content);
    const std::string place = fmt::format("[torch_file] {}: ", path.string());
    const std::string message = message_of<DataError>([&] { TorchFile::open(path); });
    EXPECT_TRUE(message.starts_with(place)) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message.substr(std::min(place.size(), message.size()));
  }
  std::string error_of_pickle(const std::string& content) const {
    return error(archive(content).build());
  }
};

TEST_F(HandmadeTorchFile, ArchivesOf32And64BitsAndWithACommentAreRead) {
  for (const bool has_64_bits : {false, true}) {
    auto builder = archive(with_tensor({}));
    builder.has_64_bits = has_64_bits;
    builder.comment = "PK\x05\x06 is no end record";
    builder.entries.push_back({"x/byteorder", "little"});
    const auto file = open(builder.build());
    EXPECT_THAT(file->names(), ElementsAre("w"));
    EXPECT_TRUE(at::equal(file->tensor("w"), at::arange(1, 5, at::kFloat)));
  }
}

TEST_F(HandmadeTorchFile, NumbersAtOddPlacesAreCopied) {
  for (int pad = 0; pad < 4; ++pad) {
    auto builder = archive(with_tensor(
        {.sizes = tuple(integer(2) + integer(2)), .strides = tuple(integer(1) + integer(2))}));
    builder.entries[0].name = std::string(static_cast<size_t>(pad + 1), 'x') + "/data.pkl";
    builder.entries[1].name = std::string(static_cast<size_t>(pad + 1), 'x') + "/data/0";
    const auto tensor = open(builder.build())->tensor("w");
    EXPECT_TRUE(at::equal(tensor, at::tensor({1.0f, 3.0f, 2.0f, 4.0f}).view({2, 2}))) << pad;
  }
}

TEST_F(HandmadeTorchFile, TheLastOfTwoTensorsOfANameCounts) {
  PickledTensor second{.count = integer(4), .offset = integer(2), .sizes = tuple(integer(2))};
  const auto file = open(archive(dictionary(text("w") + PickledTensor().text_of() + "s" +
                                            text("w") + second.text_of() + "s"))
                             .build());
  EXPECT_TRUE(at::equal(file->tensor("w"), at::tensor({3.0f, 4.0f})));
}

TEST_F(HandmadeTorchFile, OtherFormatsAreNamed) {
  EXPECT_EQ(error(""), "begins with '', expected a zip archive of torch.save.");
  EXPECT_EQ(error("x"), "begins with 'x', expected a zip archive of torch.save.");
  EXPECT_EQ(error("GGUF...."), "begins with 'GGUF', expected a zip archive of torch.save.");
  EXPECT_EQ(error("version https://git-lfs.github.com/spec/v1\n"),
            "is a Git LFS pointer, expected the weights themselves. Run 'git lfs pull' in its "
            "folder.");
  const auto path = (folder_ / "x.bin").string();
  EXPECT_EQ(error("\x80\x02\x8a\nl\xfc\x9c"
                  "F\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."),
            "is in the format of PyTorch before 1.6, expected a zip archive. Convert it once: "
            "python -c \"import torch; torch.save(torch.load('" +
                path + "', map_location='cpu', weights_only=True), '" + path + "')\"");
}

TEST_F(HandmadeTorchFile, BrokenArchivesAreNamed) {
  const std::string whole = archive(with_tensor({})).build();
  EXPECT_EQ(error("PK\x03\x04"),
            "has no directory at its end, as zip archives have it. It is cut short.");
  EXPECT_EQ(error(whole.substr(0, whole.size() - 1)),
            "has no directory at its end, as zip archives have it. It is cut short.");
  EXPECT_EQ(error(ZipBuilder{.entries = {{"x/data.txt", ""}}}.build()),
            "has no entry 'data.pkl', expected an archive of torch.save.");
  auto builder = archive(with_tensor({}));
  builder.entries[1].name = "x/data/1";
  EXPECT_EQ(error(builder.build()), "has no entry 'x/data/0'. It is damaged.");
  builder.entries[1].name = "x/data.pkl";
  EXPECT_EQ(error(builder.build()), "the entry 'x/data.pkl' is there twice, expected once.");
  builder = archive(with_tensor({}));
  builder.entries.push_back({"x/byteorder", "big"});
  EXPECT_EQ(error(builder.build()), "has the byte order 'big', expected 'little'.");
  builder = archive(with_tensor({}));
  builder.entries[1].method = 8;
  const std::string compressed =
      " is compressed or encrypted (method {}), expected one that is stored as it is, as "
      "torch.save "
      "writes it.";
  EXPECT_EQ(error(builder.build()),
            "the entry 'x/data/0'" + fmt::format(fmt::runtime(compressed), 8));
  builder.entries[1].method = 0;
  builder.entries[0].flags = 1;
  EXPECT_EQ(error(builder.build()),
            "the entry 'x/data.pkl'" + fmt::format(fmt::runtime(compressed), 0));
}

TEST_F(HandmadeTorchFile, PlacesAndSizesOutsideTheFileAreNamed) {
  for (const bool has_64_bits : {false, true}) {
    auto builder = archive(with_tensor({}));
    builder.has_64_bits = has_64_bits;
    builder.more_entries = 60000;
    EXPECT_THAT(error(builder.build()), HasSubstr("has 60002 entries by its end record, whose "
                                                  "directory has only"));
    builder.more_entries = 0;
    builder.moved_by = 1;
    EXPECT_EQ(error(builder.build()),
              "has no entry at byte 1, expected 'x/data.pkl'. It is damaged.");
    builder.moved_by = 100000;
    EXPECT_THAT(error(builder.build()),
                HasSubstr("an entry's header takes 30 bytes from byte 100000, but the file has"));
    builder.moved_by = 0;
    builder.longer_by = 100000;
    EXPECT_THAT(error(builder.build()), HasSubstr("It is cut short or damaged."));
  }
  auto huge = archive(with_tensor({}));
  huge.has_64_bits = true;
  huge.longer_by = ~uint64_t{0} - 100000;
  EXPECT_THAT(error(huge.build()), HasSubstr("an entry takes 18446744073709"));
  huge.longer_by = 0;
  huge.moved_by = ~uint64_t{0} - 10;
  EXPECT_THAT(error(huge.build()), HasSubstr("an entry's header takes 30 bytes from byte "));
}

TEST_F(HandmadeTorchFile, InstructionsAndNamesThatAreNotReadAreNamed) {
  const std::string reason =
      ", which cpx does not read: it reads dictionaries of tensors alone and runs nothing. Save "
      "the "
      "tensors alone, or as safetensors.";
  EXPECT_EQ(error_of_pickle(pickle(name("posix", "system") + text("true") + "\x85R")),
            "'data.pkl': has 'posix.system' at byte 16" + reason);
  EXPECT_EQ(error_of_pickle(pickle(text("builtins") + text("eval") + "\x93")),
            "'data.pkl': has 'builtins.eval' at byte 25" + reason);
  EXPECT_EQ(error_of_pickle(pickle("ios\nsystem\n")),
            "'data.pkl': has the instruction INST at byte 2" + reason);
  EXPECT_EQ(error_of_pickle(pickle(")\x81")),
            "'data.pkl': has the instruction NEWOBJ at byte 3" + reason);
  EXPECT_EQ(error_of_pickle(pickle("2")), "'data.pkl': has the instruction DUP at byte 2" + reason);
  EXPECT_EQ(error_of_pickle(pickle("\xff")),
            "'data.pkl': has the instruction 0xff at byte 2" + reason);
  EXPECT_EQ(error_of_pickle("\x80\x09."),
            "'data.pkl': is a pickle of protocol 9, expected 2 to 5.");
  EXPECT_EQ(error_of_pickle("\x80\x01."),
            "'data.pkl': is a pickle of protocol 1, expected 2 to 5.");
}

using BadPickle = testing_support::BadInput<std::string>;

class DamagedPickle : public HandmadeTorchFile, public testing::WithParamInterface<BadPickle> {};

TEST_P(DamagedPickle, IsNamedWithItsPlace) {
  EXPECT_EQ(error_of_pickle(pickle(GetParam().input)), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedPickle,
    testing::Values(
        BadPickle{"EmptyStack", "",
                  "'data.pkl': takes a value from an empty stack at byte 3. It is damaged."},
        BadPickle{"GroupThatNeverBegan", "t",
                  "'data.pkl': ends a group that never began at byte 3. It is damaged."},
        BadPickle{"CallWithoutArguments", "N(R",
                  "'data.pkl': takes a value from an empty stack at byte 5. It is damaged."},
        BadPickle{"ValueThatWasNeverKept", "h\x05",
                  "'data.pkl': takes a value that was never kept at byte 4. It is damaged."},
        BadPickle{"ValueIntoNone", "]NNs",
                  "'data.pkl': puts values into what takes none at byte 6. It is damaged."},
        BadPickle{"PairsIntoNone", "}(Nu",
                  "'data.pkl': puts values into what takes none at byte 6. It is damaged."},
        BadPickle{"CallOfNone", "N)R",
                  "'data.pkl': calls what is no function at byte 5. It is damaged."},
        BadPickle{"ReferenceToNone", "NQ",
                  "'data.pkl': refers to what is no tuple at byte 4. It is damaged."},
        BadPickle{"AttributesOfNone", "NNb",
                  "'data.pkl': gives attributes to no dictionary at byte 5. It is damaged."},
        BadPickle{"IntegerOf72Bits", "\x8a\x09" + std::string(9, 'x'),
                  "'data.pkl': has an integer of more than 64 bits at byte 4. It is damaged."}),
    testing_support::by_value);

TEST_F(HandmadeTorchFile, ATextLongerThanThePickleIsNamed) {
  EXPECT_THAT(error_of_pickle(pickle("X\xff\xff\xff\xff")),
              HasSubstr("'data.pkl': a text takes 4294967295 bytes "));
}

TEST_F(HandmadeTorchFile, AnInstructionThatIsCutIsNamed) {
  EXPECT_THAT(error_of_pickle("\x80\x02}"),
              HasSubstr("'data.pkl': an instruction takes 1 bytes at byte 3, but the file ends"));
  EXPECT_THAT(error_of_pickle(pickle("c" + std::string(5000, 'x'))),
              HasSubstr("'data.pkl': a name takes 1 bytes"));
}

TEST_F(HandmadeTorchFile, CyclesAndDepthAreHarmless) {
  // A list that holds itself, beside a tensor.
  const std::string cycle = text("more") + "]q\x01h\x01" + "as";
  EXPECT_THAT(open(archive(dictionary(cycle + text("w") + PickledTensor().text_of() + "s")).build())
                  ->names(),
              ElementsAre("w"));
  // The dictionary in itself.
  const std::string own = pickle("}q\x01" + text("w") + "h\x01s");
  EXPECT_EQ(
      error_of_pickle(own),
      "has no tensors at its top, expected those of a model by name (its keys: 'w'). Save the "
      "model's state_dict alone.");
  // A million tuples in tuples.
  std::string deep = ")";
  for (int i = 0; i < 1000000; ++i) deep += '\x85';
  EXPECT_EQ(error_of_pickle(pickle(deep)),
            "holds a tuple, expected a dictionary of tensors by name.");
  EXPECT_EQ(error_of_pickle(pickle(std::string(5000000, ')'))),
            "'data.pkl': has more than 4194304 values.");
  EXPECT_EQ(error_of_pickle("\x80\x02" + std::string(17000000, '(')),
            "'data.pkl': has more than 16777216 instructions.");
}

const std::string kHuge = "\x8a\x08" + raw(int64_t{1} << 62);

using BadTensor = testing_support::BadInput<PickledTensor>;

class DamagedTensor : public HandmadeTorchFile, public testing::WithParamInterface<BadTensor> {};

TEST_P(DamagedTensor, IsNamedWithTheReason) {
  EXPECT_EQ(error_of_pickle(with_tensor(GetParam().input)), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    OutsideTheStorage, DamagedTensor,
    testing::Values(
        BadTensor{"MoreNumbers",
                  {.sizes = tuple(integer(5))},
                  "'w' is [5] with strides [1] from number 0 on, but its storage has 4 numbers."},
        BadTensor{"LaterBegin",
                  {.offset = integer(1)},
                  "'w' is [4] with strides [1] from number 1 on, but its storage has 4 numbers."},
        BadTensor{"LargeStride",
                  {.sizes = tuple(integer(2)), .strides = tuple(integer(4))},
                  "'w' is [2] with strides [4] from number 0 on, but its storage has 4 numbers."},
        BadTensor{"NegativeOffset",
                  {.offset = integer(-1)},
                  "'w' is [4] with strides [1] from number -1 on, but its storage has 4 numbers."},
        BadTensor{"SizesBeyond64Bits",
                  {.sizes = tuple(kHuge + kHuge), .strides = tuple(integer(0) + integer(0))},
                  "'w' is [4611686018427387904, 4611686018427387904] with strides [0, 0] from "
                  "number 0 on, "
                  "but its storage has 4 numbers."},
        BadTensor{
            "StrideBeyond64Bits",
            {.sizes = tuple(integer(2)), .strides = tuple(kHuge)},
            "'w' is [2] with strides [4611686018427387904] from number 0 on, but its storage has 4 "
            "numbers."},
        BadTensor{"MoreNumbersThanTheEntry",
                  {.count = integer(5)},
                  "the storage 'x/data/0' has 16 bytes, expected 5 numbers of 4 bytes."},
        BadTensor{"CountBeyond64Bits",
                  {.count = kHuge},
                  "the storage 'x/data/0' has 16 bytes, expected "
                  "4611686018427387904 numbers of 4 bytes."},
        BadTensor{"WiderNumbers",
                  {.storage = "DoubleStorage"},
                  "the storage 'x/data/0' has 16 bytes, expected 4 numbers of 8 bytes."},
        BadTensor{"KeyOfAnotherFolder",
                  {.key = "../../etc"},
                  "has no entry 'x/data/../../etc'. It is damaged."}),
    testing_support::by_value);

std::string seventeen_sizes() {
  std::string many;
  for (int i = 0; i < 17; ++i) many += integer(1);
  return many;
}

INSTANTIATE_TEST_SUITE_P(
    WithoutSense, DamagedTensor,
    testing::Values(
        BadTensor{"NegativeSize",
                  {.sizes = tuple(integer(-4))},
                  "'w' has a size or a stride that is no number from 0. It is damaged."},
        BadTensor{"SizesThatAreNoTuple",
                  {.sizes = integer(4)},
                  "'w' has no shape and strides of at most 16 numbers. It is damaged."},
        BadTensor{"MoreThan16Sizes",
                  {.sizes = tuple(seventeen_sizes())},
                  "'w' has no shape and strides of at most 16 numbers. It is damaged."},
        BadTensor{"NoStrides",
                  {.strides = tuple("")},
                  "'w' has another number of sizes than of strides. It is damaged."},
        BadTensor{
            "CountThatIsAText", {.count = text("4")}, "'w' refers to no storage. It is damaged."},
        BadTensor{"OffsetThatIsAText",
                  {.offset = text("0")},
                  "'w' has no storage, offset, shape and strides. It is damaged."}),
    testing_support::by_value);

TEST_F(HandmadeTorchFile, ATensorMadeOfNothingIsNamed) {
  EXPECT_EQ(error_of_pickle(dictionary(text("w") + name("torch._utils", "_rebuild_tensor_v2") +
                                       tuple("") + "Rs")),
            "'w' has no storage, offset, shape and strides. It is damaged.");
}

TEST_F(HandmadeTorchFile, ADictionaryWithoutTensorsIsNamed) {
  EXPECT_EQ(error_of_pickle(pickle("}")),
            "has no tensors at its top, expected those of a model by name. Save the model's "
            "state_dict alone.");
}

}  // namespace torch_file_test
}  // namespace cpx::formats
