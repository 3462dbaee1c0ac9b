// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/safetensors.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "tests/formats/raw.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace safetensors_test {

using testing::ElementsAre;
using testing::HasSubstr;
using Safetensors = testing_support::ScratchFolderTest;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

// A file of this header and so many bytes of data.
std::string file_of(const std::string& header, size_t num_data_bytes) {
  return raw(uint64_t{header.size()}) + header + std::string(num_data_bytes, '\1');
}

bool equal_bits(const torch::Tensor& a, const torch::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.numel() == 0 ||
          std::memcmp(a.contiguous().data_ptr(), b.contiguous().data_ptr(), a.nbytes()) == 0);
}

TEST_F(Safetensors, TensorsLieInTheMappedFileAndOutliveIt) {
  const std::string header =
      R"({"b":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},)"
      R"("a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"__metadata__":{"format":"pt"},)"
      R"("none":{"dtype":"F16","shape":[0,3],"data_offsets":[24,24]}})";
  const std::string padded = header + std::string(8 - header.size() % 8, ' ');
  const float numbers[] = {1.0f, -2.0f, 0.5f, 4.0f};
  const auto path = write("x.safetensors",
                          raw(uint64_t{padded.size()}) + padded + raw(int64_t{-7}) + raw(numbers));
  torch::Tensor a;
  torch::Tensor b;
  {
    const auto file = SafetensorsFile::open(path);
    EXPECT_THAT(file->names(), ElementsAre("a", "b", "none"));
    EXPECT_THAT(file->shape("b"), ElementsAre(2, 2));
    EXPECT_EQ(file->dtype("none"), torch::kFloat16);
    EXPECT_EQ(file->metadata().at("format"), "pt");
    a = file->tensor("a");
    b = file->tensor("b");
    EXPECT_EQ(file->tensor("none").sizes(), (at::IntArrayRef{0, 3}));
    EXPECT_EQ(file->tensor("b").data_ptr(), b.data_ptr());
  }
  EXPECT_EQ(a.item<int64_t>(), -7);
  EXPECT_TRUE(torch::equal(b, torch::tensor({{1.0f, -2.0f}, {0.5f, 4.0f}})));
}

TEST_F(Safetensors, MisalignedDataIsCopied) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const auto file = SafetensorsFile::open(
      write("x.safetensors", raw(uint64_t{header.size()}) + header + "\x05" + raw(1.5f)));
  EXPECT_EQ(file->tensor("a").item<int64_t>(), 5);
  EXPECT_EQ(file->tensor("b").item<float>(), 1.5f);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->tensor("b").data_ptr()) % 4, 0u);
}

TEST_F(Safetensors, AnyByteButZeroIsTrue) {
  const std::string header = R"({"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  const auto file = SafetensorsFile::open(write(
      "x.safetensors", raw(uint64_t{header.size()}) + header + std::string("\x00\x01\x07", 3)));
  EXPECT_TRUE(torch::equal(file->tensor("a"), torch::tensor({false, true, true})));
}

TEST_F(Safetensors, EveryTypeIsReadAsItWasWritten) {
  std::vector<NamedTensor> tensors;
  for (const auto dtype :
       {torch::kFloat64, torch::kFloat32, torch::kFloat16, torch::kBFloat16, torch::kInt64,
        torch::kInt32, torch::kInt16, torch::kInt8, torch::kUInt8, torch::kBool}) {
    tensors.push_back({c10::toString(dtype), torch::arange(6).to(dtype).view({2, 3})});
  }
  tensors.push_back({"transposed", torch::arange(6.0).view({2, 3}).t()});
  tensors.push_back({"scalar", torch::tensor(3.25)});
  tensors.push_back({"empty", torch::empty({4, 0})});
  write_safetensors(folder_ / "x.safetensors", tensors, {{"format", "pt"}, {"step", "5"}});

  const auto file = SafetensorsFile::open(folder_ / "x.safetensors");
  EXPECT_EQ(file->names().size(), tensors.size());
  EXPECT_EQ(file->metadata().at("step"), "5");
  for (const auto& tensor : tensors) {
    EXPECT_TRUE(equal_bits(file->tensor(tensor.name), tensor.value)) << tensor.name;
  }
}

