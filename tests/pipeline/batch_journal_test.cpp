// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/batch_journal.h"

#include <filesystem>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/folders.h"

namespace cpx::pipeline {
namespace batch_journal_test {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;
using testing_support::ScratchFolderTest;

const std::vector<Setting> kSettings = {{"model", "m"}, {"label", "1"}};

class BatchJournalTest : public ScratchFolderTest {
 protected:
  BatchJournal open(const std::vector<Setting>& settings = kSettings,
                    bool overwrite = false) const {
    return BatchJournal({.journal = journal_, .lock = folder_ / "out.lock", .output = "out.json"},
                        settings, overwrite);
  }

  static Lines lines(const BatchJournal& journal) {
    Lines all;
    journal.read([&](std::string_view line) { all.emplace_back(line); });
    return all;
  }

  fs::path journal_ = folder_ / "out.journal";
};

TEST_F(BatchJournalTest, KeepsBatchesAcrossProcesses) {
  {
    BatchJournal journal = open();
    EXPECT_EQ(journal.num_lines(), 0);
    journal.add(Lines{"a", "b"});
    journal.add(Lines{"c"});
    EXPECT_EQ(lines(journal), (Lines{"a", "b", "c"}));
  }
  BatchJournal journal = open();
  EXPECT_EQ(journal.num_lines(), 3);
  EXPECT_EQ(lines(journal), (Lines{"a", "b", "c"}));
  journal.remove();
  EXPECT_FALSE(fs::exists(journal_));
}

TEST_F(BatchJournalTest, OneWithoutABatchIsRemoved) {
  {
    BatchJournal journal = open();
    EXPECT_TRUE(fs::exists(journal_));
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(BatchJournalTest, CutAtAnyByteHasItsWholeBatches) {
  {
    BatchJournal journal = open();
    journal.add(Lines{"a", "b"});
    journal.add(Lines{"c"});
  }
  const std::string whole = read_text_file(journal_);
  const std::string second = "c\n\n";
  const std::string first = "a\nb\n\n";
  const size_t header = whole.size() - first.size() - second.size();
  for (size_t size = 0; size <= whole.size(); ++size) {
    write_file_atomically(journal_, whole.substr(0, size));
    BatchJournal journal = open();
    const int64_t expected = size == whole.size() ? 3 : size >= header + first.size() ? 2 : 0;
    ASSERT_EQ(journal.num_lines(), expected) << size;
    if (expected == 0) journal.add(Lines{"a", "b"});
    if (expected < 3) journal.add(Lines{"c"});
    ASSERT_EQ(read_text_file(journal_), whole) << size;
  }
}

TEST_F(BatchJournalTest, OtherSettingsAreAnErrorThatNamesTheFirst) {
  open().add(Lines{"a"});
  const std::vector<Setting> other = {{"model", "m"}, {"label", "0"}};
  EXPECT_EQ(
      data_error_of([&] { open(other); }),
      "[out.journal] was begun with other settings: 'label' is \"1\" there and \"0\" now. Give "
      "those to go on, or --overwrite to begin anew.");
  EXPECT_EQ(open().num_lines(), 1);
  EXPECT_EQ(open(other, /*overwrite=*/true).num_lines(), 0);
}

TEST_F(BatchJournalTest, SomebodyElsesFileIsLeftAlone) {
  write_file_atomically(journal_, "my diary\n");
  EXPECT_EQ(data_error_of([&] { open(kSettings, /*overwrite=*/true); }),
            "[out.journal] is no journal of cpx: it begins with other bytes. Move the file away.");
  EXPECT_EQ(read_text_file(journal_), "my diary\n");
  write_file_atomically(journal_, "no line break");
  EXPECT_EQ(data_error_of([&] { open(); }),
            "[out.journal] is no journal of cpx: it begins with other bytes. Move the file away.");
}

TEST_F(BatchJournalTest, AnotherWriterIsAnError) {
  const BatchJournal first = open();
  EXPECT_EQ(data_error_of([&] { open(); }),
            fmt::format("[--output] 'out.json' is in use: process {} writes it. Wait for that one, "
                        "or choose another output.",
                        getpid()));
}

}  // namespace batch_journal_test
}  // namespace cpx::pipeline
