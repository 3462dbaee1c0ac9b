// SPDX-License-Identifier: Apache-2.0
#include "labelled_data.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include <fmt/format.h>

#include "config_messages.h"
#include "cpx/core/error.h"
#include "cpx/core/text.h"
#include "cpx/data/pair_encoder.h"
#include "cpx/training/kto_step.h"
#include "fingerprint.h"
#include "inspect.h"

namespace cpx::recipes {

namespace {

// The paper's eq. 8: desirable and undesirable answers are to weigh the same in all, or the
// desirable ones up to a third more.
constexpr double kMostRatio = 4.0 / 3.0;

// The answers of training or of evaluation, each by itself.
class LabelledTrainData : public AnswerData {
 public:
  // Throws DataError when no answer is left.
  LabelledTrainData(const TrainConfig& config, const DataFiles& files,
                    data::PreferenceContent content, const LabelledKeys& keys,
                    const objectives::KtoOptions& options)
      : AnswerData(config, keys.prompts, files, std::move(content)),
        options_(options),
        answers_(drawn_from_items("answer", [&](std::span<const data::PreferenceItem> items) {
          return std::make_shared<data::LabelledAnswers>(
              items, labelled_options(keys, files.is_trained_on));
        })) {}

  int64_t num_units() const override { return answers_->num_answers(); }
  std::string_view unit_name() const override { return "answers"; }
  std::string summary() const override;
  std::vector<std::string> warnings() const override;
  BatchSizes measure_batches(int64_t num_epochs) const override;
  void print_examples(int64_t count) const override;

  const std::shared_ptr<const data::LabelledAnswers>& answers() const { return answers_; }

 private:
  // Evaluation takes the answers in file order.
  data::LabelledOptions labelled_options(const LabelledKeys& keys, bool is_trained_on) const {
    data::LabelledOptions options = keys.answers;
    options.shuffle = is_trained_on && config().data.shuffle;
    options.seed = static_cast<uint64_t>(config().training.seed);
    return options;
  }

  data::EncodedPair encode(const data::DrawnAnswer& drawn) const {
    const data::PreferenceItem& item = answers_->item(drawn);
    return encoder().encode(item.prompt, {&answers_->text(drawn), 1}, item.frame);
  }

  const objectives::KtoOptions& options_;
  std::shared_ptr<const data::LabelledAnswers> answers_;
};

std::string LabelledTrainData::summary() const {
  const int64_t desirable = answers_->num_desirable();
  return fmt::format("{}; {} an epoch: {} desirable, {} undesirable{}",
                     used_part(answers_->num_items(), answers_->num_skipped(), "no answer"),
                     counted(num_units(), "answer"), desirable, num_units() - desirable,
                     without_input_part());
}

std::vector<std::string> LabelledTrainData::warnings() const {
  std::vector<std::string> lines = AnswerData::warnings();
  const auto desirable = static_cast<double>(answers_->num_desirable());
  const double undesirable = static_cast<double>(num_units()) - desirable;
  if (desirable == 0.0 || undesirable == 0.0) {
    lines.push_back(fmt::format("[kto] all answers are {}, expected some of either side.",
                                desirable == 0.0 ? "undesirable" : "desirable"));
    return lines;
  }
  const double ratio =
      options_.desirable_weight * desirable / (options_.undesirable_weight * undesirable);
  if (ratio >= 1.0 && ratio <= kMostRatio) return lines;
  const double even = options_.undesirable_weight * undesirable / desirable;
  lines.push_back(fmt::format(
      "[kto] {} desirable and {} undesirable answers with the weights {} and {}: the paper has the "
      "desirable ones weigh 1 to 4/3 times the others in all, which objective.desirable_weight "
      "{:.3g} to {:.3g} would give.",
      desirable, undesirable, options_.desirable_weight, options_.undesirable_weight, even,
      kMostRatio * even));
  return lines;
}

BatchSizes LabelledTrainData::measure_batches(int64_t num_epochs) const {
  return measure_epochs(
      num_epochs, config().training.groups,
      [this](int64_t epoch) { return answers_->epoch_order(epoch); },
      [this](BatchSize& batch, int64_t number, int64_t epoch) {
        batch.add_text(std::ssize(encode(answers_->draw(number, epoch)).whole_text(0)));
      });
}

void LabelledTrainData::print_examples(int64_t count) const {
  const std::vector<int64_t> order = answers_->epoch_order(/*epoch=*/0);
  const auto shown = std::min(order.size(), static_cast<size_t>(count));
  for (size_t i = 0; i < shown; ++i) {
    const data::DrawnAnswer drawn = answers_->draw(order[i], /*epoch=*/0);
    const data::EncodedPair pair = encode(drawn);
    const std::vector<tokenizer::TokenId> ids = pair.whole_text(0);
    std::cout << fmt::format("{}Answer {} of {} (epoch 0): {}\n{}: {} tokens, {} predicted{}\n",
                             i > 0 ? "\n" : "", i + 1, order.size(), answers_->item(drawn).where,
                             drawn.is_desirable ? "desirable" : "undesirable", ids.size(),
                             pair.num_predicted(0), pair.answers[0].is_cut ? ", cut" : "")
              << token_table(encoder().tokenizer(), ids, /*width=*/100,
                             std::max<size_t>(pair.prompt.size(), 1));
  }
}

}  // namespace

void LabelledKeys::visit_fields(config::FieldVisitor& visit) {
  visit.field("prompt", prompts.prompt,
              "What a record's input becomes a prompt by, at {input} (published: this one); files "
              "of answers may have prompts of their own");
  visit.field("desirable_per_prompt", answers.desirable_per_prompt,
              "At most so many neutral (chosen) answers of a prompt in an epoch; 0: all",
              {.at_least = 0});
  visit.field("undesirable_per_prompt", answers.undesirable_per_prompt,
              "The same of toxic (rejected) ones", {.at_least = 0});
  visit.field("max_prompt_tokens", prompts.max_prompt_tokens,
              "A longer prompt loses its beginning; 0: no limit but data.max_tokens",
              {.at_least = 0});
}

std::unique_ptr<RunData> labelled_run_data(const TrainConfig& config, const LabelledKeys& keys,
                                           const objectives::KtoOptions& options) {
  return std::make_unique<RunDataOf<LabelledTrainData>>(
      [&](const DataFiles& files, Faults& faults) {
        auto content = data::read_labelled(files.files, keys.prompts.prompt, files.encoder.get());
        return answer_data<LabelledTrainData>(config, files, std::move(content), faults, keys,
                                              options);
      },
      [&](const LabelledTrainData& train, const LabelledTrainData* eval,
          const TaskContext& context) {
        return std::make_unique<training::KtoStep>(
            training::LabelledData{.train = train.answers(),
                                   .eval = eval != nullptr ? eval->answers() : nullptr,
                                   .encoder = train.encoder(),
                                   .answers_per_micro_batch = config.training.groups,
                                   .drop_last = config.data.drop_last},
            options, context.reference);
      });
}

}  // namespace cpx::recipes
