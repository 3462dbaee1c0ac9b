// SPDX-License-Identifier: Apache-2.0
// What the keys of a GGUF say of the model.
#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "cpx/formats/gguf.h"
#include "cpx/formats/model_config.h"
#include "tests/formats/config_text.h"
#include "tests/formats/gguf_builder.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace gguf_model_config_test {

using testing::ElementsAre;
using testing_support::fixture;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

TEST(GgufModelConfigFixture, KeysOfLlamaCppAreRead) {
  const auto read = [](const char* name) {
    return read_model_config(*GgufFile::open(fixture("gguf") / name));
  };
  auto config = read("llama_gqa_f32.gguf");
  EXPECT_EQ(config.source, "llama_gqa_f32.gguf");
  config.stored_dtype = "float32";
  config.rms_norm_eps = static_cast<float>(1e-5);
  auto expected = read_model_config(fixture("models/llama_gqa"));
  expected.rms_norm_eps = config.rms_norm_eps;
  EXPECT_EQ(text_of(config), text_of(expected));

  const auto mixed = read("llama_mixed.gguf");
  EXPECT_EQ(mixed.head_dim, 16);
  EXPECT_EQ(mixed.rope.type, "default");
  EXPECT_EQ(mixed.rope.frequency_divisors.size(), 8u);
  EXPECT_EQ(mixed.rope.frequency_divisors.front(), 1.0f);
  EXPECT_EQ(mixed.rope.frequency_divisors.back(), 8.0f);
  EXPECT_FALSE(mixed.tie_word_embeddings);
  EXPECT_TRUE(read("llama_tied_q4_1.gguf").tie_word_embeddings);
}

// The keys that a file must have but for the size of its vocabulary.
GgufBuilder small_gguf() {
  GgufBuilder builder;
  builder.add_text("general.architecture", "llama").add_uint("llama.embedding_length", 32);
  builder.add_uint("llama.block_count", 2).add_uint("llama.feed_forward_length", 48);
  builder.add_uint("llama.attention.head_count", 4).add_uint("llama.context_length", 128);
  builder.add_float("llama.attention.layer_norm_rms_epsilon", 0.5f);
  return builder;
}

GgufBuilder whole_gguf() { return small_gguf().add_uint("llama.vocab_size", 96); }

class GgufModelConfigTest : public ScratchFolderTest {
 protected:
  ModelConfig read(const GgufBuilder& builder) const {
    return read_model_config(*GgufFile::open(write("x.gguf", builder.build())));
  }

  std::string error(const GgufBuilder& builder) const {
    const std::string place = fmt::format("[model_config] {}: ", (folder_ / "x.gguf").string());
    const std::string message = message_of<DataError>([&] { read(builder); });
    EXPECT_TRUE(message.starts_with(place)) << message;
    return message.substr(std::min(place.size(), message.size()));
  }

  // Adds rope_freqs.weight of these numbers.
  static GgufBuilder with_divisors(uint32_t type, const std::vector<float>& divisors) {
    GgufBuilder builder = whole_gguf().add_info("rope_freqs.weight", {divisors.size()}, type, 0);
    for (const float divisor : divisors) builder.data += raw(divisor);
    return builder;
  }
};

TEST_F(GgufModelConfigTest, AbsentKeysTakeTheDefaultsOfLlamaCpp) {
  EXPECT_EQ(text_of(read(whole_gguf())),
            "llama 96 32 48 2 4 4 8 128 0.5 0 false false true | 10000 default 1 1 4 8192 |  -1 "
            "-1");
}

