// SPDX-License-Identifier: Apache-2.0
// Greedy continuations against transformers' generate() (scripts/fixtures/make_generation.py), and
// that what a sample is depends on nothing but itself.
#include "cpx/generation/text_generator.h"

#include <map>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cpx/models/load.h"
#include "tests/generation/fixtures.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::generation {
namespace text_generator_test {

TextGeneratorOptions greedy(int64_t new_tokens) {
  TextGeneratorOptions options;
  options.sampling.temperature = 0.0;
  options.sampling.max_new_tokens = new_tokens;
  options.max_prompt_tokens = 40;
  return options;
}

void expect_greedy(nn::CausalLm& model, const nlohmann::json& cases) {
  ASSERT_FALSE(cases.empty());
  std::vector<Prompt> prompts;
  for (const auto& one : cases) prompts.push_back({.ids = one["prompt"], .number = prompts.size()});
  const auto new_tokens = std::ssize(cases[0]["greedy"]);
  const auto continuations = continue_prompts(model, prompts, greedy(new_tokens));
  ASSERT_EQ(continuations.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(continuations[i].ids, cases[i]["greedy"].get<std::vector<int64_t>>()) << i;
  }
}

class GreedyText : public testing::TestWithParam<std::string> {};
// The window of mistral_window is 8: prompts and continuations reach far beyond it.
INSTANTIATE_TEST_SUITE_P(Fixtures, GreedyText,
                         testing::Values("llama_gqa", "llama_tied_llama3", "mistral_window",
                                         "llama_gptq_4bit"),
                         testing_support::by_value);

TEST_P(GreedyText, IsThePeersTokenByToken) {
  expect_greedy(*load_tiny(GetParam(), /*with_adapter=*/false),
                read_generation(GetParam())["base"]);
}

TEST_P(GreedyText, IsThePeersWithAnAdapter) {
  expect_greedy(*load_tiny(GetParam(), /*with_adapter=*/true),
                read_generation(GetParam())["adapter"]);
}

TEST(GreedyText, IsThePeersOnSmolLm2) {
  const std::filesystem::path file = CPX_SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto model = models::load_model(file, torch::kFloat32, torch::kCPU);
  expect_greedy(*model, read_generation("smollm2")["base"]);
}

// ---- What a sample depends on -------------------------------------------------------------------

using Samples = std::map<std::pair<uint64_t, int64_t>, std::vector<int64_t>>;
using testing_support::message_of;

Samples by_number(const std::vector<Continuation>& continuations) {
  Samples samples;
  for (const Continuation& one : continuations) samples[{one.prompt, one.sample}] = one.ids;
  return samples;
}

std::vector<Prompt> seven_prompts() {
  std::vector<Prompt> prompts;
  for (uint64_t i = 0; i < 7; ++i) {
    Prompt prompt{.ids = {}, .number = i, .num_samples = 1 + static_cast<int64_t>(i % 4)};
    for (uint64_t n = 0; n <= 3 * i; ++n) {
      prompt.ids.push_back(static_cast<int64_t>(3 + (7 * i + 5 * n) % 60));
    }
    prompts.push_back(prompt);
  }
  return prompts;
}

TextGeneratorOptions sampled() {
  TextGeneratorOptions options;
  options.sampling.max_new_tokens = 25;
  options.sampling.stop_ids = {2, 9, 17};  // lengths differ
  options.max_prompt_tokens = 40;
  options.seed = 5;
  return options;
}

class SampleBits : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, SampleBits, testing::Values("llama_gqa", "mistral_window"),
                         testing_support::by_value);

void expect_same_in_any_batch(nn::CausalLm& model, TextGeneratorOptions options) {
  auto prompts = seven_prompts();
  options.batch_size = 1;
  const auto expected = by_number(continue_prompts(model, prompts, options));
  ASSERT_EQ(expected.size(), 1 + 2 + 3 + 4 + 1 + 2 + 3);
  for (const int64_t batch_size : {2, 5, 40}) {
    for (const int64_t num_prompts : {1, 3, 7}) {
      options.batch_size = batch_size;
      options.num_prompts = num_prompts;
      EXPECT_EQ(by_number(continue_prompts(model, prompts, options)), expected)
          << batch_size << " at once, of " << num_prompts << " prompts";
    }
  }
  std::reverse(prompts.begin(), prompts.end());
  EXPECT_EQ(by_number(continue_prompts(model, prompts, options)), expected);
}

