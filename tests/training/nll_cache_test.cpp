// SPDX-License-Identifier: Apache-2.0
#include "cpx/training/nll_cache.h"

#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/data/packed_batch.h"
#include "record_steps.h"
#include "step_check.h"
#include "tiny_run.h"

namespace cpx::training {
namespace nll_cache_test {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const Fingerprints kKey = {{"model", "tiny"}, {"dtype", "float32"}};

void fill(const fs::path& file, const Fingerprints& key = kKey) {
  NllCache cache(file, key);
  cache.put(7, {0.1F, 2.5F, 1e-30F});
  cache.put(8, {3.0F});
}

// What opening `file` says on standard error.
std::string warning_of_opening(const fs::path& file, const Fingerprints& key,
                               int64_t* num_entries) {
  testing::internal::CaptureStderr();
  {
    const NllCache cache(file, key);
    *num_entries = cache.num_entries();
  }
  return testing::internal::GetCapturedStderr();
}

TEST(NllCache, ValuesComeBackToTheBit) {
  const auto file = fresh_folder() / "sub" / "base.nll";
  fill(file);
  const NllCache cache(file, kKey);
  EXPECT_EQ(cache.num_entries(), 2);
  EXPECT_THAT(cache.get(7, 3).value(), ElementsAre(0.1F, 2.5F, 1e-30F));
  EXPECT_THAT(cache.get(8, 1).value(), ElementsAre(3.0F));
}

TEST(NllCache, UnknownIdsAndOtherNumbersOfValuesAreNotFound) {
  NllCache cache;
  cache.put(7, {1.0F, 2.0F});
  EXPECT_EQ(cache.get(9, 2).has_value(), false);
  EXPECT_EQ(cache.get(7, 1).has_value(), false);
  cache.put(7, {4.0F});
  EXPECT_THAT(cache.get(7, 1).value(), ElementsAre(4.0F));
  EXPECT_EQ(cache.num_entries(), 1);
}

TEST(NllCache, ALaterRunAddsToIt) {
  const auto file = fresh_folder() / "base.nll";
  fill(file);
  {
    NllCache cache(file, kKey);
    cache.put(9, {});
    cache.put(10, {5.0F});
  }
  const NllCache cache(file, kKey);
  EXPECT_EQ(cache.num_entries(), 4);
  EXPECT_THAT(cache.get(7, 3).value(), ElementsAre(0.1F, 2.5F, 1e-30F));
  EXPECT_TRUE(cache.get(9, 0).has_value());
  EXPECT_THAT(cache.get(10, 1).value(), ElementsAre(5.0F));
}

TEST(NllCache, NothingNewIsNotWritten) {
  const auto file = fresh_folder() / "base.nll";
  { const NllCache cache(file, kKey); }
  EXPECT_FALSE(fs::exists(file));
}

// Values enough for a write of their own are there before the object ends.
TEST(NllCache, ManyNewValuesAreWrittenAtOnce) {
  const auto file = fresh_folder() / "base.nll";
  NllCache cache(file, kKey);
  cache.put(1, std::vector<float>(100));
  EXPECT_FALSE(fs::exists(file));
  cache.put(2, std::vector<float>(1 << 18));
  EXPECT_EQ(NllCache(file, kKey).num_entries(), 2);
}

TEST(NllCache, AChangedKeyIsToldAndBegunAnew) {
  const auto file = fresh_folder() / "base.nll";
  fill(file);
  int64_t num_entries = -1;
  const auto message =
      warning_of_opening(file, {{"model", "other"}, {"quantization", "nf4"}}, &num_entries);
  EXPECT_EQ(num_entries, 0);
  EXPECT_THAT(message, HasSubstr("[" + file.string() +
                                 "] the cache of NLLs was made otherwise: dtype: got nothing, "
                                 "expected float32; model: got other, expected tiny; quantization: "
                                 "got nf4, expected nothing. They are computed anew."));
  EXPECT_EQ(NllCache(file, kKey).num_entries(), 2) << "reading alone changes nothing";
  {
    NllCache cache(file, {{"model", "other"}});
    cache.put(1, {1.0F});
  }
  EXPECT_EQ(NllCache(file, {{"model", "other"}}).num_entries(), 1);
  EXPECT_EQ(NllCache(file, kKey).num_entries(), 0);
}

TEST(NllCache, EveryFlippedByteIsNoticed) {
  const auto file = fresh_folder() / "base.nll";
  fill(file);
  const std::string sound = read_text_file(file);
  for (size_t i = 0; i < sound.size(); ++i) {
    std::string damaged = sound;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    write_file_atomically(file, damaged);
    int64_t num_entries = -1;
    const auto message = warning_of_opening(file, kKey, &num_entries);
    EXPECT_EQ(num_entries, 0) << i;
    EXPECT_THAT(message, HasSubstr("[" + file.string() + "] the cache of NLLs is damaged: ")) << i;
    EXPECT_THAT(message, HasSubstr(i < 16 ? ": it does not begin with 'cpx NLL cache 1'. They are "
                                            "computed anew."
                                          : ": got checksum "))
        << i;
  }
}

TEST(NllCache, EveryTornFileIsNoticed) {
  const auto file = fresh_folder() / "base.nll";
  fill(file);
  const std::string sound = read_text_file(file);
  for (size_t length = 0; length < sound.size(); ++length) {
    write_file_atomically(file, sound.substr(0, length));
    int64_t num_entries = -1;
    EXPECT_THAT(warning_of_opening(file, kKey, &num_entries), HasSubstr("is damaged: ")) << length;
    EXPECT_EQ(num_entries, 0) << length;
  }
}

TEST(NllCache, ADamagedFileIsReplaced) {
  const auto file = fresh_folder() / "base.nll";
  write_file_atomically(file, "no cache");
  fill(file);
  EXPECT_EQ(NllCache(file, kKey).num_entries(), 2);
}

TEST(NllCache, AFolderInItsPlaceIsAWarning) {
  const auto folder = fresh_folder() / "base.nll";
  fs::create_directories(folder / "kept");
  testing::internal::CaptureStderr();
  fill(folder);
  const auto message = testing::internal::GetCapturedStderr();
  EXPECT_THAT(message, HasSubstr("the cache of NLLs is damaged"));
  EXPECT_THAT(message,
              HasSubstr("The cache of NLLs is not kept: the next run computes them anew."));
  EXPECT_TRUE(fs::exists(folder / "kept"));
}

TEST(NllCache, IdsTellSequencesApart) {
  const std::vector<tokenizer::TokenId> ids = {3, 4, 5};
  const std::vector<tokenizer::TokenId> other = {3, 4, 6};
  EXPECT_EQ(sequence_id(ids), sequence_id(std::vector<tokenizer::TokenId>{3, 4, 5}));
  EXPECT_NE(sequence_id(ids), sequence_id(other));
  EXPECT_NE(sequence_id(ids, 1), sequence_id(ids, 2));
}

// The same tokens, parted otherwise or predicted otherwise.
TEST(NllCache, IdsTellPacksApart) {
  const std::vector<tokenizer::TokenId> ids = {3, 4, 5, 6};
  const std::span<const tokenizer::TokenId> all(ids);
  const auto id_of = [](std::vector<data::BatchText> texts) { return pack_id(data::pack(texts)); };
  const auto whole = id_of({{.ids = all}});
  EXPECT_EQ(whole, id_of({{.ids = all}}));
  EXPECT_NE(whole, id_of({{.ids = all.first(2)}, {.ids = all.last(2)}}));
  EXPECT_NE(whole, id_of({{.ids = all, .num_given = 2}}));
}

// ---- In use -------------------------------------------------------------------------------------

struct Losses {
  std::vector<double> values;
  int64_t num_base_passes = 0;
};

// The losses of an epoch and the evaluation.
Losses losses_with(std::shared_ptr<NllCache> cache,
                   objectives::ContrastiveOptions::Padding padding) {
  const auto encoder = number_encoder();
  const auto records = tiny_records(5);
  const auto eval_records = tiny_records(2, /*seed=*/9);
  auto options = tiny_step_options();
  options.objective.padding = padding;
  options.base_cache = std::move(cache);
  const auto step = contrast_step(records, eval_records, encoder, options);
  BaseCountingModel model;
  Losses losses;
  for (int64_t i = 0; i < step->num_micro_batches(); ++i) {
    losses.values.push_back(loss_of(model, *step->prepare(model, 0, i)));
  }
  losses.values.push_back(step->evaluate(model).loss);
  losses.num_base_passes = model.num_base_passes;
  return losses;
}

TEST(NllCache, ContrastLossesAreTheSameToTheBitAndCostNoPass) {
  using Padding = objectives::ContrastiveOptions::Padding;
  for (const auto padding : {Padding::kExclude, Padding::kPublished}) {
    const auto file = fresh_folder() / "base.nll";
    const auto without = losses_with(nullptr, padding);
    const auto first = losses_with(std::make_shared<NllCache>(file, kKey), padding);
    const auto second = losses_with(std::make_shared<NllCache>(file, kKey), padding);
    EXPECT_EQ(without.values, first.values);
    EXPECT_EQ(without.values, second.values);
    EXPECT_GT(without.num_base_passes, 0);
    // What pads predict of pads is the same for training and evaluation: one pass with a cache.
    const int64_t shared_passes = padding == Padding::kPublished ? 1 : 0;
    EXPECT_EQ(first.num_base_passes, without.num_base_passes - shared_passes);
    EXPECT_EQ(second.num_base_passes, 0);
    const auto changed =
        losses_with(std::make_shared<NllCache>(file, Fingerprints{{"model", "x"}}), padding);
    EXPECT_EQ(changed.num_base_passes, first.num_base_passes);
    EXPECT_EQ(changed.values, without.values);
  }
}

}  // namespace nll_cache_test
}  // namespace cpx::training
