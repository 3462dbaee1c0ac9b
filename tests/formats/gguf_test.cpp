// SPDX-License-Identifier: Apache-2.0
#include "cpx/formats/gguf.h"

#include <bit>
#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "cpx/formats/model_folder.h"
#include "tests/formats/gguf_builder.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace gguf_test {

using tensor::StorageType;
using testing::ElementsAre;
using testing::HasSubstr;
using Gguf = testing_support::ScratchFolderTest;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

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
  EXPECT_THAT(file->find_ints("ints"), ElementsAre(-1, 7));
  EXPECT_THAT(file->find_ints("bools"), ElementsAre(1, 0));
  EXPECT_THAT(file->find_doubles("floats"), ElementsAre(0.25));
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
  EXPECT_EQ(message_of<DataError>([&] { file->find_int("text"); }),
            place + "'text' is a text, expected an integer.");
  EXPECT_EQ(message_of<DataError>([&] { file->find_int("f"); }),
            place + "'f' is a number, expected an integer.");
  EXPECT_EQ(message_of<DataError>([&] { file->find_double("text"); }),
            place + "'text' is a text, expected a number.");
  EXPECT_EQ(message_of<DataError>([&] { file->find_bool("f"); }),
            place + "'f' is a number, expected a boolean.");
  EXPECT_EQ(message_of<DataError>([&] { file->find_texts("f"); }),
            place + "'f' is a number, expected an array of texts.");
  EXPECT_EQ(message_of<DataError>([&] { file->find_ints("texts"); }),
            place + "'texts' is an array of texts, expected an array of integers.");
  EXPECT_EQ(message_of<DataError>([&] { file->find_text("texts"); }),
            place + "'texts' is an array of texts, expected a text.");
}

TEST_F(Gguf, NumbersOfAnyWidthAreTakenWhereTheySayTheSame) {
  GgufBuilder builder;
  builder.add_float("whole", 5.0f).add_float("half", 0.5f).add_uint("one", 1).add_uint("two", 2);
  builder.add("yes", 7, raw(uint8_t{1})).add("odd", 7, raw(uint8_t{200}));
  builder.add("ints", kArray, raw(uint32_t{1}) + raw(uint64_t{2}) + "\x7f\xff");
  builder.add("floats", kArray, raw(uint32_t{6}) + raw(uint64_t{2}) + raw(2.0f) + raw(-3.0f));
  builder.add("halves", kArray, raw(uint32_t{12}) + raw(uint64_t{1}) + raw(0.5));
  builder.add("huge", kArray,
              raw(uint32_t{10}) + raw(uint64_t{2}) + raw(~uint64_t{0}) + raw(uint64_t{3}));
  const auto file = GgufFile::open(write("x.gguf", builder.build()));
  EXPECT_EQ(file->find_int("whole"), 5);
  EXPECT_EQ(file->find_int("yes"), 1);
  EXPECT_EQ(file->find_bool("one"), true);
  EXPECT_EQ(file->find_bool("odd"), true);  // any byte but 0, as in llama.cpp
  EXPECT_EQ(file->find_double("two"), 2.0);
  EXPECT_THAT(file->find_doubles("ints"), ElementsAre(127.0, -1.0));
  EXPECT_THAT(file->find_ints("floats"), ElementsAre(2, -3));
  EXPECT_THAT(file->find_doubles("huge"), ElementsAre(18446744073709551615.0, 3.0));
  EXPECT_TRUE(file->is_array("ints"));
  EXPECT_FALSE(file->is_array("whole"));
  EXPECT_FALSE(file->is_array("none"));
  EXPECT_THAT(message_of<DataError>([&] { file->find_int("half"); }),
              HasSubstr("'half' is a number, expected an integer."));
  EXPECT_THAT(message_of<DataError>([&] { file->find_bool("two"); }),
              HasSubstr("'two' is an integer, expected a boolean."));
  EXPECT_THAT(message_of<DataError>([&] { file->find_ints("halves"); }),
              HasSubstr("'halves' is an array of numbers, expected an array of integers."));
}

TEST_F(Gguf, ArraysOfArraysArePassedOver) {
  const std::string inner = raw(uint32_t{8}) + raw(uint64_t{1}) + GgufBuilder::text("a");
  GgufBuilder builder;
  builder.add("nested", kArray, raw(kArray) + raw(uint64_t{2}) + inner + inner);
  builder.add_uint("behind", 7);
  const auto file = GgufFile::open(write("x.gguf", builder.build()));
  EXPECT_EQ(file->find_int("behind"), 7);
  EXPECT_THAT(message_of<DataError>([&] { file->find_texts("nested"); }),
              HasSubstr("'nested' is an array of arrays, expected an array of texts."));
}

