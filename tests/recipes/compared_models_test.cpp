// SPDX-License-Identifier: Apache-2.0
#include "src/recipes/compared_models.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::recipes {
namespace compared_models_test {

using testing_support::message_of;

TEST(FilePart, KeepsLettersDigitsDotsAndHyphens) {
  EXPECT_EQ(file_part("runs/demo-2/best"), "runs_demo-2_best");
  EXPECT_EQ(file_part("../a//b c/"), "a_b_c");
  EXPECT_EQ(file_part("owner/name@main"), "owner_name_main");
  EXPECT_EQ(file_part("v1.5"), "v1.5");
  EXPECT_EQ(file_part("/"), "model");
}

TEST(FolderName, DoesNotDependOnASlashBehindIt) {
  EXPECT_EQ(folder_name("models/judge"), "judge");
  EXPECT_EQ(folder_name("models/judge/"), "judge");
  EXPECT_EQ(folder_name("owner/name"), "name");
}

TEST(BesideTexts, TakesTheNameOfTheTexts) {
  EXPECT_EQ(beside_texts("out/v1.5.jsonl", "judge"), "out/v1.5.judge.jsonl");
}

TEST(ComparedModels, ShareAFolder) {
  const auto models = compared_models(std::nullopt, {"runs/a/best", "runs/b/best"}, "out/");
  ASSERT_EQ(models.size(), 3);
  EXPECT_EQ(models[0].name, "base");
  EXPECT_FALSE(models[0].adapter.has_value());
  EXPECT_EQ(models[0].texts, "out/base.jsonl");
  EXPECT_EQ(models[2].name, "runs/b/best");
  EXPECT_EQ(models[2].texts, "out/runs_b_best.jsonl");
}

TEST(ComparedModels, OneMayHaveAFile) {
  const auto models = compared_models("runs/a", {}, "texts.jsonl");
  ASSERT_EQ(models.size(), 1);
  EXPECT_EQ(models[0].name, "runs/a");
  EXPECT_EQ(models[0].adapter, "runs/a");
  EXPECT_EQ(models[0].texts, "texts.jsonl");
}

TEST(ComparedModels, WhatDoesNotGoTogetherIsTold) {
  EXPECT_EQ(message_of<ConfigError>([] { compared_models(std::nullopt, {"a"}, "texts.jsonl"); }),
            "[command line] --output: got the file texts.jsonl for 2 models, expected a folder "
            "(NAME/).");
  EXPECT_EQ(message_of<ConfigError>([] {
              compared_models(std::nullopt, {"r/a", "r_a"}, "o/");
            }),
            "[command line] --compare: got r_a twice, or a name like it, expected models of "
            "different names.");
}

}  // namespace compared_models_test
}  // namespace cpx::recipes
