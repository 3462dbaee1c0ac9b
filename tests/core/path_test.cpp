// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/path.h"

#include <cstdlib>
#include <optional>
#include <pwd.h>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"

namespace cpx {
namespace path_test {

using testing_support::message_of;

// HOME with another value, or none, for the time of a test.
class HomeIs {
 public:
  explicit HomeIs(const char* home) {
    if (const char* old = std::getenv("HOME")) old_ = old;
    home == nullptr ? unsetenv("HOME") : setenv("HOME", home, 1);
  }
  ~HomeIs() { old_ ? setenv("HOME", old_->c_str(), 1) : unsetenv("HOME"); }

 private:
  std::optional<std::string> old_;
};

std::string expanding_error(std::string_view text) {
  return message_of<DataError>([&] { expand_home(text); });
}

TEST(ExpandHome, PutsTheHomeFolderInPlaceOfALeadingTilde) {
  const HomeIs home("/homes/ann");
  EXPECT_EQ(expand_home("~"), "/homes/ann");
  EXPECT_EQ(expand_home("~/"), "/homes/ann");
  EXPECT_EQ(expand_home("~/runs/x"), "/homes/ann/runs/x");
  EXPECT_EQ(expand_home("~//runs/"), "/homes/ann/runs/");
  EXPECT_EQ(expand_home("~/~/*.json"), "/homes/ann/~/*.json");
}

TEST(ExpandHome, LeavesEveryOtherPathAsItIs) {
  const HomeIs home("/homes/ann");
  for (const char* path :
       {"", "-", "runs/x", "/a/~/b", "a~", "./~", "./~ann", "a/~/b", "owner/a"}) {
    EXPECT_EQ(expand_home(path).string(), path);
  }
}

TEST(ExpandHome, AsksTheSystemWhereHomeIsNotSet) {
  const passwd* user = getpwuid(getuid());
  if (user == nullptr) GTEST_SKIP() << "the system does not know this user";
  const std::string expected = user->pw_dir;
  for (const char* home : {static_cast<const char*>(nullptr), ""}) {
    const HomeIs unset(home);
    EXPECT_EQ(expand_home("~"), expected);
  }
}

TEST(ExpandHome, RefusesTheHomeFolderOfAnother) {
  EXPECT_EQ(expanding_error("~ann/x"),
            "got '~ann/x', expected '~/' for your own home folder, or './~ann/x' for a file of "
            "that name: another user's home folder needs its whole path");
  EXPECT_EQ(expanding_error("~+"),
            "got '~+', expected '~/' for your own home folder, or './~+' for a file of that name: "
            "another user's home folder needs its whole path");
}

}  // namespace path_test
}  // namespace cpx
