// SPDX-License-Identifier: Apache-2.0
// Files of texts to paraphrase, with the group and the id that their records get.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cpx/data/input_file.h"

namespace cpx::pipeline {

/// What a file of prompts gave; each input has a group and an id.
struct PromptContent {
  std::vector<data::Input> inputs = {};
  int64_t num_repeated = 0;  // sentences of lists that stood in the file before, left out
  std::vector<std::string> faults = {};
};

/// Reads what data::read_inputs() reads, and the published prompt format (ToxiGen): a `.txt` whose
/// lines are lists, `- first sentence\n- second sentence\n-` with literal `\n`. There each
/// sentence is an input, once a file: the lists are drawn from a few sentences. (The published
/// script asks for a whole list at a time.) A file is of that format when its first line with text
/// is such a list; a line that is none is then a fault.
/// Inputs without a group get that of the file's name, those without an id `<group>-<i>`, where i
/// counts the file's inputs from 0, as published. Groups are normalised.
PromptContent read_prompts(const std::filesystem::path& file);

/// `group` by its usual name: `mental_disability` is `mental_dis`. Other names stay as they are.
std::string normalize_group(std::string_view group);

/// The group that a file's name tells: "neutral_mental_disability_1k.txt" gives `mental_dis`.
std::string group_of_file(const std::filesystem::path& file);

}  // namespace cpx::pipeline
