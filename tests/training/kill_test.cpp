// SPDX-License-Identifier: Apache-2.0
// A run that is killed (SIGKILL) at random moments of its process's life, from its start to its
// end, and resumed each time equals the uninterrupted one. The moments are drawn by a seed that is
// another each time; it is printed, and CPX_TEST_KILL_SEED repeats it. The runs are processes of
// their own: this binary, started again with a folder in the environment.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <gmock/gmock.h>
#include <poll.h>
#include <random>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
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
constexpr const char* kSeedVariable = "CPX_TEST_KILL_SEED";
constexpr int64_t kNumRuns = 6;
constexpr int64_t kNever = int64_t{300} * 1000000000;

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

[[noreturn]] void become_child(const std::string& test, const fs::path& run) {
  setenv(kFolderVariable, run.c_str(), 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  const std::string filter = "--gtest_filter=KilledRun.DISABLED_" + test;
  execl("/proc/self/exe", "/proc/self/exe", filter.c_str(), "--gtest_also_run_disabled_tests",
        "--gtest_brief=1", nullptr);
  _exit(127);
}

// One life of a run: true when it was killed `delay_ns` after its process began, false when it had
// ended by itself, with success.
bool live(const std::string& test, const fs::path& run, int64_t delay_ns) {
  const pid_t pid = fork();
  if (pid == 0) become_child(test, run);
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  EXPECT_GE(handle, 0);
  pollfd ended{.fd = handle, .events = POLLIN, .revents = 0};
  const timespec delay{.tv_sec = delay_ns / 1000000000, .tv_nsec = delay_ns % 1000000000};
  ppoll(&ended, 1, &delay, nullptr);
  close(handle);
  kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) return true;
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the child failed";
  return false;
}

void expect_equal_runs(const fs::path& killed, const fs::path& whole) {
  for (const char* name : {"final", "best"}) {
    EXPECT_TRUE(adapter_values(killed / name).equal(adapter_values(whole / name))) << name;
  }
  EXPECT_EQ(repeatable_metrics(killed), repeatable_metrics(whole));
  EXPECT_EQ(list_checkpoints(killed).size(), 2);
}

uint64_t kill_seed() {
  const char* given = std::getenv(kSeedVariable);
  return given != nullptr ? std::stoull(given) : std::random_device()();
}

int64_t elapsed_ns(std::chrono::steady_clock::time_point start) {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count();
}

// Runs that are killed again and again until they end by themselves.
class Killer {
 public:
  // `length_ns`: of the uninterrupted life.
  Killer(std::string child, int64_t length_ns)
      : child_(std::move(child)), length_ns_(length_ns), seed_(kill_seed()), rng_(seed_, {}) {
    fmt::print("{}={} (a life has {:.0f} ms)\n", kSeedVariable, seed_, 1e-6 * length_ns);
  }

  // The first life ends in part `part` of kNumRuns of the whole length, so that each part has its
  // turn; the others anywhere in it, or later where the run does not get on with that.
  void kill_until_it_ends(const fs::path& run, int64_t part) {
    kills_ms_.clear();
    int64_t delay = (part * length_ns_ + below(length_ns_)) / kNumRuns;
    while (live(child_, run, delay)) {
      kills_ms_.push_back(1e-6 * delay);
      const auto patience = static_cast<int64_t>(1 + kills_ms_.size() / 10);
      delay = below(length_ns_ * patience);
    }
    num_kills_ += kills_ms_.size();
  }

  // How to repeat the last run.
  std::string trace() const {
    return fmt::format("{}={}, killed after {:.1f} ms", kSeedVariable, seed_,
                       fmt::join(kills_ms_, ", "));
  }
  size_t num_kills() const { return num_kills_; }

 private:
  int64_t below(int64_t limit) {
    return static_cast<int64_t>(rng_.below(static_cast<uint64_t>(limit)));
  }

  std::string child_;
  int64_t length_ns_;
  uint64_t seed_;
  CounterRng rng_;
  std::vector<double> kills_ms_;  // of the last run
  size_t num_kills_ = 0;
};

template <class Compare>
void expect_killed_runs_equal(const std::string& child, Compare&& compare) {
  const auto folder = fresh_folder();
  const auto start = std::chrono::steady_clock::now();
  ASSERT_FALSE(live(child, folder / "whole", kNever));
  Killer killer(child, elapsed_ns(start));
  for (int64_t part = 0; part < kNumRuns; ++part) {
    const auto run = folder / fmt::format("killed_{}", part);
    killer.kill_until_it_ends(run, part);
    fmt::print("{}\n", killer.trace());
    SCOPED_TRACE(killer.trace());
    compare(run, folder / "whole");
    if (testing::Test::HasFailure()) return;
  }
  testing::Test::RecordProperty("kills", static_cast<int>(killer.num_kills()));
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
