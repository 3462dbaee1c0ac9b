// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/choice_data.h"

#include <gtest/gtest.h>

#include "tests/support/folders.h"

namespace cpx::evaluation {
namespace choice_data_test {

using Texts = std::vector<std::string>;

class ChoiceDataTest : public testing_support::ScratchFolderTest {
 protected:
  std::vector<ChoiceDocument> read(std::string_view task, const std::string& name,
                                   int64_t limit = 0) const {
    return read_choice_data(find_choice_task(task), folder_ / name, ChoicePart::kEvaluated, limit)
        .documents;
  }
  std::string error_of(std::string_view task, const std::string& name) const {
    return data_error_of([&] { read(task, name); });
  }

  static std::string piqa(const std::string& goal, int label = 0) {
    return R"({"goal": ")" + goal + R"(", "sol1": "a", "sol2": "b", "label": )" +
           std::to_string(label) + "}\n";
  }
  static std::string mmlu(const std::string& subject, const std::string& question) {
    return R"({"question": ")" + question + R"(", "subject": ")" + subject +
           R"(", "choices": ["a", "b", "c", "d"], "answer": 1})" + "\n";
  }
};

TEST_F(ChoiceDataTest, PiqasLabelsMayStandBesideIt) {
  write("valid.jsonl",
        "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n"
        "{\"goal\": \"h\", \"sol1\": \"a\", \"sol2\": \"b\"}\n");
  write("valid-labels.lst", "1\n0\n");
  const auto documents = read("piqa", "");
  ASSERT_EQ(documents.size(), 2);
  EXPECT_EQ(documents[0].gold, 1);
  EXPECT_EQ(documents[1].gold, 0);
}

TEST_F(ChoiceDataTest, ALabelThatIsNotBesideItIsAnError) {
  write("valid.jsonl",
        "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n"
        "{\"goal\": \"h\", \"sol1\": \"a\", \"sol2\": \"b\"}\n");
  write("valid-labels.lst", "1\n");
  EXPECT_EQ(error_of("piqa", "valid.jsonl"),
            "[valid.jsonl: document 2, line 2] 'label' is missing, expected one here or in line 2 "
            "of the labels beside it.");
}

TEST_F(ChoiceDataTest, MmlusOriginalFilesLieInFolders) {
  write("test/anatomy_test.csv", "Where is the knee?,leg,arm,ear,back,A\n");
  write("test/abstract_algebra_test.csv",
        "\"Which one,\nof these?\",\"a \"\"b\"\"\",c,d,e,D\nx,1,2,3,4,B\n");
  write("dev/anatomy_dev.csv", "What beats?,heart,ear,knee,toe,A\n");
  const auto documents = read("mmlu", "");
  ASSERT_EQ(documents.size(), 3);
  EXPECT_EQ(documents[0].subject, "abstract_algebra");
  EXPECT_EQ(documents[0].requests[0].context,
            "Which one,\nof these?\nA. a \"b\"\nB. c\nC. d\nD. e\nAnswer:");
  EXPECT_EQ(documents[0].gold, 3);
  EXPECT_EQ(documents[1].number, 1);
  EXPECT_EQ(documents[2].subject, "anatomy");
  EXPECT_EQ(documents[2].number, 0);
  EXPECT_EQ(read("mmlu_anatomy", "").size(), 1);
  const auto pool =
      read_choice_data(find_choice_task("mmlu"), folder_, ChoicePart::kExamples).documents;
  ASSERT_EQ(pool.size(), 1);
  EXPECT_EQ(pool[0].subject, "anatomy");
}

TEST_F(ChoiceDataTest, RowsWithOtherFieldsAreErrors) {
  write("test/anatomy_test.csv", "Fine?,a,b,c,d,A\nWhere?,leg,arm,A\n");
  EXPECT_EQ(error_of("mmlu", ""),
            "[test/anatomy_test.csv: line 2] got 4 fields, expected 6: question, four choices, "
            "letter.");
}

TEST_F(ChoiceDataTest, SubjectsStandTogetherAndAreCutEach) {
  write("mmlu.jsonl", mmlu("anatomy", "1") + mmlu("abstract_algebra", "2") + mmlu("anatomy", "3") +
                          mmlu("anatomy", "4"));
  Texts order;
  for (const auto& document : read("mmlu", "mmlu.jsonl", /*limit=*/2)) {
    order.push_back(document.subject + document.requests[0].context.substr(0, 1));
  }
  EXPECT_EQ(order, (Texts{"abstract_algebra2", "anatomy1", "anatomy3"}));
}

TEST_F(ChoiceDataTest, AnUnknownSubjectIsToldWithTheNearest) {
  write("mmlu.jsonl", mmlu("anatomi", "1"));
  EXPECT_EQ(error_of("mmlu", "mmlu.jsonl"),
            "[mmlu.jsonl: document 1, line 1] 'subject' is 'anatomi', expected a subject of MMLU "
            "('anatomy'?).");
}

