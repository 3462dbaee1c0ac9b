// SPDX-License-Identifier: Apache-2.0
// A text that is continued token by token has the hidden states and logits of the whole text.
#include <functional>
#include <gmock/gmock.h>
#include <stdexcept>
#include <string>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/core/random.h"
#include "cpx/kernels/reference.h"
#include "cpx/nn/kv_cache.h"
#include "tests/models/model_fixture.h"
#include "tests/support/errors.h"
#include "tests/support/names.h"
#include "tests/support/tensors.h"

namespace cpx::models {
namespace cached_states_test {

using testing_support::is_close;
using testing_support::message_of;
using torch::Tensor;

Tensor random_ids(int64_t count, int64_t vocabulary, uint64_t seed) {
  auto ids = at::empty({count}, at::kLong);
  CounterRng rng(seed, {});
  for (int64_t i = 0; i < count; ++i) {
    ids.mutable_data_ptr<int64_t>()[i] =
        static_cast<int64_t>(rng.below(static_cast<uint64_t>(vocabulary)));
  }
  return ids;
}

nn::KvCache cache_for(const nn::ModelShape& shape, int64_t prompts, int64_t sequences) {
  return nn::KvCache({.num_layers = shape.num_layers,
                      .num_kv_heads = shape.num_kv_heads,
                      .head_dim = shape.head_dim,
                      .window = shape.sliding_window,
                      .num_prompts = prompts,
                      .prompt_capacity = 40,
                      .num_sequences = sequences,
                      .sequence_capacity = 40,
                      .num_candidates = 3});
}

Tensor whole_text(Llama& model, const Tensor& ids) {
  const torch::NoGradGuard no_grad;
  return model.hidden_states({.ids = ids, .cu_seqlens = {0, static_cast<int32_t>(ids.size(0))}},
                             {});
}

class CachedStates : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, CachedStates,
                         testing::Values("llama_gqa", "llama_tied_llama3", "mistral_window",
                                         "llama_bias_linear"),
                         testing_support::by_value);

TEST_P(CachedStates, EqualTheWholeTexts) {
  const auto model = load_fixture_with_adapter(GetParam());
  const int64_t vocabulary = model->shape().vocabulary_size;
  const std::vector<Tensor> texts = {random_ids(33, vocabulary, 1), random_ids(40, vocabulary, 2)};
  const std::vector<int64_t> prompts = {1, 25};
  auto cache = cache_for(model->shape(), 2, 2);
  std::vector<Tensor> expected;
  for (int64_t i = 0; i < 2; ++i) {
    expected.push_back(whole_text(*model, texts[i]));
    const auto states = model->prefill(cache, texts[i].narrow(0, 0, prompts[i]), {{i, prompts[i]}});
    EXPECT_TRUE(is_close(states, expected[i].narrow(0, 0, prompts[i])));
    cache.begin_sequence(i, i);
  }
  for (int64_t step = 0; step < 15; ++step) {
    std::vector<Tensor> ids;
    for (int64_t i = 0; i < 2; ++i) ids.push_back(texts[i].narrow(0, prompts[i] + step, 1));
    const auto states = model->next_tokens(cache, at::cat(ids), {0, 1});
    const auto logits = model->logits(states, {.is_by_row = true});
    for (int64_t i = 0; i < 2; ++i) {
      const auto row = expected[i].narrow(0, prompts[i] + step, 1);
      ASSERT_TRUE(is_close(states.narrow(0, i, 1), row)) << "text " << i << ", step " << step;
      ASSERT_TRUE(is_close(logits.narrow(0, i, 1), model->logits(row, {})));
    }
  }
}

// Texts behind a beginning that is longer than the window of 8, so many that lanes deal them out;
// the first token of the first two is the same one.
TEST_P(CachedStates, BehindAKeptBeginningEqualTheWholeTexts) {
  const auto model = load_fixture_with_adapter(GetParam());
  const auto beginning = random_ids(11, model->shape().vocabulary_size, 3);
  const auto ids = random_ids(160, model->shape().vocabulary_size, 4);
  nn::PackedTokens behind{.ids = ids,
                          .cu_seqlens = {0, 40, 81, 121, 161},
                          .behind = model->keep_beginning(beginning, {})};
  std::vector<std::vector<int64_t>> texts(4);
  for (int64_t token = 0; token < 160; ++token) texts[token / 40].push_back(token);
  texts[1].insert(texts[1].begin(), 0);
  for (const auto& text : texts) {
    behind.token_of_place.insert(behind.token_of_place.end(), text.begin(), text.end());
  }
  const torch::NoGradGuard no_grad;
  const auto states = model->hidden_states(behind, {});
  for (const auto& text : texts) {
    const auto tokens = at::tensor(text, at::kLong);
    const auto expected = whole_text(*model, at::cat({beginning, ids.index_select(0, tokens)}));
    EXPECT_TRUE(is_close(states.index_select(0, tokens), expected.slice(0, 11))) << text[0];
  }
}

// The logits of the first of so many sequences that continue one prompt, after three tokens.
Tensor first_logits(Llama& model, int64_t num_sequences) {
  const int64_t vocabulary = model.shape().vocabulary_size;
  const auto prompt = random_ids(9, vocabulary, 3);
  const auto next = random_ids(40, vocabulary, 4).narrow(0, 0, num_sequences);
  auto cache = cache_for(model.shape(), 1, 40);
  model.prefill(cache, prompt, {{.slot = 0, .num_tokens = 9}});
  std::vector<int64_t> sequences;
  for (int64_t i = 0; i < num_sequences; ++i) {
    cache.begin_sequence(i, 0);
    sequences.push_back(i);
  }
  Tensor logits;
  const torch::NoGradGuard no_grad;
  for (int step = 0; step < 3; ++step) {
    const auto states = model.next_tokens(cache, next, sequences);
    logits = model.logits(states, {.is_by_row = true})[0];
  }
  return logits;
}

void expect_rows_by_themselves(Llama& model) {
  const auto alone = first_logits(model, 1);
  for (int64_t count = 2; count <= 40; ++count) {
    ASSERT_TRUE(at::equal(first_logits(model, count), alone)) << count;
  }
}

// Three tokens are tried at each step; the text goes on with the second.
TEST_P(CachedStates, OfCandidatesEqualTheTextsThatEndWithThem) {
  const auto model = load_fixture_with_adapter(GetParam());
  const int64_t vocabulary = model->shape().vocabulary_size;
  const auto text = random_ids(30, vocabulary, 5);
  const auto others = random_ids(60, vocabulary, 6).view({30, 2});
  auto cache = cache_for(model->shape(), 1, 1);
  model->prefill(cache, text.narrow(0, 0, 6), {{.slot = 0, .num_tokens = 6}});
  cache.begin_sequence(0, 0);
  for (int64_t position = 6; position < 30; ++position) {
    const auto tried = at::stack({others[position][0], text[position], others[position][1]});
    const auto states = model->try_tokens(cache, tried, {{0, 0}, {0, 1}, {0, 2}});  // [3, D]
    for (int64_t number = 0; number < 3; ++number) {
      const auto whole =
          at::cat({text.narrow(0, 0, position), tried.narrow(0, number, 1)});  // [position + 1]
      ASSERT_TRUE(is_close(states[number], whole_text(*model, whole)[position]))
          << "position " << position << ", candidate " << number;
    }
    cache.keep_candidate({0, 1});
  }
}

TEST(CachedStatesErrors, TokensAndSequencesMustBeEqualInNumber) {
  const auto model = load_fixture_with_adapter("llama_gqa");
  auto cache = cache_for(model->shape(), 1, 2);
  const auto ids = random_ids(3, model->shape().vocabulary_size, 8);
  model->prefill(cache, ids, {{.slot = 0, .num_tokens = 3}});
  for (const int64_t sequence : {0, 1}) cache.begin_sequence(sequence, 0);
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              model->next_tokens(cache, ids, {0, 1});
            }),
            "[llama] got 3 token ids for 2 sequences, expected one for each.");
  EXPECT_EQ(message_of<std::invalid_argument>([&] {
              model->try_tokens(cache, ids, {{0, 0}});
            }),
            "[llama] got 3 token ids for 1 candidate, expected one for each.");
}

