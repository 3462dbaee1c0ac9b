// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/faults.h"

#include <gmock/gmock.h>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::faults_test {
namespace {

using testing::ElementsAre;
using testing_support::kNothingThrown;
using testing_support::message_of;

Faults numbered(int count) {
  Faults faults;
  for (int i = 0; i < count; ++i) faults.add(fmt::format("a.json: record {}", i), "is bad.");
  return faults;
}

TEST(Faults, ALineHasThePlaceAndTheKeyThatAreKnown) {
  Faults faults;
  faults.add("a.txt", "got {}, expected {}.", 0, 1);
  faults.add_at("a.yaml:3", "adapter.rank", "got {}, expected a number > {}.", "'x'", 0);
  faults.add_line("[a.bin] its own {words}.");
  EXPECT_THAT(faults.texts(),
              ElementsAre("[a.txt] got 0, expected 1.",
                          "[a.yaml:3] adapter.rank: got 'x', expected a number > 0.",
                          "[a.bin] its own {words}."));
}

TEST(Faults, AFileGivesTheFirstTwentyAndTheNumberOfTheRest) {
  Faults faults = numbered(1);
  faults.append_file("a.json", numbered(20));
  EXPECT_EQ(faults.size(), 21);
  faults.append_file("b.json", numbered(33));
  const std::vector<std::string> texts = faults.texts();
  ASSERT_EQ(texts.size(), 42);
  EXPECT_EQ(texts[40], "[a.json: record 19] is bad.");
  EXPECT_EQ(texts[41], "[b.json] and 13 more faults.");
}

TEST(Faults, AKeyHasTheFaultsOfItsItemsAndOfTheKeysBelowIt) {
  Faults faults;
  faults.add_at("a.yaml:1", "data.train[0]", "got 1.");
  faults.add_at("a.yaml:2", "data.evaluation", "unknown key.");
  faults.add_at("a.yaml:3", "reward.model", "got null.");
  faults.add("a.yaml:4] data.retain", "is no key of its own.");
  EXPECT_TRUE(faults.has_fault_at("data.train"));
  EXPECT_TRUE(faults.has_fault_at("reward"));
  EXPECT_FALSE(faults.has_fault_at("data.eval"));
  EXPECT_FALSE(faults.has_fault_at("data.retain"));
}

TEST(Faults, CollectReturnsTheResultOrAddsTheError) {
  Faults faults;
  EXPECT_EQ(faults.collect([] { return 3; }), 3);
  EXPECT_TRUE(faults.collect([] {}));
  EXPECT_EQ(faults.collect([]() -> int { throw DataError("[a] one."); }), std::nullopt);
  EXPECT_FALSE(faults.collect([] { throw DataError("[a] two."); }));
  EXPECT_THROW(faults.collect([] { throw std::invalid_argument("a mistake of ours"); }),
               std::invalid_argument);
  EXPECT_THAT(faults.texts(), ElementsAre("[a] one.", "[a] two."));
}

TEST(Faults, OneErrorHasAllOfThem) {
  EXPECT_EQ(message_of<ConfigError>([] { numbered(0).throw_if_any(); }), kNothingThrown);
  EXPECT_EQ(message_of<ConfigError>([] { numbered(2).throw_if_any(); }),
            "[a.json: record 0] is bad.\n[a.json: record 1] is bad.");
}

TEST(Faults, OneErrorHasTheFirstAndTheNumberOfTheRest) {
  const auto message = [](int count) {
    return message_of<DataError>(
        [&] { numbered(count).throw_first_if_any(": --validate shows all"); });
  };
  EXPECT_EQ(message(0), kNothingThrown);
  EXPECT_EQ(message(1), "[a.json: record 0] is bad.");
  EXPECT_EQ(message(2), "[a.json: record 0] is bad. (1 more fault: --validate shows all)");
  EXPECT_EQ(message(3), "[a.json: record 0] is bad. (2 more faults: --validate shows all)");
}

}  // namespace
}  // namespace cpx::faults_test