TEST_P(SampleBits, DependNeitherOnTheBatchNorOnTheOrder) {
  expect_same_in_any_batch(*load_tiny(GetParam(), /*with_adapter=*/true), sampled());
}

std::shared_ptr<models::Llama> load_quantized(const std::string& name) {
  return models::load_for_decoding(testing_support::fixture("gguf/" + name + ".gguf"),
                                   models::WeightFormat::kAuto, torch::kFloat32, torch::kCPU);
}

class QuantizedSampleBits : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Fixtures, QuantizedSampleBits,
                         testing::Values("llama_mixed", "llama_tied_q4_1"),
                         testing_support::by_value);

TEST_P(QuantizedSampleBits, DependNeitherOnTheBatchNorOnTheOrder) {
  const auto model = load_quantized(GetParam());
  expect_same_in_any_batch(*model, sampled());
  expect_same_in_any_batch(*model, greedy(20));
}

// 1 to 40 sequences at once, all greedy: each is what it is alone.
TEST_P(QuantizedSampleBits, GreedyTextIsTheSameForAnyNumberOfSequences) {
  const auto model = load_quantized(GetParam());
  std::vector<Prompt> prompts = {{.ids = {5, 40, 17, 99, 3}}};
  auto options = greedy(10);
  const auto alone = continue_prompts(*model, prompts, options)[0].ids;
  ASSERT_EQ(alone.size(), 10U);
  for (int64_t count = 2; count <= 40; ++count) {
    options.batch_size = count;
    prompts[0].num_samples = count;
    for (const auto& one : continue_prompts(*model, prompts, options)) {
      ASSERT_EQ(one.ids, alone) << count;
    }
  }
}

TEST(TextGenerator, SamplesOfAPromptAndSeedsDiffer) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  const std::vector<Prompt> prompts = {{.ids = {5, 6}, .number = 0, .num_samples = 2},
                                       {.ids = {5, 6}, .number = 1}};
  auto options = sampled();
  options.sampling.stop_ids = {};
  auto samples = by_number(continue_prompts(*model, prompts, options));
  EXPECT_NE((samples[{0, 0}]), (samples[{0, 1}]));
  EXPECT_NE((samples[{0, 0}]), (samples[{1, 0}]));
  options.seed = 6;
  EXPECT_NE((by_number(continue_prompts(*model, prompts, options))[{0, 0}]), (samples[{0, 0}]));
}

// ---- Ends and counts ----------------------------------------------------------------------------

TEST(TextGenerator, SaysWhyASampleEnds) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  const auto one = read_generation("llama_gqa")["base"][1];
  const auto greedy_ids = one["greedy"].get<std::vector<int64_t>>();
  const std::vector<Prompt> prompts = {{.ids = one["prompt"]}};
  auto options = greedy(5);
  EXPECT_EQ(continue_prompts(*model, prompts, options)[0].reason, FinishReason::kLength);

  options.sampling.stop_ids = {greedy_ids[3]};
  const auto until = std::ranges::find(greedy_ids, greedy_ids[3]);
  const auto stopped = continue_prompts(*model, prompts, options)[0];
  EXPECT_EQ(stopped.reason, FinishReason::kStopToken);
  EXPECT_EQ(stopped.stop_id, greedy_ids[3]);
  EXPECT_EQ(stopped.ids, std::vector<int64_t>(greedy_ids.begin(), until));

  options.sampling.stop_ids = {};
  std::vector<Continuation> finished;
  bool is_given = false;
  TextGenerator(*model, options)
      .run(
          [&]() -> std::optional<Prompt> {
            return std::exchange(is_given, true) ? std::nullopt : std::optional(prompts[0]);
          },
          {.on_token = [&](uint64_t, int64_t, int64_t id) { return id == greedy_ids[1]; },
           .on_finished = [&](Continuation end) { finished.push_back(std::move(end)); }});
  ASSERT_EQ(finished.size(), 1);
  EXPECT_EQ(finished[0].reason, FinishReason::kStopString);
  EXPECT_EQ(finished[0].ids.back(), greedy_ids[1]);
}