// Short and long texts of attention, up to the longest that is joined.
void expect_prompts_by_themselves(Llama& model) {
  const auto ids = random_ids(nn::kMaxJoinedPrompt, model.shape().vocabulary_size, 7);
  const std::vector<int64_t> lengths = {130, 9, nn::kMaxJoinedPrompt, 1, 40, 200};
  auto cache = nn::KvCache({.num_layers = model.shape().num_layers,
                            .num_kv_heads = model.shape().num_kv_heads,
                            .head_dim = model.shape().head_dim,
                            .window = model.shape().sliding_window,
                            .num_prompts = std::ssize(lengths),
                            .prompt_capacity = nn::kMaxJoinedPrompt,
                            .num_sequences = 1,
                            .sequence_capacity = 1});
  const auto next_state = [&](int64_t prompt) {  // reads the keys and values that were kept
    cache.begin_sequence(0, prompt);
    return model.next_tokens(cache, ids.narrow(0, 0, 1), {0});
  };
  std::vector<Tensor> states, next, texts;
  const auto count = std::ssize(lengths);
  std::vector<nn::PromptSlot> joined;
  for (int64_t i = 0; i < count; ++i) {
    texts.push_back(ids.narrow(0, 0, lengths[i]));
    states.push_back(model.prefill(cache, texts.back(), {{i, lengths[i]}}));
    next.push_back(next_state(i));
    joined.push_back({.slot = count - 1 - i, .num_tokens = lengths[i]});  // in other slots, too
  }
  EXPECT_TRUE(at::equal(model.prefill(cache, at::cat(texts), joined), at::cat(states)));
  for (size_t i = 0; i < lengths.size(); ++i) {
    EXPECT_TRUE(at::equal(next_state(joined[i].slot), next[i])) << lengths[i] << " tokens";
  }
}

