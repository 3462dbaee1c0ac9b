// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/text_samples.h"

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::report {
namespace text_samples_test {

std::vector<SampleText> read(const std::string& json) {
  return samples_of(JsonValue::parse("[a.jsonl: line 1]", json));
}

TEST(TextSamples, ALineOfGenerationsHasAStep) {
  const auto samples = read(R"({"step":50,"prompt":"A kettle","text":" sings"})");
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_EQ(samples[0].prompt, "A kettle");
  EXPECT_EQ(samples[0].text, " sings");
  EXPECT_EQ(samples[0].row, "step 50");
  EXPECT_FALSE(samples[0].toxicity.has_value());
  EXPECT_EQ(read(R"({"prompt":"Say it kindly: a","input":"a","text":"b"})")[0].prompt, "a");
}

TEST(TextSamples, ALineOfContinuationsHasItsSampleSideAndScore) {
  const auto samples = read(R"({"prompt":"a","sample":3,"side":"base","text":"b","score":0.75})");
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_EQ(samples[0].row, "sample 3");
  EXPECT_EQ(samples[0].side, "base");
  EXPECT_EQ(samples[0].toxicity, 0.75);
}

TEST(TextSamples, AListGivesATextEach) {
  const auto samples =
      read(R"({"prompt":{"text":"a"},"continuations":["b","c"],"toxicity":[0.1,0.9]})");
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_EQ(samples[1].prompt, "a");
  EXPECT_EQ(samples[1].text, "c");
  EXPECT_EQ(samples[1].toxicity, 0.9);
}

TEST(TextSamples, AScoreThatIsNoProbabilitySaysNothingOfToxicity) {
  EXPECT_FALSE(read(R"({"prompt":"a","text":"b","score":-4.2})")[0].toxicity.has_value());
  EXPECT_FALSE(read(R"({"prompt":"a","text":"b","score":"high"})")[0].toxicity.has_value());
  EXPECT_EQ(read(R"({"prompt":"a","text":"b","toxic":true})")[0].toxicity, 1.0);
}

TEST(TextSamples, OtherObjectsAreNone) {
  EXPECT_FALSE(is_sample(JsonValue::parse("[a]", R"({"kind":"choice","tasks":[]})")));
  EXPECT_FALSE(is_sample(JsonValue::parse("[a]", R"({"text":"b"})")));
  EXPECT_TRUE(is_sample(JsonValue::parse("[a]", R"({"input":"a","rewrite":"b"})")));
}

TEST(TextSamples, AWrongTypeIsToldWithItsPlace) {
  EXPECT_EQ(testing_support::message_of<DataError>([] { read(R"({"prompt":"a","text":7})"); }),
            "[a.jsonl: line 1] 'text' is 7, expected a text.");
}

}  // namespace text_samples_test
}  // namespace cpx::report
