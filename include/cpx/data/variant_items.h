// SPDX-License-Identifier: Apache-2.0
// The training items of the published variants of contrastive perplexity: concatenations (transfer)
// and instruction pairs (cycle). Every token but the first is predicted.
// Source: SAP-samples/acl2025-contrastive-perplexity at be8b4fd, the collators of train_seq2seq.py
// and train_mistral_cycle.py. Neither script runs as published; the comment of each function says
// where a choice had to be made. (The prototype objective of train_llama2.py trains on plain texts,
// the input among them: GroupOptions::with_input.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/item_role.h"
#include "cpx/data/contrast_groups.h"
#include "cpx/data/text_encoder.h"
#include "cpx/tokenizer/tokenizer.h"

namespace cpx::data {

/// The texts of a drawn group.
struct GroupTexts {
  std::string input = {};
  std::vector<std::string> positives = {};
  std::vector<std::string> negatives = {};  // hard ones
};
GroupTexts group_texts(const ContrastGroups& groups, const DrawnGroup& drawn);

struct TransferItem {
  TransferRole role = TransferRole::kPositiveInput;
  std::vector<tokenizer::TokenId> ids = {};
};

/// From P positives and N negatives: P times positive + input, P times negative + input (starting
/// again with the first negative if N < P), N times input + negative, in this order.
///
/// Each text is encoded and cut by itself, then the two are joined: the first without its EOS, the
/// second without its BOS, with nothing between. (Published: the first without its last token and
/// the second without its first, whatever these are, so tokenizers without BOS lost a word.)
///
/// Choices: the script draws the direction of each positive by a coin; here it is the one its
/// contrast needs, positive + input. The script draws the negatives of negative + input and of
/// input + negative independently; here they are the same. The script gives concatenations as
/// labels to inputs that contain only their first text; here input and labels are one sequence.
std::vector<TransferItem> transfer_items(const GroupTexts& texts, const TextEncoder& encoder);

/// The instructions of the cycle objective, each followed by a text, " [/INST] " and its rewording.
constexpr std::string_view kDetoxifyInstruction =
    "[INST] Paraphrase the following sentence, without using toxic or racist vocabulary: ";
constexpr std::string_view kToxifyInstruction =
    "[INST] Paraphrase the following sentence, in a toxic way: ";

struct CycleItem {
  CycleRole role = CycleRole::kPositive;
  std::vector<tokenizer::TokenId> ids = {};
};

/// From P positives and N negatives, in this order: P detoxify pairs (negative i to positive i), N
/// toxify pairs (positive i to negative i), the P positives, the N negatives, P cycle pairs
/// (positive i back to negative i); the shorter list starts again. The loss of the script is the
/// mean of m over the cycle pairs, plus that over the toxify pairs, plus that over the detoxify
/// pairs, plus alpha times the contrast of the positives with the negatives.
///
/// Each pair is one text without the encoder's template, with BOS and EOS like every text;
/// positives and negatives are put into the template.
///
/// Choices: the script encodes the detoxify pairs and drops them, though its index counts them;
/// here they are kept. The positives of its pairs are the first ones of a record in file order;
/// here they are the drawn ones, as for the plain texts. It writes a second BOS, `[\INST]` for
/// `[/INST]` and `<\s>` for EOS, no comma in the second instruction, and "in a toxic and possibly
/// racist way" for toxify pairs; here each instruction has one wording.
std::vector<CycleItem> cycle_items(const GroupTexts& texts, const TextEncoder& encoder);

}  // namespace cpx::data
