// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/hub.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cpx/core/error.h"
#include "tests/support/errors.h"
#include "tests/support/folders.h"

namespace cpx {
namespace hub_test {

namespace fs = std::filesystem;
using testing_support::message_of;
using testing_support::ScratchFolderTest;

// Two commits, which differ in their fourth digit.
constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";
constexpr const char* kOther = "0129999999abcdef0123456789abcdef01234567";

void write_file(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << content;
}

// A cache folder of the test's own, as huggingface_hub makes it.
class HubCache : public ScratchFolderTest {
 protected:
  HubCache() { set("HF_HUB_CACHE", folder_.c_str()); }
  ~HubCache() override {
    for (const auto& [name, value] : old_) {
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
    }
  }

  // Until the test's end; null: not set.
  void set(const std::string& name, const char* value) {
    const char* old = std::getenv(name.c_str());
    old_.try_emplace(name, old != nullptr ? std::optional<std::string>(old) : std::nullopt);
    value == nullptr ? unsetenv(name.c_str()) : setenv(name.c_str(), value, 1);
  }

  fs::path repository(const std::string& folder) const { return folder_ / folder; }
  fs::path snapshot(const std::string& commit = kCommit) const {
    return repository("models--ann--tiny") / "snapshots" / commit;
  }

  void add_ref(const std::string& name, const std::string& commit) const {
    write_file(repository("models--ann--tiny") / "refs" / name, commit);
  }
  // A file of ann/tiny's snapshot: a link into blobs.
  void add_file(const std::string& name, const std::string& commit = kCommit) const {
    const fs::path blob = repository("models--ann--tiny") / "blobs" / ("b" + name + commit);
    write_file(blob, "x");
    const fs::path link = snapshot(commit) / name;
    fs::create_directories(link.parent_path());
    fs::create_symlink(blob, link);
  }

  // What resolve_hub_name() says, with the cache's folder as CACHE.
  std::string error_of(const std::string& name) const {
    std::string text = message_of<DataError>(
        [&] { resolve_hub_name("model", name, "a model folder or a .gguf"); });
    for (size_t at; (at = text.find(folder_.string())) != std::string::npos;) {
      text.replace(at, folder_.string().size(), "CACHE");
    }
    return text;
  }

  static fs::path resolved(const std::string& name) {
    return resolve_hub_name("model", name, "a model folder");
  }

