// SPDX-License-Identifier: Apache-2.0
// What data of prompts and answers have in common, whether the answers come in pairs or each by
// itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/faults.h"
#include "cpx/data/pair_encoder.h"
#include "cpx/data/preferences.h"
#include "train_data.h"

namespace cpx::recipes {

class ConfigFaults;

/// Keys of prompts.
struct PromptKeys {
  std::string prompt = std::string(data::kPublishedPromptTemplate);
  int64_t max_prompt_tokens = 0;

  /// Adds the faults of keys that are good each by itself.
  void check(const TrainConfig& config, ConfigFaults& faults) const;
};

/// The prompts and answers of training or of evaluation.
class AnswerData : public TrainData {
 public:
  /// Takes the answers out that are of no use. `config` must outlive the data.
  AnswerData(const TrainConfig& config, const PromptKeys& keys, const DataFiles& files,
             data::PreferenceContent content);

  std::string ends() const override { return encoder_.text_encoder().describe_ends(); }
  std::string lengths() const override;
  std::vector<std::string> warnings() const override;
  void visit_texts(const std::function<void(std::string_view)>& visit) const override;
  std::string fingerprint() const override { return fingerprint_; }

  const data::PairEncoder& encoder() const { return encoder_; }

 protected:
  /// "3 files, 42 prompts: 40 used, 2 skipped"; `why_skipped` tells of the skipped ones.
  std::string used_part(int64_t num_used, int64_t num_skipped, std::string_view why_skipped) const;
  /// What a summary ends with.
  std::string without_input_part() const;

  /// Draws from the items by `make`. Where none is left because answers had to go, the reason is
  /// told, not the end of it: `unit` is what is missing then, "pair".
  template <class Make>
  auto drawn_from_items(std::string_view unit, Make&& make) const {
    try {
      return make(items_);
    } catch (const DataError&) {
      const auto reasons = data::warning_lines(counts_, encoder_);
      if (counts_.empty + counts_.equal == 0 || reasons.empty()) throw;
      throw_<DataError>("{} No {} is left.", reasons.front(), unit);
    }
  }

  const TrainConfig& config() const { return config_; }

 private:
  const TrainConfig& config_;
  size_t num_files_;
  int64_t num_without_input_;
  std::vector<data::PreferenceItem> items_;
  std::string fingerprint_;  // of the items as they were read
  data::PairEncoder encoder_;
  data::AnswerCounts counts_;
};

/// The `Data`, an AnswerData, of what was read, or null where nothing can be used. The content's
/// faults are added.
template <class Data, class... Keys>
std::unique_ptr<Data> answer_data(const TrainConfig& config, const DataFiles& files,
                                  data::PreferenceContent content, Faults& faults,
                                  const Keys&... keys) {
  faults.append(content.faults);
  if (files.encoder == nullptr || (content.items.empty() && !faults.empty())) return nullptr;
  return std::make_unique<Data>(config, files, std::move(content), keys...);
}

}  // namespace cpx::recipes