TEST_F(GgufModelConfigTest, BiasesHeadSizeWindowAndTokensAreRead) {
  GgufBuilder builder = small_gguf();
  builder.add_texts("tokenizer.ggml.tokens", {"a", "b", "c"}).add_uint("llama.vocab_size", 96);
  builder.add_uint("tokenizer.ggml.bos_token_id", 1).add_uint("tokenizer.ggml.eos_token_id", 2);
  builder.add_uint("llama.attention.key_length", 16).add_uint("llama.attention.value_length", 16);
  builder.add_uint("llama.attention.head_count_kv", 2);
  builder.add_uint("llama.attention.sliding_window", 7).add_float("llama.rope.freq_base", 500.0f);
  builder.add_info("blk.0.attn_q.bias", {1}, 0, 0).add_info("blk.0.ffn_up.bias", {1}, 0, 32);
  builder.add_info("output.weight", {1}, 0, 64);
  builder.data.resize(96);
  EXPECT_EQ(text_of(read(builder)),
            "llama 3 32 48 2 4 2 16 128 0.5 7 true true false | 500 default 1 1 4 8192 |  1 2");
}

TEST_F(GgufModelConfigTest, LinearScalingHasAnOldAndANewKey) {
  const auto type_and_factor = [&](const GgufBuilder& builder) {
    const auto rope = read(builder).rope;
    return fmt::format("{} {}", rope.type, rope.factor);
  };
  EXPECT_EQ(type_and_factor(whole_gguf().add_float("llama.rope.scale_linear", 2.0f)), "linear 2");
  EXPECT_EQ(type_and_factor(whole_gguf()
                                .add_text("llama.rope.scaling.type", "linear")
                                .add_float("llama.rope.scaling.factor", 4.0f)),
            "linear 4");
  EXPECT_EQ(type_and_factor(whole_gguf()
                                .add_text("llama.rope.scaling.type", "none")
                                .add_float("llama.rope.scaling.factor", 4.0f)),
            "default 1");
  EXPECT_EQ(type_and_factor(whole_gguf().add_float("llama.rope.scaling.factor", 0.0f)),
            "default 1");
}

TEST_F(GgufModelConfigTest, FrequencyDivisorsAreReadAndChecked) {
  EXPECT_THAT(read(with_divisors(0, {1.0f, 2.0f, 4.0f, 8.0f})).rope.frequency_divisors,
              ElementsAre(1.0f, 2.0f, 4.0f, 8.0f));
  EXPECT_EQ(error(with_divisors(0, {1.0f, 2.0f})),
            "'rope_freqs.weight' is F32 [2], expected F32 [4].");
  EXPECT_EQ(error(with_divisors(1, {1.0f, 2.0f, 3.0f, 4.0f})),
            "'rope_freqs.weight' is F16 [4], expected F32 [4].");
  EXPECT_EQ(error(with_divisors(0, {1.0f, 0.0f, 4.0f, 8.0f})),
            "'rope_freqs.weight' holds 0, expected numbers above 0.");
}

using BadGgufConfig = testing_support::BadInput<GgufBuilder>;

class BadGgufKeys : public GgufModelConfigTest,
                    public testing::WithParamInterface<BadGgufConfig> {};