TEST_F(Safetensors, HeaderIsPaddedAndHoldsTheTensorsInTheGivenOrder) {
  const std::vector<NamedTensor> tensors = {{"z", torch::ones(1)}, {"a", torch::ones(2)}};
  write_safetensors(folder_ / "x.safetensors", tensors, {{"format", "pt"}});
  const std::string bytes = read_text_file(folder_ / "x.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(bytes.size(), 8 + length + 12);
  const std::string expected =
      R"({"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  EXPECT_EQ(bytes.substr(8, expected.size()), expected);
  EXPECT_THAT(SafetensorsFile::open(folder_ / "x.safetensors")->names(), ElementsAre("z", "a"));
}

TEST_F(Safetensors, FilesOfTheReferenceLibraryAreReadAndWrittenBackEqual) {
  for (const char* name :
       {"models/llama_gqa/model.safetensors", "models/llama_f16/model.safetensors",
        "models/llama_sharded_bf16/model-00001-of-00002.safetensors",
        "models/llama_gqa/expected/adapter.safetensors"}) {
    const auto file = SafetensorsFile::open(fixture(name));
    ASSERT_GT(file->names().size(), 3u);
    std::vector<NamedTensor> tensors;
    for (const auto& tensor : file->names()) tensors.push_back({tensor, file->tensor(tensor)});
    write_safetensors(folder_ / "copy", tensors, file->metadata());
    EXPECT_EQ(read_text_file(folder_ / "copy"), read_text_file(fixture(name))) << name;
  }
}

TEST_F(Safetensors, UnknownNameGetsTheNearestOne) {
  const auto file = SafetensorsFile::open(fixture("models/llama_gqa/model.safetensors"));
  EXPECT_THAT(message_of<DataError>([&] { file->tensor("model.norm.weigth"); }),
              HasSubstr("has no tensor 'model.norm.weigth'. The nearest name is "
                        "'model.norm.weight'."));
  EXPECT_THAT(message_of<DataError>([&] { file->shape("xyzzy"); }),
              HasSubstr("has no tensor 'xyzzy'."));
}

using BadFile = testing_support::BadInput<std::string>;

class BadSafetensors : public ScratchFolderTest, public testing::WithParamInterface<BadFile> {};

TEST_P(BadSafetensors, IsRefusedWithItsFileItsTensorAndTheReason) {
  const auto path = write("bad.safetensors", GetParam().input);
  const std::string message = message_of<DataError>([&] { SafetensorsFile::open(path); });
  EXPECT_EQ(message, fmt::format("[safetensors] {}: {}", path.string(), GetParam().message));
}

std::string one_tensor(const std::string& rest) { return R"({"w":{)" + rest + "}}"; }

INSTANTIATE_TEST_SUITE_P(
    All, BadSafetensors,
    testing::Values(
        BadFile{"Empty", "", "has 0 bytes, expected at least 8. It is cut short."},
        BadFile{"LengthPastTheEnd", raw(uint64_t{9}) + "{}",
                "its header has 9 bytes by the first number, expected at most 2 (the file has 10 "
                "bytes). It is cut short or no safetensors file."},
        BadFile{"HeaderOf100GB", raw(uint64_t{100'000'000'000}) + "{}",
                "its header has 100000000000 bytes by the first number, expected at most 2 (the "
                "file has 10 bytes). It is cut short or no safetensors file."},
        BadFile{"LfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
                "is a Git LFS pointer, expected the weights themselves. Run 'git lfs pull' in its "
                "folder."},
        BadFile{"NotJson", file_of("{x}", 0),
                "is not valid JSON: parse error at line 1, column 2: syntax error while parsing "
                "object key - invalid literal; last read: '{x'; expected string literal."},
        BadFile{"InvalidUtf8", file_of("{\"\xff\":1}", 0),
                "line 1: not UTF-8: got the byte 0xFF at offset 10, expected UTF-8. Convert the "
                "file, for "
                "example with iconv."},
        BadFile{"NotAnObject", file_of("[]", 0), "is [], expected an object."},
        BadFile{"NestedTooDeep", file_of(std::string(150, '['), 0),
                "is JSON nested deeper than 128 levels."},
        BadFile{"DuplicateName", file_of(R"({"w":{},"w":{}})", 0),
                "'w' is there twice, expected once."},
        BadFile{"TensorIsNoObject", file_of(R"({"w":[1]})", 0),
                "'w' is [1], expected an object with dtype, shape and data_offsets."},
        BadFile{"NoType", file_of(one_tensor(R"("shape":[1],"data_offsets":[0,4])"), 4),
                "'w.dtype' is missing."},
        BadFile{"TypeIsNoText",
                file_of(one_tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,1])"), 1),
                "'w.dtype' is 1, expected a text."},
        BadFile{"NoShape", file_of(one_tensor(R"("dtype":"F32","data_offsets":[0,4])"), 4),
                "'w.shape' is missing."},
        BadFile{"NegativeSize",
                file_of(one_tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4),
                "'w.shape' is [-1], expected a list of integers from 0 to 2^63 - 1."},
        BadFile{"FractionalSize",
                file_of(one_tensor(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), 4),
                "'w.shape' is [1.5], expected a list of integers from 0 to 2^63 - 1."},
        BadFile{"ShapeIsNoList",
                file_of(one_tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), 4),
                "'w.shape' is 1, expected a list of integers from 0 to 2^63 - 1."},
        BadFile{
            "SizeOverflows",
            file_of(
                one_tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])"),
                4),
            "'w' is [4294967296, 4294967296], whose size in bytes does not fit 64 bits."},
        BadFile{"OneOffset",
                file_of(one_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), 4),
                "'w.data_offsets' is [0], expected [begin, end] with begin <= end."},
        BadFile{"OffsetsReversed",
                file_of(one_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4),
                "'w.data_offsets' is [4,0], expected [begin, end] with begin <= end."},
        BadFile{"SizeDoesNotFitShape",
                file_of(one_tensor(R"("dtype":"F32","shape":[2,1],"data_offsets":[0,4])"), 4),
                "'w' has 4 bytes, expected 8 for F32 [2, 1]."},
        BadFile{"CutShort",
                file_of(one_tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 5),
                "'w' ends 8 bytes after the header, but only 5 bytes are there. The file is cut "
                "short; copy or download it again."},
        BadFile{"Overlap",
                file_of(R"({"v":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                        R"("w":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                        7),
                "'w' begins at byte 116 of the file, expected 117: the tensors overlap."},
        BadFile{"Gap",
                file_of(R"({"v":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                        R"("w":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})",
                        9),
                "'w' begins at byte 118 of the file, expected 117: the tensors leave a gap."},
        BadFile{"BytesLeftOver",
                file_of(one_tensor(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])"), 3),
                "has 64 bytes, expected 63 (where the last tensor ends)."}),
    testing_support::by_value);