TEST_F(Gguf, ATensorOfATypeThatIsNotReadIsRefusedWhereItIsAskedFor) {
  GgufBuilder builder;
  builder.add_info("w", {256}, 17, 0).add_info("v", {8}, 0, 96).add_info("u", {3}, 99, 5);
  builder.data.resize(128);
  const auto path = write("x.gguf", builder.build());
  const auto file = GgufFile::open(path);
  EXPECT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->tensor("v").bytes.size(), 32u);
  const std::string hint =
      ", expected one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, "
      "Q6_K, IQ4_NL, IQ4_XS. Make the file again in one of these, for example with "
      "'llama-quantize --allow-requantize IN OUT Q8_0'.";
  const std::string place = fmt::format("[gguf] {}: ", path.string());
  EXPECT_EQ(message_of<DataError>([&] { file->tensor("w"); }),
            place + "'w' is stored as IQ2_XS (type 17)" + hint);
  EXPECT_EQ(message_of<DataError>([&] { file->tensor("u"); }),
            place + "'u' is stored as the unknown type 99" + hint);
  EXPECT_EQ(message_of<DataError>([&] { file->tensor("none"); }), place + "has no tensor 'none'.");
}

TEST_F(Gguf, EmptyTensorsAndSingleNumbersAreRead) {
  GgufBuilder builder;
  builder.add_info("empty", {4, 0}, 0, 0).add_info("w", {8}, 0, 0).add_info("number", {}, 0, 32);
  builder.data.resize(64);
  const auto file = GgufFile::open(write("x.gguf", builder.build()));
  EXPECT_THAT(file->tensor("empty").shape, ElementsAre(0, 4));
  EXPECT_EQ(file->tensor("empty").bytes.size(), 0u);
  EXPECT_EQ(file->tensor("number").bytes.size(), 4u);
}

// ---- Split models -------------------------------------------------------------------------------

// Part `number` of `count`, with a tensor "w<number>" that holds the number.
GgufBuilder part(uint16_t number, uint16_t count, int32_t num_tensors) {
  GgufBuilder builder;
  builder.add("split.no", 2, raw(static_cast<uint16_t>(number - 1)));
  builder.add("split.count", 2, raw(count)).add("split.tensors.count", 5, raw(num_tensors));
  if (number == 1) builder.add_text("general.name", "whole");
  builder.add_info(fmt::format("w{}", number), {1}, 0, 0);
  builder.data = raw(static_cast<float>(number));
  return builder;
}

class SplitGguf : public ScratchFolderTest {
 protected:
  std::filesystem::path write_part(int number, int num_tensors = 3) const {
    return write(fmt::format("m-{:05}-of-00003.gguf", number),
                 part(static_cast<uint16_t>(number), 3, num_tensors).build());
  }

  std::string refusal(const std::filesystem::path& path) const {
    std::string message = message_of<DataError>([&] { GgufFile::open(path); });
    for (size_t at; (at = message.find(folder_.string())) != std::string::npos;) {
      message.replace(at, folder_.string().size(), "FOLDER");
    }
    return message;
  }
};

TEST_F(SplitGguf, PartsAreOneModel) {
  for (const int number : {2, 3}) write_part(number);
  const auto file = GgufFile::open(write_part(1));
  EXPECT_EQ(file->find_text("general.name"), "whole");
  EXPECT_EQ(file->tensors().size(), 3u);
  for (const int number : {1, 2, 3}) {
    const auto& tensor = file->tensor(fmt::format("w{}", number));
    float value = 0.0f;
    std::memcpy(&value, tensor.bytes.data(), sizeof(value));
    EXPECT_EQ(value, static_cast<float>(number));
    EXPECT_EQ(tensor.file->path().filename(), fmt::format("m-{:05}-of-00003.gguf", number));
  }
}

TEST_F(SplitGguf, ASplitIntoOneIsWhole) {
  EXPECT_EQ(GgufFile::open(write("x.gguf", part(1, 1, 7).build()))->tensors().size(), 1u);
}