TEST_P(BadGgufKeys, AreNamed) { EXPECT_EQ(error(GetParam().input), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    All, BadGgufKeys,
    testing::Values(
        BadGgufConfig{"NoArchitecture", GgufBuilder(), "'general.architecture' is missing."},
        BadGgufConfig{"OtherArchitecture", GgufBuilder().add_text("general.architecture", "qwen2"),
                      "'general.architecture' is 'qwen2', expected 'llama' (Llama and Mistral)."},
        BadGgufConfig{"ArchitectureAlone", GgufBuilder().add_text("general.architecture", "llama"),
                      "'llama.vocab_size' is missing."},
        BadGgufConfig{"NoVocabularySize", small_gguf(), "'llama.vocab_size' is missing."},
        BadGgufConfig{
            "Experts",
            GgufBuilder()
                .add_text("general.architecture", "llama")
                .add_uint("llama.expert_count", 8),
            "'llama.expert_count' is 8, expected 0 (mixtures of experts are not computed)."},
        BadGgufConfig{"YarnScaling", whole_gguf().add_text("llama.rope.scaling.type", "yarn"),
                      "'llama.rope.scaling.type' is 'yarn', expected 'none' or 'linear'."},
        BadGgufConfig{"RotatedPartOfTheHead",
                      whole_gguf().add_uint("llama.rope.dimension_count", 4),
                      "'llama.rope.dimension_count' is 4, expected 8 (the head size)."},
        BadGgufConfig{
            "OtherValueSize", whole_gguf().add_uint("llama.attention.value_length", 4),
            "'llama.attention.value_length' is 4, expected 8 (llama.attention.key_length)."},
        BadGgufConfig{"KeyHeadsThatDoNotDivideTheHeads",
                      whole_gguf().add_uint("llama.attention.head_count_kv", 3),
                      "'llama.attention.head_count_kv' is 3, expected a divisor of "
                      "'llama.attention.head_count' (4)."},
        BadGgufConfig{
            "NoKeySize", whole_gguf().add_uint("llama.attention.key_length", 0),
            "'llama.embedding_length' is 32, expected a multiple of 'llama.attention.head_count' "
            "(4), or 'llama.attention.key_length' to be given."},
        BadGgufConfig{"NegativeBase", whole_gguf().add_float("llama.rope.freq_base", -1.0f),
                      "'llama.rope.freq_base' is -1, expected more than 0."},
        BadGgufConfig{"NegativeFactor", whole_gguf().add_float("llama.rope.scaling.factor", -2.0f),
                      "'llama.rope.scaling.factor' is -2, expected more than 0."}),
    testing_support::by_value);

GgufBuilder& add_sizes(GgufBuilder& builder, const char* key, const std::vector<int32_t>& sizes) {
  std::string bytes = raw(uint32_t{5}) + raw(uint64_t{sizes.size()});
  for (const int32_t size : sizes) bytes += raw(size);
  return builder.add(key, 9, bytes);
}

TEST_F(GgufModelConfigTest, SizesMayBeGivenForEachLayer) {
  auto builder = whole_gguf();
  add_sizes(builder, "llama.attention.head_count_kv", {2, 2});
  EXPECT_EQ(read(builder).num_key_value_heads, 2);
  auto unequal = whole_gguf();
  add_sizes(unequal, "llama.attention.head_count_kv", {2, 4});
  EXPECT_EQ(error(unequal),
            "'llama.attention.head_count_kv' holds 2 and 4, expected one number for all layers.");
  auto empty = whole_gguf();
  add_sizes(empty, "llama.attention.head_count_kv", {});
  EXPECT_EQ(read(empty).num_key_value_heads, 4);
}

TEST_F(GgufModelConfigTest, EndsAreThoseThatTheFileNamesOrSpells) {
  auto builder = small_gguf();
  builder.add_texts("tokenizer.ggml.tokens", {"a", "<|eot_id|>", "b", "c"});
  builder.add_uint("tokenizer.ggml.eos_token_id", 3).add_uint("tokenizer.ggml.eot_token_id", 2);
  EXPECT_THAT(read(builder).stop_token_ids, ElementsAre(3, 2, 1));
  EXPECT_EQ(read(builder).eos_token_id, 3);
}

TEST_F(GgufModelConfigTest, TokenIdsOutsideTheVocabularyStandForNone) {
  const auto config = read(whole_gguf()
                               .add_uint("tokenizer.ggml.eos_token_id", 96)
                               .add_uint("tokenizer.ggml.bos_token_id", 95));
  EXPECT_EQ(config.eos_token_id, std::nullopt);
  EXPECT_EQ(config.bos_token_id, 95);
  EXPECT_TRUE(config.stop_token_ids.empty());
}

TEST_F(GgufModelConfigTest, FrequencyDivisorsOfATypeThatIsNotReadAreNamed) {
  EXPECT_EQ(error(with_divisors(17, {1.0f, 2.0f, 3.0f, 4.0f})),
            "'rope_freqs.weight' is IQ2_XS (type 17) [4], expected F32 [4].");
}

}  // namespace gguf_model_config_test
}  // namespace cpx::formats