  std::map<std::string, std::optional<std::string>> old_;
};

TEST(HubName, HasItsParts) {
  const auto expect = [](const char* text, const char* repository, const char* revision,
                         const char* file) {
    const auto name = parse_hub_name(text);
    ASSERT_TRUE(name) << text;
    EXPECT_EQ(name->repository, repository);
    EXPECT_EQ(name->revision, revision);
    EXPECT_EQ(name->file, file);
  };
  expect("ann/tiny", "ann/tiny", "", "");
  expect("ann-2/ti.ny_3@v1.0", "ann-2/ti.ny_3", "v1.0", "");
  expect("ann/tiny@refs/pr/1", "ann/tiny", "refs/pr/1", "");
  expect("ann/tiny:Q4_K_M", "ann/tiny", "", "Q4_K_M");
  expect("ann/tiny@0123:sub/tiny-q8.gguf", "ann/tiny", "0123", "sub/tiny-q8.gguf");
}

TEST(HubName, OtherPathsAreNone) {
  for (const char* text : {"",
                           "tiny",
                           "/ann/tiny",
                           "./ann/tiny",
                           "../tiny",
                           "ann/tiny/best",
                           "ann/",
                           "/tiny",
                           "ann/.x",
                           "ann/x-",
                           "a--b/c",
                           "ann/t y",
                           "ann/tiny@",
                           "ann/tiny:",
                           "ann/tiny@../x",
                           "ann/tiny:/etc/x",
                           "ann/tiny:../x.gguf",
                           "models/tiny.gguf",
                           "models/config.json",
                           "~/tiny"}) {
    EXPECT_FALSE(parse_hub_name(text)) << text;
  }
}

TEST_F(HubCache, IsWhereTheVariablesSay) {
  set("HF_HOME", "/hf");
  set("XDG_CACHE_HOME", "/xdg");
  set("HOME", "/homes/ann");
  set("HUGGINGFACE_HUB_CACHE", nullptr);
  EXPECT_EQ(hub_cache(), folder_);
  set("HF_HUB_CACHE", "~/models");
  EXPECT_EQ(hub_cache(), "/homes/ann/models");
  set("HF_HUB_CACHE", "");
  EXPECT_EQ(hub_cache(), "/hf/hub");
  set("HUGGINGFACE_HUB_CACHE", "/older");
  EXPECT_EQ(hub_cache(), "/older");
  set("HUGGINGFACE_HUB_CACHE", nullptr);
  set("HF_HOME", nullptr);
  EXPECT_EQ(hub_cache(), "/xdg/huggingface/hub");
  set("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(hub_cache(), "/homes/ann/.cache/huggingface/hub");
}

TEST_F(HubCache, ANameLeadsToItsSnapshot) {
  add_ref("main", std::string(kCommit) + "\n");
  add_ref("refs/pr/1", kOther);
  add_file("config.json");
  add_file("config.json", kOther);
  EXPECT_EQ(resolved("ann/tiny"), snapshot());
  EXPECT_EQ(resolved("ann/tiny@main"), snapshot());
  EXPECT_EQ(resolved("ann/tiny@refs/pr/1"), snapshot(kOther));
  EXPECT_EQ(resolved(std::string("ann/tiny@") + kOther), snapshot(kOther));
  EXPECT_EQ(resolved("ann/tiny@01234"), snapshot());
  EXPECT_EQ(describe_model("ann/tiny"), "ann/tiny (snapshot 0123456789ab)");
}

TEST_F(HubCache, AnAdapterIsFoundLikeAModel) {
  add_ref("main", kCommit);
  add_file("adapter_config.json");
  EXPECT_EQ(resolved("ann/tiny"), snapshot());
}

TEST_F(HubCache, APathThatExistsComesFirst) {
  add_ref("main", kCommit);
  add_file("config.json");
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  write_file("ann/tiny/config.json", "{}");
  EXPECT_EQ(resolved("ann/tiny"), "ann/tiny");
  EXPECT_EQ(base_model_name("ann/tiny").name, "ann/tiny");
  EXPECT_EQ(describe_model("ann/tiny"), "ann/tiny");
  fs::current_path(before);
}

TEST_F(HubCache, WhatIsNoNameStaysAsItIs) {
  EXPECT_EQ(resolved("models/none/here"), "models/none/here");
  EXPECT_EQ(resolved("models/none.gguf"), "models/none.gguf");
}

TEST_F(HubCache, AdaptersNameTheirBaseByRepositoryAndRevision) {
  EXPECT_EQ(base_model_name("ann/tiny").name, "ann/tiny");
  EXPECT_EQ(base_model_name("ann/tiny").revision, "");
  EXPECT_EQ(base_model_name("ann/tiny@v1:x-Q8_0.gguf").name, "ann/tiny");
  EXPECT_EQ(base_model_name("ann/tiny@v1:x-Q8_0.gguf").revision, "v1");
  EXPECT_EQ(base_model_name("/models/tiny").name, "/models/tiny");
}

TEST_F(HubCache, TheOnlyGgufIsTheModel) {
  add_ref("main", kCommit);
  add_file("tiny-Q4_0.gguf");
  add_file("mmproj-tiny-f16.gguf");
  EXPECT_EQ(resolved("ann/tiny"), snapshot() / "tiny-Q4_0.gguf");
}

TEST_F(HubCache, AGgufIsChosenByNameOrQuantisation) {
  add_ref("main", kCommit);
  for (const char* file : {"tiny-Q4_K.gguf", "tiny-Q4_K_M.gguf", "sub/tiny.f16.gguf"}) {
    add_file(file);
  }
  EXPECT_EQ(resolved("ann/tiny:tiny-Q4_K.gguf"), snapshot() / "tiny-Q4_K.gguf");
  EXPECT_EQ(resolved("ann/tiny:q4_k"), snapshot() / "tiny-Q4_K.gguf");
  EXPECT_EQ(resolved("ann/tiny@main:Q4_K_M"), snapshot() / "tiny-Q4_K_M.gguf");
  EXPECT_EQ(resolved("ann/tiny:F16"), snapshot() / "sub/tiny.f16.gguf");
  EXPECT_EQ(error_of("ann/tiny"),
            "[model] ann/tiny: got 3 GGUF files (sub/tiny.f16.gguf, tiny-Q4_K.gguf, "
            "tiny-Q4_K_M.gguf), expected one. Choose: ann/tiny:sub/tiny.f16.gguf");
  EXPECT_EQ(
      error_of("ann/tiny:Q8_0"),
      "[model] ann/tiny:Q8_0: none of its GGUF files has 'Q8_0', expected one of those in the "
      "Hugging Face cache (sub/tiny.f16.gguf, tiny-Q4_K.gguf, tiny-Q4_K_M.gguf). To download "
      "it: hf download ann/tiny --include '*Q8_0*.gguf'");
  EXPECT_EQ(error_of("ann/tiny:tiny"),
            "[model] ann/tiny:tiny: 3 of its GGUF files have 'tiny', expected one of those in the "
            "Hugging Face cache (sub/tiny.f16.gguf, tiny-Q4_K.gguf, tiny-Q4_K_M.gguf). To download "
            "it: hf download ann/tiny --include '*tiny*.gguf'");
}

TEST_F(HubCache, AnAbsentRepositoryIsToldWithItsDownload) {
  EXPECT_EQ(error_of("ann/tiny"),
            "[model] ann/tiny: no such file or folder, expected a model folder or a .gguf, or a "
            "repository that the Hugging Face cache (CACHE) has. To download it: hf download "
            "ann/tiny");
  EXPECT_EQ(error_of("ann/tiny@v1:tiny-Q8_0.gguf"),
            "[model] ann/tiny@v1:tiny-Q8_0.gguf: no such file or folder, expected a model folder "
            "or a .gguf, or a repository that the Hugging Face cache (CACHE) has. To download it: "
            "hf download ann/tiny tiny-Q8_0.gguf --revision v1");
}

TEST_F(HubCache, AnAbsentRevisionIsToldWithThoseThatAreThere) {
  add_ref("main", kCommit);
  add_file("config.json");
  EXPECT_EQ(error_of("ann/tiny@v2"),
            "[model] ann/tiny@v2: the Hugging Face cache has no revision 'v2' of it, expected one "
            "of those there (main, 0123456789ab). To download it: hf download ann/tiny --revision "
            "v2");
  // Downloaded by its hash alone.
  fs::remove_all(repository("models--ann--tiny") / "refs");
  EXPECT_EQ(error_of("ann/tiny"),
            "[model] ann/tiny: the Hugging Face cache has no revision 'main' of it, expected one "
            "of those there (0123456789ab). To download it: hf download ann/tiny");
}

TEST_F(HubCache, ABeginningOfTwoCommitsIsRefused) {
  add_file("config.json");
  add_file("config.json", "0123999999abcdef0123456789abcdef01234567");
  EXPECT_EQ(error_of("ann/tiny@0123"),
            "[model] ann/tiny@0123: 2 commits in the Hugging Face cache begin so, expected one: "
            "0123456789abcdef0123456789abcdef01234567, 0123999999abcdef0123456789abcdef01234567.");
}

TEST_F(HubCache, AnIncompleteSnapshotIsTold) {
  add_ref("main", kCommit);
  EXPECT_EQ(error_of("ann/tiny"),
            "[model] ann/tiny: its snapshot CACHE/models--ann--tiny/snapshots/" +
                std::string(kCommit) +
                " is incomplete: the folder is not there. To complete it: hf download ann/tiny");
  add_file("README.md");
  EXPECT_EQ(error_of("ann/tiny"),
            "[model] ann/tiny: its snapshot CACHE/models--ann--tiny/snapshots/" +
                std::string(kCommit) +
                " is incomplete: it has no config.json, adapter_config.json or .gguf. To complete "
                "it: hf download ann/tiny");
  add_file("config.json");
  add_file("model.safetensors");
  fs::remove_all(repository("models--ann--tiny") / "blobs");
  EXPECT_EQ(error_of("ann/tiny"),
            "[model] ann/tiny: its snapshot CACHE/models--ann--tiny/snapshots/" +
                std::string(kCommit) +
                " is incomplete: 3 links lead to no blob, such as README.md. To complete it: hf "
                "download ann/tiny");
}

TEST_F(HubCache, ADamagedRefIsTold) {
  add_ref("main", "../../x");
  add_file("config.json");
  EXPECT_EQ(error_of("ann/tiny"),
            "[model] CACHE/models--ann--tiny/refs/main: got '../../x', expected a commit hash. To "
            "mend it: hf download ann/tiny");
}

TEST_F(HubCache, FilesThatAreMissingInASnapshotHaveTheirDownload) {
  EXPECT_EQ(download_hint("/c/models--ann--tiny/snapshots/0123/model.safetensors"),
            " To complete it: hf download ann/tiny --revision 0123");
  EXPECT_EQ(download_hint("/models/tiny/model.safetensors"), "");
  EXPECT_EQ(download_hint("models--ann--tiny/snapshots"), "");
}

}  // namespace hub_test
}  // namespace cpx
