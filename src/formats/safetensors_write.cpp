// SPDX-License-Identifier: Apache-2.0
#include <set>

#include <nlohmann/json.hpp>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/core/utf8.h"
#include "cpx/formats/safetensors.h"
#include "safetensors_header.h"

namespace cpx::formats {

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kAlignment = 8;
constexpr size_t kSliceBytes = size_t{1} << 20;  // what OutputFile buffers at a time

void check_tensor(const NamedTensor& tensor) {
  CPX_CHECK(
      !tensor.name.empty() && tensor.name != "__metadata__" && !first_invalid_utf8(tensor.name),
      "[write_safetensors] '{}' cannot name a tensor.", tensor.name);
  CPX_CHECK(tensor.value.defined(), "[write_safetensors] '{}' holds no tensor.", tensor.name);
  CPX_CHECK(!safetensors_type_name(tensor.value.scalar_type()).empty(),
            "[write_safetensors] '{}' is of type {}, which cannot be stored.", tensor.name,
            c10::toString(tensor.value.scalar_type()));
}

std::string header_of(std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string> names;
  size_t position = 0;
  for (const auto& tensor : tensors) {
    check_tensor(tensor);
    CPX_CHECK(names.insert(tensor.name).second, "[write_safetensors] '{}' is there twice.",
              tensor.name);
    const size_t end = position + tensor.value.nbytes();
    header[tensor.name] = {{"dtype", safetensors_type_name(tensor.value.scalar_type())},
                           {"shape", tensor.value.sizes().vec()},
                           {"data_offsets", {position, end}}};
    position = end;
  }
  constexpr auto kReplace = OrderedJson::error_handler_t::replace;
  std::string text = header.dump(/*indent=*/-1, ' ', /*ensure_ascii=*/false, kReplace);
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

void write_tensor(OutputFile& file, const torch::Tensor& tensor) {
  const torch::Tensor stored = tensor.detach().to(torch::kCPU).contiguous();
  std::string_view rest(static_cast<const char*>(stored.const_data_ptr()), stored.nbytes());
  while (!rest.empty()) {
    const auto slice = rest.substr(0, kSliceBytes);
    file.write(slice);
    rest.remove_prefix(slice.size());
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_of(tensors, metadata);
  const uint64_t length = header.size();
  OutputFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const auto& tensor : tensors) write_tensor(file, tensor.value);
  file.sync_and_close();
}

}  // namespace cpx::formats
