// SPDX-License-Identifier: Apache-2.0
// Texts of a group that begin alike share the tokens of that beginning: fewer rows, the same
// numbers.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/training/cycle_step.h"
#include "cpx/training/prototype_step.h"
#include "cpx/training/sft_step.h"
#include "cpx/training/transfer_step.h"
#include "record_steps.h"
#include "step_check.h"
#include "tests/support/names.h"

namespace cpx::training {
namespace shared_prefixes_test {

// All texts of a record begin with the same two or three numbers.
std::vector<data::Record> alike_records() {
  auto one = hand_record({"5 6 7 8 2", "5 6 7 9 10 2"}, {"5 6 11 2", "5 6 7 12 2"});
  one.input = "5 6 7 13 2";
  auto other = hand_record({"20 21 22 2", "20 21 23 2"}, {"20 21 22 24 2", "20 25 2"});
  other.input = "20 21 26 2";
  return {one, other};
}

struct Variant {
  std::string name;
  std::function<std::unique_ptr<StepTask>(const GroupData& data)> make;
  bool with_input = false;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

class SharedPrefixes : public testing::TestWithParam<Variant> {
 protected:
  std::unique_ptr<StepTask> step(bool shares_prefixes) const {
    RecordOptions options = tiny_groups(2);
    options.groups.with_input = GetParam().with_input;
    options.shares_prefixes = shares_prefixes;
    return GetParam().make(group_data(records_, records_, encoder_, options));
  }

 private:
  std::vector<data::Record> records_ = alike_records();
  data::TextEncoder encoder_ = word_encoder();
};

INSTANTIATE_TEST_SUITE_P(
    All, SharedPrefixes,
    testing::Values(
        Variant{"contrast",
                [](const GroupData& data) {
                  return contrast_step(data, tiny_step_options().objective);
                }},
        Variant{"sft", [](const GroupData& data) { return sft_step(data); }},
        Variant{"prototype", [](const GroupData& data) { return prototype_step(data, {}); }, true},
        Variant{"transfer",
                [](const GroupData& data) { return transfer_step(data, {.alpha = 2.0}); }, true},
        Variant{
            "cycle",
            [](const GroupData& data) { return cycle_step(data, {.objective = {.alpha = 2.0}}); }}),
    testing_support::by_value);

std::vector<torch::Tensor> gradients_of(TinyModel& model, const MicroBatch& micro_batch,
                                        double& loss) {
  for (auto& parameter : model.trainable()) parameter.value.mutable_grad().reset();
  loss = loss_of(model, micro_batch);
  std::vector<torch::Tensor> gradients;
  for (const auto& parameter : model.trainable()) {
    gradients.push_back(parameter.value.grad().clone());
  }
  return gradients;
}

TEST_P(SharedPrefixes, ChangeNoNumber) {
  TinyModel model;
  const auto shared = step(true)->prepare(model, 0, 0);
  const auto apart = step(false)->prepare(model, 0, 0);
  double shared_loss = 0.0;
  double apart_loss = 0.0;
  const auto shared_gradients = gradients_of(model, *shared, shared_loss);
  const auto apart_gradients = gradients_of(model, *apart, apart_loss);
  EXPECT_NEAR(shared_loss, apart_loss, 1e-6 * apart_loss);
  for (size_t i = 0; i < apart_gradients.size(); ++i) {
    const double largest = apart_gradients[i].abs().max().item().toDouble();
    EXPECT_GT(largest, 0.0);
    EXPECT_LE((shared_gradients[i] - apart_gradients[i]).abs().max().item().toDouble(),
              1e-5 * largest);
  }
}

TEST_P(SharedPrefixes, TakeFewerRows) {
  TinyModel model;
  const auto shared = step(true)->prepare(model, 0, 0);
  const auto apart = step(false)->prepare(model, 0, 0);
  EXPECT_LT(shared->info().num_tokens, apart->info().num_tokens);
  EXPECT_EQ(shared->info().counts.positive_tokens, apart->info().counts.positive_tokens);
  EXPECT_EQ(shared->info().num_padded_tokens, apart->info().num_padded_tokens);
}

TEST_P(SharedPrefixes, EvaluateTheSame) {
  TinyModel model;
  const auto shared = step(true)->evaluate(model);
  const auto apart = step(false)->evaluate(model);
  EXPECT_NEAR(shared.loss, apart.loss, 1e-6 * apart.loss);
  EXPECT_NEAR(*shared.sides.ratio, *apart.sides.ratio, 1e-6);
}

}  // namespace shared_prefixes_test
}  // namespace cpx::training