TEST_F(ChoiceDataTest, ARawFileOfWikitextIsCutIntoPages) {
  write("wiki.test.raw", " \n = One = \n \n a @-@ b \n = Two = \n c \n");
  const auto documents = read("wikitext", "");
  ASSERT_EQ(documents.size(), 2);
  EXPECT_EQ(documents[0].requests[0].continuation, " = One =\n\na-b ");
  EXPECT_EQ(documents[0].num_bytes, 21);
  EXPECT_EQ(documents[0].num_words, 8);
}

TEST_F(ChoiceDataTest, PlainDocumentsAreALineEach) {
  write("texts.txt", "The kettle is on.\n\nThank you\n");
  const auto documents = read("documents", "texts.txt");
  ASSERT_EQ(documents.size(), 2);
  EXPECT_EQ(documents[1].requests[0].continuation, "Thank you");
  EXPECT_EQ(documents[1].num_words, 2);
}

TEST_F(ChoiceDataTest, AFolderWithoutItsFilesIsAnError) {
  write("other.txt", "x");
  EXPECT_EQ(error_of("hellaswag", "."),
            "[hellaswag] .: got a folder without the documents of this task, expected "
            "hellaswag.jsonl or hellaswag_val.jsonl. Name the file itself.");
}

TEST_F(ChoiceDataTest, MissingFieldsAreToldWithFileAndLine) {
  write("piqa.jsonl", piqa("one") + "\n" + R"({"goal": "two", "sol1": "a", "label": 0})");
  EXPECT_EQ(error_of("piqa", "piqa.jsonl"), "[piqa.jsonl: document 2, line 3] 'sol2' is missing.");
}

// ---- Examples --------------------------------------------------------------------------------

class Preambles : public ChoiceDataTest {
 protected:
  Texts preambles(std::string_view task, const std::string& documents, const std::string& pool,
                  int64_t num_shots) const {
    const ChoiceTask& found = *find_choice_task(task).task;
    write("documents.jsonl", documents);
    write("pool.jsonl", pool);
    auto read_documents = read(task, "documents.jsonl");
    add_preambles(found, read(task, "pool.jsonl"), num_shots, read_documents);
    Texts texts;
    for (const auto& document : read_documents) texts.push_back(document.preamble);
    return texts;
  }
  static std::string example(const std::string& goal) {
    return "Question: " + goal + "\nAnswer: a\n\n";
  }
};

TEST_F(Preambles, WithoutATestSplitOneMoreIsDrawnAndTheDocumentItselfLeftOut) {
  // Random(1234).sample(range(5), 3) = 3, 0, 4 and then 0, 4, 2.
  std::string pool;
  for (const char* goal : {"p0", "p1", "p2", "p3", "p4"}) pool += piqa(goal);
  EXPECT_EQ(preambles("piqa", piqa("new") + piqa("p0"), pool, 2),
            (Texts{example("p3") + example("p0"), example("p4") + example("p2")}));
}

TEST_F(Preambles, CopiesOfTheDocumentAreDrawnAgain) {
  // Both that are drawn are the document.
  EXPECT_EQ(preambles("piqa", piqa("p0"), piqa("p0") + piqa("p0"), 0), (Texts{""}));
  EXPECT_EQ(data_error_of([&] { preambles("piqa", piqa("p0"), piqa("p0") + piqa("p0"), 1); }),
            "[piqa] --shots 1: got 0 examples, expected 1 or more.");
}

TEST_F(Preambles, TooFewExamplesAreAnError) {
  EXPECT_EQ(data_error_of([&] { preambles("piqa", piqa("new"), piqa("p0") + piqa("p1"), 2); }),
            "[piqa] --shots 2: got 2 examples, expected 3 or more (one is drawn in reserve, as it "
            "may be the document itself).");
  EXPECT_EQ(
      data_error_of([&] { preambles("mmlu", mmlu("anatomy", "q"), mmlu("anatomy", "p"), 2); }),
      "[mmlu, anatomy] --shots 2: got 1 example, expected 2 or more.");
}

TEST_F(Preambles, MmluTakesTheFirstOfTheSubject) {
  const std::string pool = mmlu("virology", "v1") + mmlu("anatomy", "a1") + mmlu("anatomy", "a2") +
                           mmlu("anatomy", "a3");
  const auto texts = preambles("mmlu", mmlu("anatomy", "q"), pool, 2);
  const auto shot = [](const std::string& question) {
    return question + "\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\n";
  };
  EXPECT_EQ(texts, (Texts{"The following are multiple choice questions (with answers) about "
                          "anatomy.\n\n" +
                          shot("a1") + shot("a2")}));
}

}  // namespace choice_data_test
}  // namespace cpx::evaluation
