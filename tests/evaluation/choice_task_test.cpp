// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/choice_task.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace cpx::evaluation {
namespace choice_task_test {

using testing_support::message_of;
using Texts = std::vector<std::string>;

ChoiceDocument document_of(std::string_view task, std::string_view json) {
  return choice_document(*find_choice_task(task).task, JsonValue::parse("[a.jsonl: line 1]", json));
}

std::string error_of(std::string_view task, std::string_view json) {
  return message_of<DataError>([&] { document_of(task, json); });
}

Texts continuations(const ChoiceDocument& document) {
  Texts texts;
  for (const ChoiceRequest& request : document.requests) texts.push_back(request.continuation);
  return texts;
}

TEST(ChoiceTasks, EachHasANameAndMetrics) {
  std::set<std::string_view> names;
  for (const ChoiceTask& task : choice_tasks()) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name;
    EXPECT_FALSE(task.metrics.empty()) << task.name;
    EXPECT_FALSE(task.files.empty()) << task.name;
  }
  EXPECT_EQ(names.size(), 15);
}

TEST(ChoiceTasks, MmluHas57Subjects) {
  std::set<std::string_view> subjects;
  for (const SubjectCategory& category : mmlu_categories()) {
    subjects.insert(category.subjects.begin(), category.subjects.end());
  }
  EXPECT_EQ(subjects.size(), 57);
}

TEST(ChoiceTasks, ASubjectIsATaskToo) {
  const ChoiceTaskName name = find_choice_task("mmlu_high_school_us_history");
  EXPECT_EQ(name.task->name, "mmlu");
  EXPECT_EQ(name.subject, "high_school_us_history");
  EXPECT_EQ(subject_description(name.subject),
            "The following are multiple choice questions (with answers) about high school us "
            "history.\n\n");
}

TEST(ChoiceTasks, AnUnknownNameIsToldWithTheNearest) {
  EXPECT_EQ(message_of<ConfigError>([] { find_choice_task("helaswag"); }),
            "[command line] --task: got 'helaswag', expected hellaswag, piqa, winogrande, "
            "arc_easy, arc_challenge, openbookqa, boolq, mmlu, lambada_openai, toxigen, "
            "crows_pairs_english, truthfulqa_mc1, truthfulqa_mc2, wikitext, documents or "
            "mmlu_SUBJECT. Did you mean 'hellaswag'?");
}

TEST(ChoiceDocument, LengthsAreCodePointsWithoutTheDelimiter) {
  const auto document =
      document_of("piqa", R"({"goal": "g", "sol1": "cr\u00e8me", "sol2": "tea", "label": "1"})");
  EXPECT_EQ(document.lengths, (std::vector<int64_t>{5, 3}));
  EXPECT_EQ(document.gold, 1);
  EXPECT_EQ(document.requests[1].context, "Question: g\nAnswer:");
  EXPECT_EQ(document.requests[1].continuation, " tea");
}

TEST(ChoiceDocument, WinograndeScoresTheRestOfTheSentence) {
  const auto document = document_of(
      "winogrande",
      R"({"sentence": "The _ fell _ down .", "option1": "cup", "option2": "cat", "answer": "2"})");
  EXPECT_EQ(document.requests[0].context, "The cup");
  EXPECT_EQ(document.requests[1].context, "The cat");
  EXPECT_EQ(continuations(document), (Texts{" fell _ down .", " fell _ down ."}));
  EXPECT_EQ(document.gold, 1);
}

TEST(ChoiceDocument, OriginalArcFilesAreRead) {
  const auto document = document_of("arc_easy", R"({"id": "1", "question": {"stem": "Why?",
      "choices": [{"text": "so", "label": "1"}, {"text": "thus", "label": "2"}]},
      "answerKey": "2"})");
  EXPECT_EQ(document.requests[0].context, "Question: Why?\nAnswer:");
  EXPECT_EQ(continuations(document), (Texts{" so", " thus"}));
  EXPECT_EQ(document.gold, 1);
}

TEST(ChoiceDocument, OriginalOpenbookqaFilesAreRead) {
  const auto document = document_of("openbookqa", R"({"question": {"stem": "A bird",
      "choices": [{"text": "flies", "label": "A"}, {"text": "reads", "label": "B"}]},
      "answerKey": "A"})");
  EXPECT_EQ(document.requests[0].context, "A bird");
  EXPECT_EQ(document.gold, 0);
}

