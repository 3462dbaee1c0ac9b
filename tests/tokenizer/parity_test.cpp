// SPDX-License-Identifier: Apache-2.0
// Ids, byte offsets and decoded texts equal those of tokenizers, transformers and sentencepiece on
// the hard texts (scripts/fixtures/make_tokenizers.py).
#include <gtest/gtest.h>

#include "cpx/tokenizer/load.h"
#include "fixture.h"
#include "tests/support/names.h"

namespace cpx::tokenizer {
namespace parity_test {

class FolderParity : public ::testing::TestWithParam<const char*> {};

TEST_P(FolderParity, HardTextsEqualPeer) {
  const auto tokenizer = load_tokenizer(fixture_folder(GetParam()));
  expect_equal_to_peer(*tokenizer, std::string(GetParam()) + "/expected.json");
}

INSTANTIATE_TEST_SUITE_P(ByteLevel, FolderParity,
                         ::testing::Values("gpt2", "roberta", "llama3", "smollm2"),
                         testing_support::by_value);
INSTANTIATE_TEST_SUITE_P(SentencePieceStyle, FolderParity,
                         ::testing::Values("llama2", "metaspace_first", "metaspace_always",
                                           "metaspace_never"),
                         testing_support::by_value);
INSTANTIATE_TEST_SUITE_P(SentencePiece, FolderParity,
                         ::testing::Values("sentencepiece_legacy", "sentencepiece_new",
                                           "sentencepiece_no_prefix"),
                         testing_support::by_value);

class GgufParity : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufParity, HardTextsEqualPeer) {
  GgufVocabulary vocabulary = read_gguf_vocabulary("gguf_gpt2");
  vocabulary.pre = GetParam();
  expect_equal_to_peer(*make_tokenizer(vocabulary),
                       "gguf_gpt2/expected_" + std::string(GetParam()) + ".json");
}

INSTANTIATE_TEST_SUITE_P(Pre, GgufParity,
                         ::testing::Values("gpt-2", "smollm", "llama-bpe", "default"),
                         testing_support::by_value);

TEST(GgufLlamaParity, HardTextsEqualSentencePiece) {
  const auto tokenizer = make_tokenizer(read_gguf_vocabulary("gguf_llama"));
  expect_equal_to_peer(*tokenizer, "sentencepiece_legacy/expected.json");
}

TEST(SmolLm2Parity, HardTextsEqualPeerOnTheRealVocabulary) {
  const auto path =
      std::filesystem::path(CPX_SOURCE_DIR) / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  ASSERT_TRUE(std::filesystem::exists(path))
      << path << " is not there: scripts/bootstrap.sh fetches it";
  const auto tokenizer = make_tokenizer(read_gguf_file(path));
  EXPECT_EQ(tokenizer->vocabulary_size(), 49152);
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  expect_equal_to_peer(*tokenizer, "smollm2_model/expected.json");
}

}  // namespace parity_test
}  // namespace cpx::tokenizer
