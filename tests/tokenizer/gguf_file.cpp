// SPDX-License-Identifier: Apache-2.0
// Just enough of GGUF to read the vocabulary of a trusted file; cpx's own reader is in `formats`,
// a level above this module.
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "fixture.h"

namespace cpx::tokenizer {

namespace {

enum Type : uint32_t { kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9 };

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : stream_(path, std::ios::binary) {}

  template <class T>
  T read() {
    T value;
    stream_.read(reinterpret_cast<char*>(&value), sizeof(value));
    if (!stream_) throw std::runtime_error("GGUF ends too early");
    return value;
  }

  std::string read_string() {
    std::string text(read<uint64_t>(), '\0');
    stream_.read(text.data(), static_cast<std::streamsize>(text.size()));
    return text;
  }

  void skip(uint32_t type) {
    constexpr std::streamoff kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kString) {
      read_string();
    } else if (type == kArray) {
      const auto element = read<uint32_t>();
      for (auto count = read<uint64_t>(); count > 0; --count) skip(element);
    } else {
      stream_.seekg(kSizes[type], std::ios::cur);
    }
  }

 private:
  std::ifstream stream_;
};

template <class Add>
void read_array(Reader& reader, const Add& add) {
  reader.read<uint32_t>();  // type of the elements
  for (auto count = reader.read<uint64_t>(); count > 0; --count) add();
}

}  // namespace

GgufVocabulary read_gguf_file(const std::filesystem::path& path) {
  Reader reader(path);
  reader.read<uint64_t>();  // magic and version
  reader.read<uint64_t>();  // number of tensors
  GgufVocabulary vocabulary;
  vocabulary.source = path.filename().string();
  for (auto count = reader.read<uint64_t>(); count > 0; --count) {
    const std::string key = reader.read_string();
    const auto type = reader.read<uint32_t>();
    const auto is = [&](const char* name) { return key == std::string("tokenizer.") + name; };
    if (is("ggml.model")) {
      vocabulary.model = reader.read_string();
    } else if (is("ggml.pre")) {
      vocabulary.pre = reader.read_string();
    } else if (is("chat_template")) {
      vocabulary.chat_template = reader.read_string();
    } else if (is("ggml.tokens")) {
      read_array(reader, [&] { vocabulary.tokens.push_back(reader.read_string()); });
    } else if (is("ggml.merges")) {
      read_array(reader, [&] { vocabulary.merges.push_back(reader.read_string()); });
    } else if (is("ggml.token_type")) {
      read_array(reader, [&] { vocabulary.token_types.push_back(reader.read<int32_t>()); });
    } else if (is("ggml.bos_token_id")) {
      vocabulary.bos_id = reader.read<uint32_t>();
    } else if (is("ggml.eos_token_id")) {
      vocabulary.eos_id = reader.read<uint32_t>();
    } else if (is("ggml.add_bos_token")) {
      vocabulary.add_bos = reader.read<uint8_t>() != 0;
    } else if (is("ggml.add_space_prefix")) {
      vocabulary.add_space_prefix = reader.read<uint8_t>() != 0;
    } else {
      reader.skip(type);
    }
  }
  return vocabulary;
}

}  // namespace cpx::tokenizer
