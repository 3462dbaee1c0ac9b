// SPDX-License-Identifier: Apache-2.0
// Damaged files are refused with a DataError or load; they never crash. Worth most under the
// asan-ubsan preset.
#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/core/random.h"
#include "cpx/formats/gguf.h"
#include "cpx/formats/model_config.h"
#include "cpx/formats/peft.h"
#include "cpx/formats/safetensors.h"
#include "cpx/formats/torch_file.h"
#include "tests/support/folders.h"
#include "tests/support/names.h"

namespace cpx::formats {
namespace fuzz_test {

namespace fs = std::filesystem;
using testing_support::fixture;
using testing_support::ScratchFolderTest;

constexpr int kNumLengths = 200;
constexpr int kNumFlips = 500;

// Reads everything that the file holds, to the last byte.
void read_safetensors(const fs::path& path) {
  const auto file = SafetensorsFile::open(path);
  for (const auto& name : file->names()) file->tensor(name).clone();
}

void read_torch_file(const fs::path& path) {
  const auto file = TorchFile::open(path);
  for (const auto& name : file->names()) file->tensor(name).clone();
}

void read_gguf(const fs::path& path) {
  const auto file = GgufFile::open(path);
  unsigned sum = 0;
  for (const auto& tensor : file->tensors()) {
    for (const std::byte byte : tensor.bytes) sum += static_cast<unsigned>(byte);
  }
  EXPECT_GE(sum, 0u);
  read_gguf_vocabulary(*file);
  read_model_config(*file);
}

struct Format {
  const char* name;
  const char* fixture;
  std::function<void(const fs::path&)> read;
  size_t header_bytes;
};

void PrintTo(const Format& one, std::ostream* out) { *out << one.name; }

class DamagedFile : public ScratchFolderTest, public testing::WithParamInterface<Format> {
 protected:
  // Whether the content was refused; anything but a one-line DataError fails the test.
  bool is_refused(const std::string& content) const {
    const fs::path path = write("damaged", content);
    try {
      GetParam().read(path);
      return false;
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return true;
    }
  }

  std::string whole() const { return read_text_file(fixture(GetParam().fixture)); }
};

TEST_P(DamagedFile, CutAnywhereIsRefused) {
  const std::string bytes = whole();
  EXPECT_FALSE(is_refused(bytes));
  for (int i = 0; i < kNumLengths; ++i) {
    // Half of the lengths within the header, half of them anywhere.
    const size_t end = i % 2 == 0 ? std::min(GetParam().header_bytes, bytes.size()) : bytes.size();
    const size_t length = end * static_cast<size_t>(i) / kNumLengths;
    EXPECT_TRUE(is_refused(bytes.substr(0, length))) << "cut after " << length << " bytes";
  }
}

TEST_P(DamagedFile, FlippedBytesInTheHeaderAreRefusedOrLoad) {
  const std::string bytes = whole();
  CounterRng rng(/*seed=*/4, {GetParam().header_bytes});
  int num_refused = 0;
  for (int i = 0; i < kNumFlips; ++i) {
    std::string damaged = bytes;
    const int num_bytes = i % 2 == 0 ? 1 : 4;
    for (int j = 0; j < num_bytes; ++j) {
      const size_t position = rng.below(std::min(GetParam().header_bytes, bytes.size()));
      damaged[position] = static_cast<char>(damaged[position] ^ (1 + rng.below(255)));
    }
    num_refused += is_refused(damaged) ? 1 : 0;
  }
  EXPECT_GT(num_refused, kNumFlips / 10);
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedFile,
    testing::Values(
        Format{"Safetensors", "models/llama_gqa/model.safetensors", read_safetensors, 2200},
        Format{"SafetensorsOfAnAdapter",
               "models/llama_tied_llama3/adapter/adapter_model.safetensors", read_safetensors,
               5000},
        Format{"TorchFile", "torch/odd.bin", read_torch_file, 2600},
        Format{"TorchFileOfProtocol4", "torch/odd_protocol_4.bin", read_torch_file, 5897},
        Format{"GgufHeader", "gguf/llama_mixed.gguf", read_gguf, 700},
        Format{"GgufOfAllTypes", "gguf/llama_mixed.gguf", read_gguf, 10000}),
    testing_support::by_value);

class DamagedJson : public ScratchFolderTest {
 protected:
  // Flips bytes of `original` and hands the text, as a file of that name, to `read`.
  void flip_everywhere(const fs::path& original, const std::function<void()>& read) const {
    const std::string bytes = read_text_file(original);
    CounterRng rng(/*seed=*/5, {});
    for (int i = 0; i < kNumFlips; ++i) {
      std::string damaged = bytes.substr(0, i % 5 == 0 ? rng.below(bytes.size()) : bytes.size());
      if (!damaged.empty()) {
        const size_t position = rng.below(damaged.size());
        damaged[position] = static_cast<char>(damaged[position] ^ (1 + rng.below(255)));
      }
      write(original.filename(), damaged);
      try {
        read();
      } catch (const DataError& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
    }
  }
};

TEST_F(DamagedJson, ModelConfigIsRefusedOrLoads) {
  flip_everywhere(fixture("models/llama_tied_llama3/config.json"),
                  [&] { read_model_config(folder_); });
}

TEST_F(DamagedJson, PeftConfigIsRefusedOrLoads) {
  flip_everywhere(fixture("models/llama_gqa/adapter/adapter_config.json"),
                  [&] { read_peft_config(folder_); });
}

}  // namespace fuzz_test
}  // namespace cpx::formats
