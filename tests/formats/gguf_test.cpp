// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/gguf.h"

#include <bit>
#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "cpx/formats/model_folder.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/scratch_folder.h"

namespace cpx::formats {
namespace gguf_test {

using tensor::StorageType;
using testing::ElementsAre;
using testing::HasSubstr;
using Gguf = ScratchFolder;

constexpr uint32_t kArray = 9;

// The Hugging Face key of a tensor whose rows are stored as they are.
std::string folder_key(const std::string& name) {
  static const std::map<std::string, std::string> keys = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
      {"blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"},
      {"blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"},
      {"blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"},
  };
  const auto found = keys.find(name);
  return found == keys.end() ? "" : found->second;
}

TEST(GgufFixture, TensorsEqualThoseOfTheSafetensorsFolder) {
  const auto file = GgufFile::open(fixture("gguf/llama_gqa_f32.gguf"));
  const ModelFolder folder(fixture("models/llama_gqa"));
  int num_compared = 0;
  for (const auto& tensor : file->tensors()) {
    EXPECT_EQ(tensor.type, StorageType::kF32) << tensor.name;
    const std::string key = folder_key(tensor.name);
    if (key.empty()) continue;
    const torch::Tensor expected = folder.tensor(key);
    EXPECT_EQ(at::IntArrayRef(tensor.shape), expected.sizes()) << tensor.name;
    ASSERT_EQ(tensor.bytes.size(), expected.nbytes()) << tensor.name;
    EXPECT_EQ(std::memcmp(tensor.bytes.data(), expected.data_ptr(), expected.nbytes()), 0) << key;
    ++num_compared;
  }
  EXPECT_EQ(num_compared, 6);
  EXPECT_EQ(file->tensors().size(), folder.names().size());
}

TEST(GgufFixture, TypesShapesAndNamesAreThoseOfTheFile) {
  const auto file = GgufFile::open(fixture("gguf/llama_mixed.gguf"));
  const auto type_of = [&](const char* name) { return file->find_tensor(name)->type; };
  EXPECT_EQ(type_of("token_embd.weight"), StorageType::kQ8_0);
  EXPECT_EQ(type_of("output.weight"), StorageType::kF16);
  EXPECT_EQ(type_of("blk.0.attn_q.weight"), StorageType::kQ4_0);
  EXPECT_EQ(type_of("blk.0.attn_k.weight"), StorageType::kQ4_1);
  EXPECT_EQ(type_of("blk.0.ffn_gate.weight"), StorageType::kBF16);
  EXPECT_EQ(type_of("blk.1.ffn_down.weight"), StorageType::kQ6_K);
  EXPECT_THAT(file->find_tensor("blk.1.ffn_down.weight")->shape, ElementsAre(32, 256));
  EXPECT_EQ(file->find_tensor("blk.1.ffn_down.weight")->bytes.size(), 32u * 210);
  EXPECT_EQ(file->find_tensor("none"), nullptr);
}

TEST(GgufFixture, VocabularyIsThatOfTheFile) {
  const auto file = GgufFile::open(fixture("gguf/llama_mixed.gguf"));
  const auto vocabulary = read_gguf_vocabulary(*file);
  EXPECT_EQ(vocabulary.source, "llama_mixed.gguf");
  EXPECT_EQ(vocabulary.model, "gpt2");
  EXPECT_EQ(vocabulary.pre, "smollm");
  ASSERT_EQ(vocabulary.tokens.size(), 288u);
  EXPECT_EQ(vocabulary.tokens[1], "<|im_start|>");
  ASSERT_EQ(vocabulary.token_types.size(), 288u);
  EXPECT_EQ(vocabulary.token_types[2], static_cast<int>(tokenizer::GgufTokenType::kControl));
  EXPECT_EQ(vocabulary.token_types[3], static_cast<int>(tokenizer::GgufTokenType::kNormal));
  EXPECT_EQ(vocabulary.merges.size(), 29u);
  EXPECT_EQ(vocabulary.bos_id, 1);
  EXPECT_EQ(vocabulary.eos_id, 2);
  EXPECT_EQ(vocabulary.add_bos, false);
  EXPECT_EQ(vocabulary.unknown_id, std::nullopt);
  EXPECT_EQ(vocabulary.add_eos, std::nullopt);
  EXPECT_TRUE(vocabulary.scores.empty());
  EXPECT_THAT(vocabulary.chat_template, HasSubstr("<|im_start|>"));
}

TEST_F(Gguf, EveryKindOfValueIsRead) {
  GgufBuilder builder;
  builder.version = 2;
  builder.add("u8", 0, raw(uint8_t{200})).add("i8", 1, raw(int8_t{-3}));
  builder.add("u16", 2, raw(uint16_t{65535})).add("i16", 3, raw(int16_t{-300}));
  builder.add("u32", 4, raw(uint32_t{4294967295u})).add("i32", 5, raw(int32_t{-70000}));
  builder.add("f32", 6, raw(0.5f)).add("yes", 7, raw(uint8_t{1})).add_text("text", "a\nb");
  builder.add("u64", 10, raw(uint64_t{1} << 62)).add("i64", 11, raw(int64_t{-1}));
  builder.add("f64", 12, raw(1e300)).add("huge", 10, raw(~uint64_t{0}));
  builder.add("ints", kArray,
              raw(uint32_t{3}) + raw(uint64_t{2}) + raw(int16_t{-1}) + raw(int16_t{7}));
  builder.add("bools", kArray, raw(uint32_t{7}) + raw(uint64_t{2}) + std::string("\1\0", 2));
  builder.add("floats", kArray, raw(uint32_t{6}) + raw(uint64_t{1}) + raw(0.25f));
  builder.add_texts("texts", {"", "b"});
  const auto file = GgufFile::open(write("x.gguf", builder.build()));

  EXPECT_EQ(file->find_int("u8"), 200);
  EXPECT_EQ(file->find_int("i8"), -3);
  EXPECT_EQ(file->find_int("u16"), 65535);
  EXPECT_EQ(file->find_int("i16"), -300);
  EXPECT_EQ(file->find_int("u32"), 4294967295);
  EXPECT_EQ(file->find_int("i32"), -70000);
  EXPECT_EQ(file->find_double("f32"), 0.5);
  EXPECT_EQ(file->find_bool("yes"), true);
  EXPECT_EQ(file->find_text("text"), "a\nb");
  EXPECT_EQ(file->find_int("u64"), int64_t{1} << 62);
  EXPECT_EQ(file->find_int("i64"), -1);
  EXPECT_EQ(file->find_double("i64"), -1.0);
  EXPECT_EQ(file->find_double("f64"), 1e300);
  EXPECT_EQ(file->find_double("huge"), 18446744073709551615.0);
  EXPECT_THAT(*file->find_ints("ints"), ElementsAre(-1, 7));
  EXPECT_THAT(*file->find_ints("bools"), ElementsAre(1, 0));
  EXPECT_THAT(*file->find_doubles("floats"), ElementsAre(0.25));
  EXPECT_THAT(*file->find_texts("texts"), ElementsAre("", "b"));
  EXPECT_EQ(file->find_int("none"), std::nullopt);
  EXPECT_EQ(file->find_texts("none"), nullptr);
}

TEST_F(Gguf, ValueOfAnotherTypeIsNamed) {
  GgufBuilder builder;
  builder.add_text("text", "x").add_float("f", 1.5f).add_texts("texts", {"a"});
  const auto path = write("x.gguf", builder.build());
  const auto file = GgufFile::open(path);
  const std::string place = fmt::format("[gguf] {}: ", path.string());
  EXPECT_EQ(message_of([&] { file->find_int("text"); }),
            place + "'text' is a text, expected an integer.");
  EXPECT_EQ(message_of([&] { file->find_int("f"); }),
            place + "'f' is a number, expected an integer.");
  EXPECT_EQ(message_of([&] { file->find_double("text"); }),
            place + "'text' is a text, expected a number.");
  EXPECT_EQ(message_of([&] { file->find_bool("f"); }),
            place + "'f' is a number, expected a boolean.");
  EXPECT_EQ(message_of([&] { file->find_ints("texts"); }),
            place + "'texts' is an array of texts, expected an array of integers.");
  EXPECT_EQ(message_of([&] { file->find_text("texts"); }),
            place + "'texts' is an array of texts, expected a text.");
}

TEST_F(Gguf, TensorsFollowTheAlignmentOfTheFile) {
  GgufBuilder builder{.alignment = 64};
  builder.add_uint("general.alignment", 64);
  builder.add_info("a", {2}, 0, 0).add_info("b", {3, 2}, 0, 64);
  builder.data = raw(1.0f) + raw(2.0f) + std::string(56, '\0') + raw(3.0f) + std::string(20, '\0');
  const auto file = GgufFile::open(write("x.gguf", builder.build()));
  EXPECT_THAT(file->find_tensor("b")->shape, ElementsAre(2, 3));
  float first = 0.0f;
  std::memcpy(&first, file->find_tensor("b")->bytes.data(), sizeof(first));
  EXPECT_EQ(first, 3.0f);
}

TEST_F(Gguf, VocabularyWithUnequalCountsIsRefused) {
  GgufBuilder builder;
  builder.add_texts("tokenizer.ggml.tokens", {"a", "b"});
  builder.add("tokenizer.ggml.scores", kArray, raw(uint32_t{6}) + raw(uint64_t{1}) + raw(0.25f));
  const auto path = write("x.gguf", builder.build());
  EXPECT_EQ(message_of([&] { read_gguf_vocabulary(*GgufFile::open(path)); }),
            fmt::format("[gguf] {}: 'tokenizer.ggml.scores' has 1 elements, expected 2 (from "
                        "'tokenizer.ggml.tokens').",
                        path.string()));
  GgufBuilder types;
  types.add("tokenizer.ggml.token_type", kArray,
            raw(uint32_t{5}) + raw(uint64_t{1}) + raw(int32_t{-4}));
  EXPECT_THAT(
      message_of([&] { read_gguf_vocabulary(*GgufFile::open(write("y.gguf", types.build()))); }),
      HasSubstr("'tokenizer.ggml.token_type' holds -4, expected a small number."));
}

struct BadGguf {
  const char* name;
  std::string content;
  std::string message;
};

class BadGgufFile : public ScratchFolder, public testing::WithParamInterface<BadGguf> {};

TEST_P(BadGgufFile, IsRefusedWithThePlaceAndTheReason) {
  const auto path = write("bad.gguf", GetParam().content);
  EXPECT_EQ(message_of([&] { GgufFile::open(path); }),
            fmt::format("[gguf] {}: {}", path.string(), GetParam().message));
}

GgufBuilder with_key(uint32_t type, const std::string& value) {
  return GgufBuilder().add("key", type, value);
}

GgufBuilder with_tensor(const std::vector<uint64_t>& stored_shape, uint32_t type, uint64_t offset,
                        size_t num_data_bytes) {
  GgufBuilder builder;
  builder.add_info("w", stored_shape, type, offset);
  builder.data.resize(num_data_bytes);
  return builder;
}

std::string with_version(uint32_t version) { return GgufBuilder{.version = version}.build(); }

std::string with_counts(uint64_t tensors, uint64_t keys) {
  return GgufBuilder{.num_keys = keys, .num_tensors = tensors}.build();
}

GgufBuilder two_tensors(const char* second, uint64_t offset) {
  GgufBuilder builder = with_tensor({32}, 0, 0, 512);
  return builder.add_info(second, {8}, 0, offset);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadGgufFile,
    testing::Values(
        BadGguf{"Empty", "",
                "the magic number takes 4 bytes at byte 0, but the file ends after 0 more. It is "
                "cut short or damaged."},
        BadGguf{"OtherMagic", "ggjt1234",
                "begins with 'ggjt', expected 'GGUF'. It is no GGUF "
                "file."},
        BadGguf{"LfsPointer", "version https://git-lfs.github.com/spec/v1\n",
                "is a Git LFS pointer, expected the weights themselves. Run 'git lfs pull' in its "
                "folder."},
        BadGguf{"Version1", with_version(1), "is of version 1, expected 2 or 3."},
        BadGguf{"Version4", with_version(4), "is of version 4, expected 2 or 3."},
        BadGguf{"BigEndian", with_version(3u << 24),
                "is big-endian (version 3), expected little-endian. Convert it with llama.cpp's "
                "gguf_convert_endian.py."},
        BadGguf{"ManyKeys", with_counts(0, ~uint64_t{0}),
                "has 18446744073709551615 metadata keys by its header, but only 8 bytes are left "
                "in the file."},
        BadGguf{"ManyTensors", with_counts(uint64_t{1} << 60, 0),
                "has 1152921504606846976 tensors by its header, but only 8 bytes are left in the "
                "file."},
        BadGguf{"LongKey",
                GgufBuilder{.metadata = raw(~uint64_t{0}) + "12345678", .num_keys = 1}.build(),
                "a metadata key takes 18446744073709551615 bytes at byte 32, but the file ends "
                "after 32 more. It is cut short or damaged."},
        BadGguf{"LongText", with_key(8, raw(uint64_t{1000})).build(),
                "'key' takes 1000 bytes at byte 47, but the file ends after 17 more. It is cut "
                "short or damaged."},
        BadGguf{"LongArray", with_key(kArray, raw(uint32_t{4}) + raw(uint64_t{1} << 62)).build(),
                "'key' has 4611686018427387904 elements, but only 13 bytes are left in the file."},
        BadGguf{"UnknownValueType", with_key(13, raw(uint64_t{0})).build(),
                "'key' is of type 13, expected 0 to 12."},
        BadGguf{"UnknownElementType",
                with_key(kArray, raw(uint32_t{77}) + raw(uint64_t{1}) + raw(uint64_t{0})).build(),
                "'key' is of type 77, expected 0 to 12 in an array."},
        BadGguf{"NestedArray",
                with_key(kArray, raw(uint32_t{9}) + raw(uint64_t{1}) + raw(uint64_t{0})).build(),
                "'key' is of type 9, expected an array of numbers or texts."},
        BadGguf{"HugeElement",
                with_key(kArray, raw(uint32_t{10}) + raw(uint64_t{1}) + raw(~uint64_t{0})).build(),
                "'key' holds 18446744073709551615, expected at most 2^63 - 1."},
        BadGguf{"Boolean2", with_key(7, raw(uint8_t{2})).build(),
                "'key' is 2, expected a boolean, 0 or 1."},
        BadGguf{"DuplicateKey", GgufBuilder().add_uint("a", 1).add_uint("a", 1).build(),
                "the metadata has 'a' twice, expected once."},
        BadGguf{"Alignment24", GgufBuilder().add_uint("general.alignment", 24).build(),
                "'general.alignment' is 24, expected a power of two from 8 to 1048576."},
        BadGguf{"Alignment0", GgufBuilder().add_uint("general.alignment", 0).build(),
                "'general.alignment' is 0, expected a power of two from 8 to 1048576."},
        BadGguf{"AlignmentIsAText", GgufBuilder().add_text("general.alignment", "x").build(),
                "'general.alignment' is no integer, expected a power of two from 8 to 1048576."},
        BadGguf{"OnePartOfThree", GgufBuilder().add_uint("split.count", 3).build(),
                "is one of 3 parts ('split.count'), expected a whole model. Join them with "
                "'llama-gguf-split --merge'."},
        BadGguf{"NoDimension", with_tensor({}, 0, 0, 64).build(),
                "'w' has 0 dimensions, expected 1 to 4."},
        BadGguf{"ManyDimensions", with_tensor({1, 1, 1, 1, 1}, 0, 0, 64).build(),
                "'w' has 5 dimensions, expected 1 to 4."},
        BadGguf{"ZeroDimension", with_tensor({4, 0}, 0, 0, 64).build(),
                "'w' has a dimension of 0, expected 1 to 2^63 - 1."},
        BadGguf{"NegativeDimension", with_tensor({~uint64_t{0}}, 0, 0, 64).build(),
                "'w' has a dimension of 18446744073709551615, expected 1 to 2^63 - 1."},
        BadGguf{"SizeOverflows",
                with_tensor({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0, 64).build(),
                "'w' is [1099511627776, 1099511627776], whose size in bytes does not fit 64 "
                "bits."},
        BadGguf{"CountOfBlocksOverflows",
                with_tensor({uint64_t{1} << 32, uint64_t{1} << 31}, 2, 0, 64).build(),
                "'w' is [2147483648, 4294967296], whose size in bytes does not fit 64 bits."},
        BadGguf{"UnsupportedType", with_tensor({256}, 12, 0, 512).build(),
                "'w' is stored as Q4_K (type 12), expected one of F32, F16, BF16, Q8_0, Q4_0, "
                "Q4_1, Q6_K. Make the file again in one of these, for example with "
                "'llama-quantize --allow-requantize IN OUT Q8_0'."},
        BadGguf{"UnknownTensorType", with_tensor({256}, 99, 0, 512).build(),
                "'w' is stored as the unknown type 99, expected one of F32, F16, BF16, Q8_0, "
                "Q4_0, Q4_1, Q6_K. Make the file again in one of these, for example with "
                "'llama-quantize --allow-requantize IN OUT Q8_0'."},
        BadGguf{"BrokenBlock", with_tensor({33}, 8, 0, 512).build(),
                "'w' has rows of 33 numbers, expected a multiple of 32 for Q8_0."},
        BadGguf{"PastTheEnd", with_tensor({32}, 0, 32, 100).build(),
                "'w' takes 128 bytes from byte 32 of the data, but only 100 bytes are there. The "
                "file is cut short; copy or download it again."},
        BadGguf{"OffsetPastTheEnd", with_tensor({32}, 0, ~uint64_t{31}, 100).build(),
                "'w' takes 128 bytes from byte 18446744073709551584 of the data, but only 100 "
                "bytes are there. The file is cut short; copy or download it again."},
        BadGguf{"OffsetNotAligned", with_tensor({4}, 0, 4, 64).build(),
                "'w' begins 4 bytes into the data, expected a multiple of 32."},
        BadGguf{"Overlap", two_tensors("v", 96).build(),
                "'v' begins 96 bytes into the data, where 'w' ends at 128: they overlap."},
        BadGguf{"DuplicateTensor", two_tensors("w", 128).build(),
                "the tensor 'w' is there twice, expected once."}),
    [](const auto& test) { return test.param.name; });

}  // namespace gguf_test
}  // namespace cpx::formats