TEST_F(Safetensors, NamesInMessagesStayOnOneLine) {
  const auto path = write("x.safetensors", file_of(R"({"a\nb\u00e4":{}})", 0));
  EXPECT_THAT(message_of<DataError>([&] { SafetensorsFile::open(path); }),
              HasSubstr("'a\\x0ab\xC3\xA4.dtype' is missing."));
}

// What programs write beside the tensors, or beside those that are asked for, is no error.
TEST_F(Safetensors, MetadataOfAnyFormIsPassedOver) {
  for (const char* metadata : {"null", "3", "[]", R"({"a":3,"b":null,"format":"pt"})"}) {
    const auto path =
        write("x.safetensors",
              file_of(fmt::format(R"({{"__metadata__":{},"w":{{"dtype":"U8","shape":[1],)"
                                  R"("data_offsets":[0,1]}}}})",
                                  metadata),
                      1));
    EXPECT_EQ(SafetensorsFile::open(path)->tensor("w").numel(), 1) << metadata;
  }
  const auto file = SafetensorsFile::open(folder_ / "x.safetensors");
  EXPECT_EQ(file->metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
}

TEST_F(Safetensors, ATensorOfAnUnknownTypeIsAnErrorForWhoAsksForIt) {
  const auto path =
      write("x.safetensors", file_of(R"({"v":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]},)"
                                     R"("w":{"dtype":"U8","shape":[4],"data_offsets":[3,7]},)"
                                     R"("x":{"dtype":"F4","shape":[4],"data_offsets":[7,9]}})",
                                     9));
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file->tensor("w").numel(), 4);
  EXPECT_THAT(file->shape("v"), ElementsAre(3));
  const std::string expected = fmt::format(
      "[safetensors] {}: 'v' is stored as F8_E4M3, expected one of F64, F32, F16, "
      "BF16, I64, I32, I16, I8, U8, BOOL.",
      path.string());
  EXPECT_EQ(message_of<DataError>([&] { file->tensor("v"); }), expected);
  EXPECT_EQ(message_of<DataError>([&] { file->dtype("v"); }), expected);
}

TEST_F(Safetensors, WriterRefusesNamesAndTypesThatCannotBeStored) {
  const auto refusal = [&](const std::vector<NamedTensor>& tensors) -> std::string {
    return message_of<std::invalid_argument>(
        [&] { write_safetensors(folder_ / "x.safetensors", tensors); });
  };
  const auto one = torch::ones(1);
  EXPECT_EQ(refusal({{"a", one}, {"a", one}}), "[write_safetensors] 'a' is there twice.");
  EXPECT_EQ(refusal({{"__metadata__", one}}),
            "[write_safetensors] '__metadata__' cannot name a tensor.");
  EXPECT_EQ(refusal({{"a", torch::Tensor()}}), "[write_safetensors] 'a' holds no tensor.");
  EXPECT_EQ(refusal({{"a", one.to(torch::kComplexFloat)}}),
            "[write_safetensors] 'a' is of type ComplexFloat, which cannot be stored.");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "x.safetensors"));
}

TEST_F(Safetensors, FolderThatIsNotThereIsADataError) {
  const std::vector<NamedTensor> tensors = {{"a", torch::ones(1)}};
  EXPECT_THAT(message_of<DataError>([&] { write_safetensors(folder_ / "none" / "x", tensors); }),
              HasSubstr("none/x: cannot be written: No such file or directory"));
}

}  // namespace safetensors_test
}  // namespace cpx::formats