// A prompt's own limit ends it earlier, never later.
TEST(TextGenerator, APromptMayHaveALimitOfItsOwn) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  const auto one = read_generation("llama_gqa")["base"][1];
  const auto greedy_ids = one["greedy"].get<std::vector<int64_t>>();
  const std::vector<int64_t> ids = one["prompt"];
  const std::vector<Prompt> prompts = {{.ids = ids, .number = 0, .max_new_tokens = 2},
                                       {.ids = ids, .number = 1},
                                       {.ids = ids, .number = 2, .max_new_tokens = 9}};
  const auto continuations = continue_prompts(*model, prompts, greedy(5));
  const std::vector<int64_t> lengths = {2, 5, 5};
  for (size_t index = 0; index < lengths.size(); ++index) {
    const std::vector<int64_t> expected(greedy_ids.begin(), greedy_ids.begin() + lengths[index]);
    EXPECT_EQ(continuations[index].ids, expected) << index;
    EXPECT_EQ(continuations[index].reason, FinishReason::kLength) << index;
    EXPECT_FALSE(continuations[index].stop_id.has_value()) << index;
  }
}

TEST(TextGenerator, ComputesAPromptOnceAndFillsFreePlaces) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  auto options = greedy(10);
  options.batch_size = 4;
  options.samples_per_prompt = 3;
  int64_t given = 0;
  int64_t num_finished = 0;
  const auto statistics = TextGenerator(*model, options)
                              .run(
                                  [&]() -> std::optional<Prompt> {
                                    if (given == 5) return std::nullopt;
                                    return Prompt{.ids = {4, 5, 6 + given},
                                                  .number = static_cast<uint64_t>(given++),
                                                  .num_samples = 3};
                                  },
                                  {.on_finished = [&](const Continuation&) { ++num_finished; }});
  EXPECT_EQ(num_finished, 15);
  EXPECT_EQ(statistics.num_prompt_tokens, 5 * 3);
  EXPECT_EQ(statistics.num_new_tokens, 15 * 10);
  // 15 samples of 9 steps each in 4 places: 36 at least, were they never waiting.
  EXPECT_EQ(statistics.num_steps, 36);
}

// Places and prompts are free again at once where the first token is the last.
TEST(TextGenerator, GoesOnWhereSamplesEndWithTheirFirstToken) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  std::vector<Prompt> prompts;
  for (uint64_t i = 0; i < 7; ++i) prompts.push_back({.ids = {4, 5}, .number = i});
  prompts[3].num_samples = 0;
  auto options = greedy(1);
  options.batch_size = 5;
  options.num_prompts = 2;
  EXPECT_EQ(continue_prompts(*model, prompts, options).size(), 6);
}

TEST(TextGenerator, EndsWhereTheListenerSaysSo) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  int64_t num_steps = 0;
  const auto statistics = TextGenerator(*model, greedy(30))
                              .run([] { return std::optional(Prompt{.ids = {4}}); },
                                   {.goes_on = [&] { return ++num_steps < 4; }});
  EXPECT_EQ(statistics.num_steps, 4);
}

std::string decoding_error(const TextGeneratorOptions& options, const Prompt& prompt) {
  const auto model = load_tiny("llama_gqa", /*with_adapter=*/false);
  return message_of<std::invalid_argument>([&] { continue_prompts(*model, {prompt}, options); });
}

TEST(DecoderErrors, APromptHasTokens) {
  EXPECT_EQ(decoding_error(greedy(5), {.ids = {}, .number = 3}),
            "[decoder] prompt 3 has 0 tokens, expected 1 to 40.");
}

TEST(DecoderErrors, APromptOverItsLimitIsRefused) {
  EXPECT_EQ(decoding_error(greedy(5), {.ids = std::vector<int64_t>(41, 5)}),
            "[decoder] prompt 0 has 41 tokens, expected 1 to 40.");
}

TEST(DecoderErrors, PromptAndNewTokensFitTheContext) {
  EXPECT_EQ(decoding_error(greedy(250), {.ids = {5}}),
            "[decoder] got prompts of up to 40 tokens and 250 new ones, expected at most 256 "
            "together (the model's context).");
}

TEST(DecoderErrors, EverySizeIsAtLeastOne) {
  EXPECT_EQ(decoding_error(greedy(0), {.ids = {5}}),
            "[decoder] got batch size 20, 40 prompt tokens and 0 new tokens, expected at least 1 "
            "each.");
}

}  // namespace text_generator_test
}  // namespace cpx::generation