TEST(ChoiceDocument, GooglesBoolqGetsItsTitleInFront) {
  const auto document = document_of(
      "boolq", R"({"question": "is it", "title": "Oak", "answer": true, "passage": "A tree."})");
  EXPECT_EQ(document.requests[0].context, "Oak -- A tree.\nQuestion: is it?\nAnswer:");
  EXPECT_EQ(document.gold, 1);
  EXPECT_EQ(document_of("boolq", R"({"question": "q", "passage": "p", "label": false})").gold, 0);
}

TEST(ChoiceDocument, TruthfulqasOriginalTargetsAreRead) {
  const auto document = document_of(
      "truthfulqa_mc2", R"({"question": "q", "mc2_targets": {"yes": 1, "no": 0, "aye": 1}})");
  EXPECT_EQ(continuations(document), (Texts{" yes", " no", " aye"}));
  EXPECT_EQ(document.is_true, (std::vector<bool>{true, false, true}));
}

TEST(ChoiceDocument, LambadaSplitsAtTheLastBlank) {
  const auto document = document_of("lambada_openai", R"({"text": "the end  is near"})");
  EXPECT_EQ(document.requests[0].context, "the end  is");
  EXPECT_EQ(document.requests[0].continuation, " near");
  EXPECT_EQ(document_of("lambada_openai", R"({"text": "near"})").requests[0].context, "");
}

TEST(ChoiceDocument, ToxigenIsToxicAboveTheMiddle) {
  const auto gold = [](const char* human) {
    return *document_of("toxigen", std::string(R"({"text": "t", "toxicity_ai": 2.5,
        "toxicity_human": )") + human + "}")
                .gold;
  };
  EXPECT_EQ(gold("3.0"), 0);
  EXPECT_EQ(gold("3.1"), 1);
}

TEST(ChoiceDocument, CrowsPairsHaveNoDelimiter) {
  EXPECT_EQ(continuations(document_of("crows_pairs_english",
                                      R"({"sent_more": "Bakers.", "sent_less": "Farmers."})")),
            (Texts{"Bakers.", "Farmers."}));
}

struct Fault {
  const char* task;
  const char* json;
  const char* message;
};

TEST(ChoiceDocumentErrors, EachNamesPlaceAndKey) {
  const Fault faults[] = {
      {"piqa", R"({"goal": "g", "sol1": "a", "label": 0})", "[a.jsonl: line 1] 'sol2' is missing."},
      {"piqa", R"({"goal": "g", "sol1": "a", "sol2": "", "label": 0})",
       "[a.jsonl: line 1] choice 2 of 2 is empty, expected a text."},
      {"piqa", R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 2})",
       "[a.jsonl: line 1] 'label' is 2, expected the number of a choice, 0 to 1."},
      {"piqa", R"({"goal": 7, "sol1": "a", "sol2": "b", "label": 0})",
       "[a.jsonl: line 1] 'goal' is 7, expected a text."},
      {"winogrande", R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})",
       "[a.jsonl: line 1] 'sentence' is 'no gap', expected a sentence with a gap, '_'."},
      {"winogrande", R"({"sentence": "a _", "option1": "a", "option2": "b", "answer": "3"})",
       "[a.jsonl: line 1] 'answer' is '3', expected the number of a choice, 1 to 2."},
      {"arc_easy",
       R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"})",
       "[a.jsonl: line 1] 'answerKey' is 'C', expected one of A, B."},
      {"arc_easy", R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A"]}})",
       "[a.jsonl: line 1] 'choices.label' is [\"A\"], expected a label for each of the 2 texts."},
      {"mmlu", R"({"question": "q", "choices": ["a", "b", "c"], "answer": 0})",
       "[a.jsonl: line 1] 'choices' is [\"a\",\"b\",\"c\"], expected 4 choices."},
      {"mmlu", R"({"question": "q", "choices": ["a", "b", "c", "d"], "answer": "E"})",
       "[a.jsonl: line 1] 'answer' is 'E', expected A, B, C or D."},
      {"truthfulqa_mc1",
       R"({"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [0, 1]}})",
       "[a.jsonl: line 1] 'mc1_targets' is {\"choices\":[\"a\",\"b\"],\"labels\":[0,1]}, expected "
       "the true choice in front."},
  };
  for (const Fault& fault : faults) EXPECT_EQ(error_of(fault.task, fault.json), fault.message);
}

}  // namespace choice_task_test
}  // namespace cpx::evaluation
