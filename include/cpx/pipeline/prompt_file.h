// SPDX-License-Identifier: Apache-2.0
// Reads files of texts to paraphrase, and assigns groups and ids to their records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/core/faults.h"
#include "cpx/data/input_file.h"

namespace cpx::pipeline {

/// The content of a file of prompts; each input has a group and an id.
struct PromptContent {
  std::vector<data::Input> inputs = {};
  int64_t num_repeated = 0;  // repeated sentences of lists, left out
  Faults faults = {};
};

/// Reads everything that data::read_inputs() reads, and the published prompt format (ToxiGen): a
/// `.txt` file whose lines are lists, `- first sentence\n- second sentence\n-` with literal `\n`.
/// Each sentence of such a list is an input, once per file, because the lists are drawn from a few
/// sentences. (The published script asks for a whole list at a time.) A file has that format if its
/// first non-blank line is such a list; a later line that is not one is a fault. An input without a
/// group gets the group of the file name, and one without an id gets `<group>-<i>`, where i counts
/// the inputs of the file from 0, as published. Groups are normalised.
PromptContent read_prompts(const std::filesystem::path& file);

/// `group` by its usual name: `mental_disability` is `mental_dis`. Other names stay as they are.
std::string normalize_group(std::string_view group);

/// The group in the name of a file: "neutral_mental_disability_1k.txt" gives `mental_dis`.
std::string group_of_file(const std::filesystem::path& file);

}  // namespace cpx::pipeline
