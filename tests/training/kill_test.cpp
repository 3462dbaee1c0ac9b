// SPDX-License-Identifier: Apache-2.0
// A run that is killed (SIGKILL) at random moments and resumed each time equals the uninterrupted
// one. The runs are processes of their own: this binary, started again with a folder in the
// environment.
#include <csignal>
#include <cstdlib>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/core/random.h"
#include "cpx/training/trainer.h"
#include "scripted_task.h"
#include "tiny_ppo.h"
#include "tiny_run.h"

namespace cpx::training {
namespace kill_test {

namespace fs = std::filesystem;

constexpr const char* kFolderVariable = "CPX_TEST_RUN_FOLDER";
constexpr const char* kReadyVariable = "CPX_TEST_READY_FD";
constexpr int kMinKills = 24;

TrainerOptions killed_options(const fs::path& run) {
  auto options = tiny_options(run);
  options.epochs = 30;
  options.evaluate_every = 3;
  options.checkpoint_every = 3;  // so that steps are done again
  options.keep_last = 2;
  return options;
}

// Goes on from the last checkpoint to the end, or to the process's death.
void train(nn::CausalLm& model, StepTask& task, const TrainerOptions& options) {
  Trainer trainer(model, task, tiny_info(), options);
  if (const char* ready = std::getenv(kReadyVariable)) {
    EXPECT_EQ(write(std::atoi(ready), "r", 1), 1);
  }
  if (const auto checkpoint = find_last_checkpoint(options.output)) trainer.resume(*checkpoint);
  trainer.run();
}

// The children.
TEST(KilledRun, DISABLED_Child) {
  const char* folder = std::getenv(kFolderVariable);
  ASSERT_NE(folder, nullptr);
  ScriptedTask task(5);
  TinyModel model(/*dropout=*/0.2);
  train(model, task, killed_options(folder));
}

// Rollouts of four steps and a checkpoint every three: most lie in the middle of one.
TEST(KilledRun, DISABLED_PpoChild) {
  const char* folder = std::getenv(kFolderVariable);
  ASSERT_NE(folder, nullptr);
  const TinyPpo world(11, /*held_out=*/0.25);
  TinyModel model(/*dropout=*/0.2);
  auto ppo = tiny_ppo_options();
  ppo.kl = {.target = 0.01, .horizon = 50.0};
  ppo.scores = {.use_score_scaling = true, .use_score_norm = true};
  auto task = world.task(model, ppo);
  auto options = killed_options(folder);
  options.accumulate = 1;
  options.epochs = 8;
  train(model, task, options);
}

// One life of a run: killed `delay` after it has begun to load, unless it ends before.
class Child {
 public:
  Child(const std::string& test, const fs::path& run) {
    EXPECT_EQ(pipe(ready_), 0);
    pid_ = fork();
    if (pid_ == 0) become_child(test, run);
    close(ready_[1]);
  }
  ~Child() { close(ready_[0]); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // True when it was killed, false when it ended by itself with success.
  bool kill_after(int64_t delay_ns) {
    char byte = 0;
    EXPECT_EQ(read(ready_[0], &byte, 1), 1) << "the child did not begin";
    const int handle = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    EXPECT_GE(handle, 0);
    pollfd ended{.fd = handle, .events = POLLIN, .revents = 0};
    const timespec delay{.tv_sec = delay_ns / 1000000000, .tv_nsec = delay_ns % 1000000000};
    ppoll(&ended, 1, &delay, nullptr);
    close(handle);
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    if (WIFSIGNALED(status)) return true;
    EXPECT_EQ(WEXITSTATUS(status), 0) << "the child failed";
    return false;
  }

 private:
  [[noreturn]] void become_child(const std::string& test, const fs::path& run) {
    setenv(kFolderVariable, run.c_str(), 1);
    setenv(kReadyVariable, std::to_string(ready_[1]).c_str(), 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    const std::string filter = "--gtest_filter=KilledRun.DISABLED_" + test;
    execl("/proc/self/exe", "/proc/self/exe", filter.c_str(), "--gtest_also_run_disabled_tests",
          "--gtest_brief=1", nullptr);
    _exit(127);
  }

  int ready_[2] = {-1, -1};
  pid_t pid_ = -1;
};

void expect_equal_runs(const fs::path& killed, const fs::path& whole) {
  for (const char* name : {"final", "best"}) {
    EXPECT_TRUE(adapter_values(killed / name).equal(adapter_values(whole / name))) << name;
  }
  EXPECT_EQ(repeatable_metrics(killed), repeatable_metrics(whole));
  EXPECT_EQ(list_checkpoints(killed).size(), 2);
}

// Kills a run again and again until it has ended by itself; the number of kills. A life has up to
// `longest_ns`, and more where a run does not get on with that.
int kill_until_it_ends(const std::string& child, const fs::path& run, int64_t longest_ns,
                       CounterRng& rng) {
  for (int num_kills = 0;; ++num_kills) {
    const int64_t limit_ns = longest_ns * (1 + num_kills / 20);
    const auto delay = static_cast<int64_t>(rng.below(static_cast<uint64_t>(limit_ns)));
    if (!Child(child, run).kill_after(delay)) return num_kills;
  }
}

template <class Compare>
void expect_killed_runs_equal(const std::string& child, Compare&& compare) {
  const auto folder = fresh_folder();
  ASSERT_FALSE(Child(child, folder / "whole").kill_after(int64_t{300} * 1000000000));
  const auto last = list_checkpoints(folder / "whole").back();
  const auto longest_ns = static_cast<int64_t>(1e9 * read_trainer_state(last).elapsed_s / 6);
  CounterRng rng(2024, {});
  int num_kills = 0;
  for (int round = 0; num_kills < kMinKills; ++round) {
    const auto run = folder / ("killed_" + std::to_string(round));
    num_kills += kill_until_it_ends(child, run, longest_ns, rng);
    compare(run, folder / "whole");
  }
  testing::Test::RecordProperty("kills", num_kills);
}

TEST(KilledRun, ResumedEachTimeEqualsTheUninterruptedOne) {
  expect_killed_runs_equal("Child", expect_equal_runs);
}

TEST(KilledRun, PpoResumedEachTimeEqualsTheUninterruptedOne) {
  expect_killed_runs_equal("PpoChild", [](const fs::path& killed, const fs::path& whole) {
    expect_equal_runs(killed, whole);
    for (const char* name :
         {"final/value_head.safetensors", "best/value_head.safetensors", "samples.jsonl"}) {
      EXPECT_EQ(read_text_file(killed / name), read_text_file(whole / name)) << name;
    }
  });
}

}  // namespace kill_test
}  // namespace cpx::training
