// SPDX-License-Identifier: Apache-2.0
#include "train_data.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "config_messages.h"
#include "cpx/core/text.h"
#include "cpx/core/text_file.h"
#include "cpx/data/globs.h"
#include "cpx/data/record.h"
#include "objective.h"

namespace cpx::recipes {

Faults read_data(const TrainConfig& config, RunData& data, bool is_trained_on,
                 std::shared_ptr<const data::TextEncoder> encoder) {
  Faults faults;
  Faults of_patterns;
  DataFiles files{.is_trained_on = is_trained_on, .encoder = std::move(encoder)};
  files.files =
      data::expand_globs(is_trained_on ? config.data.train : config.data.eval, of_patterns);
  ConfigFaults(config, faults).append(is_trained_on ? "data.train" : "data.eval", of_patterns);
  if (is_trained_on) files.retained = load_retained(config, faults);
  if (files.files.empty() && !faults.empty()) return faults;
  faults.append(data.read(std::move(files)));
  return faults;
}

std::unique_ptr<RunData> read_train_data(const TrainConfig& config,
                                         std::shared_ptr<const data::TextEncoder> encoder) {
  auto data = config.objective->make_data(config);
  throw_if_faulty(read_data(config, *data, /*is_trained_on=*/true, std::move(encoder)));
  return data;
}

void throw_if_faulty(const Faults& faults) { faults.throw_first_if_any(": --validate shows all"); }

data::EncodeOptions encode_options(const TrainConfig& config,
                                   const std::optional<std::filesystem::path>& chat_template_file) {
  return {.text_template =
              tokenizer::parse_prompt_template(config::enum_name(config.data.text_template)),
          .append_eos = config.data.append_eos,
          .max_tokens = config.data.max_tokens,
          .chat_template = chat_template_file ? read_text(*chat_template_file) : ""};
}

std::string without_input_part(int64_t num_records) {
  if (num_records == 0) return "";
  return fmt::format("; {} without an input left out", counted(num_records, "record"));
}

std::string lengths_line(const TextLengths& lengths, int64_t max_tokens) {
  const std::string left_out =
      lengths.empty > 0 ? fmt::format("; {} without a predicted token are left out", lengths.empty)
                        : "";
  return fmt::format("{} texts of {:.1f} tokens on average, the longest {}; {} cut to {}{}",
                     lengths.texts,
                     static_cast<double>(lengths.tokens) /
                         static_cast<double>(std::max<int64_t>(1, lengths.texts)),
                     lengths.longest, lengths.cut, max_tokens, left_out);
}

}  // namespace cpx::recipes