TEST_P(CachedStates, APromptsBitsDoNotDependOnTheOthers) {
  expect_prompts_by_themselves(*load_fixture_with_adapter(GetParam()));
}

TEST_P(CachedStates, ARowsBitsDoNotDependOnTheOthers) {
  expect_rows_by_themselves(*load_fixture_with_adapter(GetParam()));
}

// Half types get rows of padding, which no prompt sees and no slot stores.
TEST(CachedStatesHalf, EqualTheWholeTextInBfloat16) {
  const auto model = load_model(model_folder("llama_gqa"), torch::kBFloat16, torch::kCPU);
  const int64_t vocabulary = model->shape().vocabulary_size;
  const std::vector<Tensor> texts = {random_ids(20, vocabulary, 1), random_ids(12, vocabulary, 2)};
  const std::vector<int64_t> lengths = {15, 3};
  auto cache = cache_for(model->shape(), 2, 2);
  const auto prompts =
      at::cat({texts[0].narrow(0, 0, lengths[0]), texts[1].narrow(0, 0, lengths[1])});
  const auto states = model->prefill(cache, prompts, {{0, lengths[0]}, {1, lengths[1]}});
  ASSERT_EQ(states.size(0), 18);
  for (int64_t i = 0; i < 2; ++i) {
    cache.begin_sequence(i, i);
    EXPECT_EQ(cache.position(i), lengths[i]);
    const auto expected = whole_text(*model, texts[i]);
    EXPECT_TRUE(is_close(states.narrow(0, 15 * i, lengths[i]), expected.narrow(0, 0, lengths[i]),
                         torch::kBFloat16));
    for (int64_t position = lengths[i]; position < texts[i].size(0); ++position) {
      const auto next = model->next_tokens(cache, texts[i].narrow(0, position, 1), {i});
      EXPECT_TRUE(is_close(next, expected.narrow(0, position, 1), torch::kBFloat16)) << position;
    }
  }
}

