// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/faults.h"

#include <algorithm>

#include "cpx/core/text.h"

namespace cpx {

namespace {

constexpr size_t kFaultsOfAFile = 20;

bool is_at_or_below(std::string_view key, std::string_view parent) {
  if (!key.starts_with(parent)) return false;
  const std::string_view rest = key.substr(parent.size());
  return rest.empty() || rest.front() == '.' || rest.front() == '[';
}

}  // namespace

void Faults::append(std::span<const Fault> faults) {
  faults_.insert(faults_.end(), faults.begin(), faults.end());
}

void Faults::append_file(std::string_view file, std::span<const Fault> faults) {
  const size_t num_shown = std::min(faults.size(), kFaultsOfAFile);
  append(faults.first(num_shown));
  if (num_shown < faults.size()) add(file, "and {} more faults.", faults.size() - num_shown);
}

bool Faults::has_fault_at(std::string_view key) const {
  return std::ranges::any_of(faults_,
                             [&](const Fault& fault) { return is_at_or_below(fault.key, key); });
}

std::vector<std::string> Faults::texts() const {
  std::vector<std::string> texts;
  for (const Fault& fault : faults_) texts.push_back(fault.text());
  return texts;
}

void Faults::throw_if_any() const {
  if (!faults_.empty()) throw ConfigError(faults_);
}

void Faults::throw_first_if_any(std::string_view hint) const {
  if (faults_.empty()) return;
  const std::string first = faults_.front().text();
  const auto num_more = static_cast<int64_t>(faults_.size()) - 1;
  if (num_more == 0) throw DataError(first);
  throw_<DataError>("{} ({}{})", first, counted(num_more, "more fault"), hint);
}

}  // namespace cpx
