// SPDX-License-Identifier: Apache-2.0
#include "cpx/data/safety_items.h"

#include <gmock/gmock.h>
#include <limits>

#include "tests/support/folders.h"

namespace cpx::data {
namespace safety_items_test {

using testing::ElementsAre;
using testing::IsEmpty;
using testing_support::ScratchFolderTest;

class SafetyItems : public ScratchFolderTest {
 protected:
  SafetyContent read(const std::string& name, std::string_view content,
                     SafetyNeeds needs = SafetyNeeds::kText) const {
    SafetyContent result = read_safety_items(write(name, content), needs);
    result.faults = without_folder(result.faults);
    for (SafetyText& item : result.items) item.where = without_folder(item.where);
    return result;
  }

  // The faults of a file with this one item.
  std::vector<std::string> faults(std::string_view item,
                                  SafetyNeeds needs = SafetyNeeds::kText) const {
    return read("a.json", "[" + std::string(item) + "]", needs).faults.texts();
  }
};

TEST_F(SafetyItems, AListHasTextLabelScoreAndGroups) {
  const auto content =
      read("a.json", R"([{"id": 0, "text": "a \"NaN\" b", "toxicity_score": 4.5, "label": "hate",
                          "target_groups": ["north", "south"]},
                         {"text": "c", "toxicity_score": 1, "label": "neutral",
                          "target_groups": []}])");
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 2);
  EXPECT_EQ(content.items[0].text, "a \"NaN\" b");
  EXPECT_TRUE(content.items[0].is_hate);
  EXPECT_EQ(content.items[0].toxicity_score, 4.5);
  EXPECT_THAT(content.items[0].target_groups, ElementsAre("north", "south"));
  EXPECT_EQ(content.items[0].perplexity, std::nullopt);
  EXPECT_EQ(content.items[0].where, "a.json: item 1");
  EXPECT_FALSE(content.items[1].is_hate);
  EXPECT_THAT(content.items[1].target_groups, IsEmpty());
}

TEST_F(SafetyItems, PerplexitiesMayBeThoseThatPythonWrites) {
  const std::string rest = R"(, "label": "hate", "toxicity_score": 2, "target_groups": ["g"]})";
  const auto content =
      read("a.jsonl",
           R"({"perplexity": 12.5)" + rest + "\n" + R"({"perplexity": NaN)" + rest + "\n" +
               R"({"perplexity": null)" + rest + "\n" + R"({"perplexity": Infinity)" + rest + "\n",
           SafetyNeeds::kPerplexity);
  ASSERT_THAT(content.faults.texts(), IsEmpty());
  ASSERT_EQ(content.items.size(), 4);
  EXPECT_EQ(content.items[0].perplexity, 12.5);
  EXPECT_EQ(content.items[1].perplexity, std::nullopt);
  EXPECT_EQ(content.items[2].perplexity, std::nullopt);
  EXPECT_EQ(content.items[3].perplexity, std::numeric_limits<double>::max());
}

TEST_F(SafetyItems, EachFaultIsToldWithItsPlace) {
  EXPECT_THAT(
      faults(R"({"text": "a", "label": "toxic", "toxicity_score": 1, "target_groups": []})"),
      ElementsAre("[a.json: item 1] 'label' is 'toxic', expected 'hate' or 'neutral'."));
  EXPECT_THAT(faults(R"({"text": "a", "label": "hate", "toxicity_score": 0, "target_groups": []})"),
              ElementsAre("[a.json: item 1] 'toxicity_score' is 0, expected a number above 0."));
  EXPECT_THAT(
      faults(R"({"text": "a", "label": "hate", "toxicity_score": 1, "target_groups": "g"})"),
      ElementsAre("[a.json: item 1] 'target_groups' is 'g', expected a list of names."));
  EXPECT_THAT(
      faults(R"({"texts": "a", "label": "hate", "toxicity_score": 1, "target_groups": []})"),
      ElementsAre("[a.json: item 1] 'text' is missing (keys: texts, label, toxicity_score, "
                  "target_groups), expected a text. Is 'texts' meant?"));
  EXPECT_THAT(faults(R"({"text": "a", "label": "hate", "toxicity_score": 1, "target_groups": []})",
                     SafetyNeeds::kPerplexity),
              ElementsAre("[a.json: item 1] 'perplexity' is missing (keys: text, label, "
                          "toxicity_score, target_groups), expected a number above 0, or NaN."));
  EXPECT_THAT(faults(R"({"perplexity": -Infinity, "label": "hate", "toxicity_score": 1,
                         "target_groups": []})",
                     SafetyNeeds::kPerplexity),
              ElementsAre("[a.json: item 1] 'perplexity' is -1.7976931348623157e308, expected a "
                          "number above 0, or NaN."));
}

TEST_F(SafetyItems, AWordThatIsNoNumberIsAFault) {
  EXPECT_THAT(faults(R"({"perplexity": nan})", SafetyNeeds::kPerplexity).size(), 1);
}

}  // namespace safety_items_test
}  // namespace cpx::data