// ---- Quantised weights --------------------------------------------------------------------------

std::shared_ptr<Llama> load_quantized(const std::string& name) {
  return load_for_decoding(gguf_file(name), WeightFormat::kAuto, torch::kFloat32, torch::kCPU);
}

class QuantizedModel : public testing::TestWithParam<std::string> {};
// All quantised types, F16 and BF16, untied; and one type, tied.
INSTANTIATE_TEST_SUITE_P(Ggufs, QuantizedModel, testing::Values("llama_mixed", "llama_tied_q4_1"),
                         testing_support::by_value);

// By the formulas the blocks are the dense weights, whose logits are transformers' own. (Not of
// llama_mixed, whose Q6_K weights are rounded anew.)
TEST(QuantizedModelPlain, ByTheFormulasEqualTheDenseModel) {
  const auto dense = load_model(gguf_file("llama_tied_q4_1"), torch::kFloat32, torch::kCPU);
  const auto expected = first_logits(*dense, 2);
  const auto model = load_quantized("llama_tied_q4_1");
  const kernels::PlainPathGuard plain;
  EXPECT_TRUE(is_close(first_logits(*model, 2), expected));
}

// Inputs rounded to 8 bits: no worse than bfloat16, which has as many.
TEST_P(QuantizedModel, AreNearTheDenseModel) {
  const auto dense = load_model(gguf_file(GetParam()), torch::kFloat32, torch::kCPU);
  const auto model = load_quantized(GetParam());
  EXPECT_TRUE(is_close(first_logits(*model, 2), first_logits(*dense, 2), torch::kBFloat16));
  const nn::LoraConfig config{.rank = 4, .alpha = 32};
  for (const auto& each : {dense, model}) {
    attach_adapter(*each, config, {"all-linear"}, /*seed=*/1);
    const torch::NoGradGuard no_grad;
    for (const auto& factor : each->trainable()) {
      if (factor.name.ends_with("lora_B.weight")) factor.value.fill_(0.02);
    }
  }
  EXPECT_TRUE(is_close(first_logits(*model, 2), first_logits(*dense, 2), torch::kBFloat16));
}

TEST_P(QuantizedModel, ARowsBitsDoNotDependOnTheOthers) {
  const auto model = load_quantized(GetParam());
  expect_rows_by_themselves(*model);
}

TEST_P(QuantizedModel, APromptsBitsDoNotDependOnTheOthers) {
  expect_prompts_by_themselves(*load_quantized(GetParam()));
}

TEST_P(QuantizedModel, AreForDecodingAlone) {
  const auto model = load_quantized(GetParam());
  const auto ids = random_ids(5, model->shape().vocabulary_size, 1);
  EXPECT_THAT(message_of<std::invalid_argument>([&] { whole_text(*model, ids); }),
              testing::AllOf(testing::StartsWith("[linear] weight type: got Q4_"),
                             testing::HasSubstr("Quantised weights are for decoding alone")));
  if (GetParam() != "llama_tied_q4_1") return;
  const auto hidden = at::ones({5, model->shape().hidden_size});
  EXPECT_EQ(message_of<std::invalid_argument>([&] { model->token_nll(hidden, ids, {}); }),
            "[token_nll] weight type: got Q4_1, expected float32, bfloat16 or float16. Quantised "
            "weights are for decoding alone: row by row, without gradients.");
}

}  // namespace cached_states_test
}  // namespace cpx::models
