// SPDX-License-Identifier: Apache-2.0
// What the tests of every step task check in the same way.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/training/step_task.h"
#include "tiny_run.h"

namespace cpx::training {

/// A record made by hand; its input is its first neutral text.
data::Record hand_record(std::vector<std::string> neutral, std::vector<std::string> toxic);

/// NLLs of the predicted tokens of a text of NumberTokenizer, one text by itself, by a plain
/// log-softmax over the model's logits.
std::vector<double> plain_token_nll(TinyModel& model, std::string_view text);
std::vector<double> plain_token_nll(TinyModel& model, std::span<const tokenizer::TokenId> ids);

double mean_of(const std::vector<double>& values);

/// -sum of log softmax(2^-|mean - centre|) over the first `num_targets` of `means`.
double centred_cross_entropy_of(const std::vector<double>& means, size_t num_targets,
                                double centre);

/// The loss of a micro batch that is a step by itself; leaves its gradient.
double loss_of(nn::CausalLm& model, const MicroBatch& micro_batch);

/// Expects the adapter's gradient to equal central differences of the loss, at the entry with the
/// largest gradient of each tensor.
void expect_gradient_matches_differences(TinyModel& model, const MicroBatch& micro_batch);

/// Expects loss and gradient of the first micro batch of `whole` to be the sum of those of the
/// micro batches of `parts`.
void expect_parts_add_up(TinyModel& model, StepTask& whole, StepTask& parts);

/// The text of the DataError that `action` throws.
std::string data_error_of(const std::function<void()>& action);

}  // namespace cpx::training
