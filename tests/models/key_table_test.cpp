// SPDX-License-Identifier: Apache-2.0
#include "src/models/key_table.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

namespace cpx::models {
namespace key_table_test {

const formats::ModelConfig kConfig = [] {
  formats::ModelConfig config;
  config.vocab_size = 96;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  return config;
}();

TEST(GgufName, IsLlamaCppsNameOfEveryWeight) {
  EXPECT_EQ(gguf_name("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(gguf_name("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(gguf_name("lm_head.weight"), "output.weight");
  EXPECT_EQ(gguf_name("model.layers.0.input_layernorm.weight"), "blk.0.attn_norm.weight");
  EXPECT_EQ(gguf_name("model.layers.31.self_attn.q_proj.bias"), "blk.31.attn_q.bias");
  EXPECT_EQ(gguf_name("model.layers.1.self_attn.o_proj.weight"), "blk.1.attn_output.weight");
  EXPECT_EQ(gguf_name("model.layers.1.post_attention_layernorm.weight"), "blk.1.ffn_norm.weight");
  EXPECT_EQ(gguf_name("model.layers.1.mlp.down_proj.weight"), "blk.1.ffn_down.weight");
}

TEST(PermutedHeads, AreThoseOfQueriesAndKeys) {
  EXPECT_EQ(num_permuted_heads("model.layers.3.self_attn.q_proj.weight", kConfig), 4);
  EXPECT_EQ(num_permuted_heads("model.layers.3.self_attn.k_proj.bias", kConfig), 2);
  EXPECT_EQ(num_permuted_heads("model.layers.3.self_attn.v_proj.weight", kConfig), 0);
  EXPECT_EQ(num_permuted_heads("lm_head.weight", kConfig), 0);
}

TEST(DimensionSources, NameTheKeysOfTheConfigWithTheirValues) {
  using testing::ElementsAre;
  EXPECT_THAT(dimension_sources("lm_head.weight", kConfig),
              ElementsAre("vocab_size 96", "hidden_size 32"));
  EXPECT_THAT(dimension_sources("model.layers.0.self_attn.k_proj.weight", kConfig),
              ElementsAre("num_key_value_heads 2 * head_dim 8", "hidden_size 32"));
  EXPECT_THAT(dimension_sources("model.layers.0.self_attn.o_proj.weight", kConfig),
              ElementsAre("hidden_size 32", "num_attention_heads 4 * head_dim 8"));
  EXPECT_THAT(dimension_sources("model.layers.0.mlp.gate_proj.bias", kConfig),
              ElementsAre("intermediate_size 48"));
}

TEST(GgufName, RefusesWhatIsNoWeightOfALlama) {
  EXPECT_THROW(gguf_name("model.layers.0.self_attn.qkv_proj.weight"), std::invalid_argument);
}

}  // namespace key_table_test
}  // namespace cpx::models