TEST_F(SplitGguf, WhatDoesNotBelongTogetherIsNamed) {
  EXPECT_EQ(refusal(write_part(1)),
            "[gguf] FOLDER/m-00002-of-00003.gguf: is not there, expected part 2 of 3. Copy it "
            "beside the first.");
  EXPECT_EQ(refusal(write_part(2)),
            "[gguf] FOLDER/m-00002-of-00003.gguf: is part 2 of 3 ('split.no', 'split.count'), "
            "expected the first, whose name ends in '-00001-of-00003.gguf'. The others are found "
            "beside it.");
  write_part(3);
  EXPECT_EQ(refusal(write_part(1, 4)),
            "[gguf] FOLDER/m-00001-of-00003.gguf: the parts hold 3 tensors, expected 4 "
            "('split.tensors.count').");
  EXPECT_EQ(refusal(write("x.gguf", part(1, 3, 3).build())),
            "[gguf] FOLDER/x.gguf: is the first of 3 parts ('split.count'), but its name does not "
            "end in '-00001-of-00003.gguf', by which the others are found. Name it so, or join the "
            "parts with 'llama-gguf-split --merge'.");
  write("m-00002-of-00003.gguf", part(3, 3, 3).build());
  EXPECT_EQ(refusal(write_part(1)),
            "[gguf] FOLDER/m-00002-of-00003.gguf: is part 3 of 3 ('split.no', 'split.count'), "
            "expected part 2 of 3.");
  write("m-00002-of-00003.gguf", "GGUF");
  EXPECT_THAT(refusal(write_part(1)),
              HasSubstr("[gguf] FOLDER/m-00002-of-00003.gguf: the version takes 4 bytes"));
  auto twice = part(2, 3, 3);
  twice.table.clear();
  twice.num_tensors = 0;
  twice.add_info("w1", {1}, 0, 0);
  write("m-00002-of-00003.gguf", twice.build());
  EXPECT_EQ(refusal(write_part(1)),
            "[gguf] FOLDER/m-00002-of-00003.gguf: the tensor 'w1' is there twice, expected once.");
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

// ---- Vocabularies -------------------------------------------------------------------------------

class GgufVocabularyKeys : public ScratchFolderTest {
 protected:
  tokenizer::GgufVocabulary read(const GgufBuilder& builder) const {
    return read_gguf_vocabulary(*GgufFile::open(write("x.gguf", builder.build())));
  }

  static GgufBuilder of_model(const std::string& model) {
    return GgufBuilder().add_text("tokenizer.ggml.model", model);
  }

  // An array of two elements of `type`.
  static GgufBuilder& add_two(GgufBuilder& builder, const char* key, uint32_t type,
                              const std::string& elements) {
    return builder.add(std::string("tokenizer.ggml.") + key, kArray,
                       raw(type) + raw(uint64_t{2}) + elements);
  }
};

TEST_F(GgufVocabularyKeys, ScoresAndTypesOfAnyWidthAreRead) {
  GgufBuilder builder = of_model("llama");
  add_two(builder, "scores", 5, raw(int32_t{-1}) + raw(int32_t{0}));
  add_two(builder, "token_type", 0, std::string("\x03\x01", 2));
  const auto integers = read(builder);
  EXPECT_THAT(integers.scores, ElementsAre(-1.0f, 0.0f));
  EXPECT_THAT(integers.token_types, ElementsAre(3, 1));
  GgufBuilder wide = of_model("llama");
  add_two(wide, "scores", 12, raw(-0.5) + raw(2.0));
  add_two(wide, "token_type", 10, raw(uint64_t{6}) + raw(~uint64_t{0} >> 1));
  EXPECT_THAT(read(wide).scores, ElementsAre(-0.5f, 2.0f));
  EXPECT_THAT(read(wide).token_types, ElementsAre(6, 0));  // of no known type
  GgufBuilder floats = of_model("llama");
  add_two(floats, "token_type", 6, raw(2.0f) + raw(-1.0f));
  EXPECT_THAT(read(floats).token_types, ElementsAre(2, 0));
}

TEST_F(GgufVocabularyKeys, WhatTheKindOfVocabularyDoesNotNeedIsNotLookedAt) {
  GgufBuilder bytes = of_model("gpt2");
  bytes.add_text("tokenizer.ggml.scores", "none").add_uint("tokenizer.ggml.add_space_prefix", 9);
  EXPECT_THAT(read(bytes).scores, testing::IsEmpty());
  GgufBuilder pieces = of_model("llama");
  pieces.add_uint("tokenizer.ggml.pre", 4).add_uint("tokenizer.ggml.merges", 4);
  EXPECT_EQ(read(pieces).pre, "");
  GgufBuilder needed = of_model("llama");
  needed.add_text("tokenizer.ggml.scores", "none");
  EXPECT_THAT(message_of<DataError>([&] { read(needed); }),
              HasSubstr("'tokenizer.ggml.scores' is a text, expected an array of numbers."));
}

TEST_F(GgufVocabularyKeys, SpecialIdsAndSwitchesAreRead) {
  GgufBuilder builder = of_model("gpt2");
  for (const auto& [name, id] : std::map<std::string, uint32_t>{{"bos", 3},
                                                                {"eos", 4},
                                                                {"eot", 5},
                                                                {"eom", 6},
                                                                {"unknown", 7},
                                                                {"padding", 8},
                                                                {"fim_pad", 9},
                                                                {"fim_rep", 10},
                                                                {"fim_sep", 11}}) {
    builder.add_uint("tokenizer.ggml." + name + "_token_id", id);
  }
  builder.add_uint("tokenizer.ggml.add_bos_token", 1).add_uint("tokenizer.ggml.add_eos_token", 0);
  const auto read_back = read(builder);
  EXPECT_EQ(read_back.bos_id, 3);
  EXPECT_EQ(read_back.eos_id, 4);
  EXPECT_EQ(read_back.eot_id, 5);
  EXPECT_EQ(read_back.eom_id, 6);
  EXPECT_EQ(read_back.unknown_id, 7);
  EXPECT_EQ(read_back.padding_id, 8);
  EXPECT_EQ(read_back.fim_pad_id, 9);
  EXPECT_EQ(read_back.fim_repository_id, 10);
  EXPECT_EQ(read_back.fim_file_id, 11);
  EXPECT_EQ(read_back.add_bos, true);
  EXPECT_EQ(read_back.add_eos, false);
}

// llama.cpp's defaults for files of old.
TEST_F(GgufVocabularyKeys, ASentencePieceVocabularyHasItsUsualBosAndEos) {
  EXPECT_EQ(read(of_model("llama")).bos_id, 1);
  EXPECT_EQ(read(of_model("llama")).eos_id, 2);
  EXPECT_EQ(read(of_model("gpt2")).bos_id, std::nullopt);
  EXPECT_EQ(read(of_model("gpt2")).eos_id, std::nullopt);
}

using BadGguf = testing_support::BadInput<std::string>;

class BadGgufFile : public ScratchFolderTest, public testing::WithParamInterface<BadGguf> {};

TEST_P(BadGgufFile, IsRefusedWithThePlaceAndTheReason) {
  const auto path = write("bad.gguf", GetParam().input);
  EXPECT_EQ(message_of<DataError>([&] { GgufFile::open(path); }),
            fmt::format("[gguf] {}: {}", path.string(), GetParam().message));
}

GgufBuilder with_key(uint32_t type, const std::string& value) {
  return GgufBuilder().add("key", type, value);
}

// The start of a value: an array that holds one array that holds one array ...
std::string arrays_in_arrays(int depth) {
  std::string bytes;
  for (int i = 0; i < depth; ++i) bytes += raw(kArray) + raw(uint64_t{1});
  return bytes + raw(uint32_t{4}) + raw(uint64_t{0});
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
        BadGguf{"ArraysWithoutEnd", with_key(kArray, arrays_in_arrays(20)).build(),
                "'key' is nested deeper than 8 arrays."},
        BadGguf{"ArrayOfArraysIsCut",
                with_key(kArray,
                         raw(kArray) + raw(uint64_t{1}) + raw(uint32_t{4}) + raw(uint64_t{1000}))
                    .build(),
                "'key' has 1000 elements, but only 1 bytes are left in the file."},
        BadGguf{"DuplicateKey", GgufBuilder().add_uint("a", 1).add_uint("a", 1).build(),
                "the metadata has 'a' twice, expected once."},
        BadGguf{"Alignment24", GgufBuilder().add_uint("general.alignment", 24).build(),
                "'general.alignment' is 24, expected a power of two from 8 to 1048576."},
        BadGguf{"Alignment0", GgufBuilder().add_uint("general.alignment", 0).build(),
                "'general.alignment' is 0, expected a power of two from 8 to 1048576."},
        BadGguf{"AlignmentIsAText", GgufBuilder().add_text("general.alignment", "x").build(),
                "'general.alignment' is no integer, expected a power of two from 8 to 1048576."},
        BadGguf{"ManyParts", GgufBuilder().add_uint("split.count", 4000000000).build(),
                "'split.count' is 4000000000, expected at most 99999."},
        BadGguf{"ManyDimensions", with_tensor({1, 1, 1, 1, 1}, 0, 0, 64).build(),
                "'w' has 5 dimensions, expected at most 4."},
        BadGguf{"NegativeDimension", with_tensor({~uint64_t{0}}, 0, 0, 64).build(),
                "'w' has a dimension of 18446744073709551615, expected at most 2^63 - 1."},
        BadGguf{"SizeOverflows",
                with_tensor({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0, 64).build(),
                "'w' is [1099511627776, 1099511627776], whose size in bytes does not fit 64 "
                "bits."},
        BadGguf{"CountOfBlocksOverflows",
                with_tensor({uint64_t{1} << 32, uint64_t{1} << 31}, 2, 0, 64).build(),
                "'w' is [2147483648, 4294967296], whose size in bytes does not fit 64 bits."},
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
    testing_support::by_value);

}  // namespace gguf_test
}  // namespace cpx::formats
