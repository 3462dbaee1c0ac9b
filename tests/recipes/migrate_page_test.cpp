// SPDX-License-Identifier: Apache-2.0
// docs/migrate.md names only keys and values that cpx-train takes, in a section with the objective
// that has them, and no flag of the published scripts is missing from it. (The tools' flags that it
// names are checked by tests/tools/readme_test.cpp.)
#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/output_file.h"
#include "cpx/recipes/train_config.h"
#include "tests/support/errors.h"

namespace cpx::recipes {
namespace migrate_page_test {

// Heading of a section ("## x" is "x") -> its text. What stands before the first is under "".
std::map<std::string, std::string> sections_of(const std::string& page) {
  std::map<std::string, std::string> sections;
  std::string heading;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) heading = line.substr(3);
    sections[heading] += line + "\n";
  }
  return sections;
}

std::map<std::string, std::string> migrate_sections() {
  return sections_of(read_text_file(std::filesystem::path(CPX_SOURCE_DIR) / "docs" / "migrate.md"));
}

// What stands between backticks.
std::vector<std::string> code_spans(const std::string& text) {
  static const std::regex kSpan("`([^`\n]+)`");
  std::vector<std::string> spans;
  for (std::sregex_iterator match(text.begin(), text.end(), kSpan), end; match != end; ++match) {
    spans.push_back((*match)[1]);
  }
  return spans;
}

// The keys of the config page, objective keys as "NAME objective.KEY".
std::set<std::string> known_keys() {
  std::set<std::string> keys;
  std::string objective;
  std::istringstream lines(train_config_markdown());
  for (std::string line; std::getline(lines, line);) {
    const std::string kOfObjective = "### objective: ";
    if (line.starts_with("#")) objective.clear();
    if (line.starts_with(kOfObjective)) objective = line.substr(kOfObjective.size()) + " ";
    if (line.starts_with("| `")) keys.insert(objective + line.substr(3, line.find('`', 3) - 3));
  }
  return keys;
}

// "a.b" of "a.b=value" where a is a section of the config; else empty.
std::string key_of(const std::string& span) {
  static const std::regex kKey(
      "((model|adapter|data|objective|rollout|reward|optimizer|schedule|training|evaluation|"
      "checkpoint|logging)\\.[a-z_]+)(=.*)?");
  std::smatch match;
  return std::regex_match(span, match, kKey) ? match[1].str() : "";
}

// The objective that a section is about.
std::string objective_of(const std::string& section) {
  static const std::regex kName("`objective\\.name=([a-z_]+)`");
  std::smatch match;
  return std::regex_search(section, match, kName) ? match[1].str() : "contrastive_perplexity";
}

// The faults of the least config with these overrides.
std::vector<std::string> faults_of(const std::vector<std::string>& overrides) {
  return testing_support::faults_of([&] {
    parse_train_config(
        "model: {path: m}\ndata: {train: [d.json]}\ntraining: {output: out}\n"
        "reward: {words: [kind]}\n",
        "t.yaml", overrides);
  });
}

TEST(MigratePage, NamesOnlyKeysOfTheSectionsObjective) {
  const std::set<std::string> known = known_keys();
  ASSERT_GT(known.size(), 100);
  size_t num_keys = 0;
  for (const auto& [heading, text] : migrate_sections()) {
    const std::string objective = objective_of(text);
    for (const std::string& span : code_spans(text)) {
      const std::string key = key_of(span);
      if (key.empty()) continue;
      ++num_keys;
      EXPECT_TRUE(known.contains(key) || known.contains(objective + " " + key))
          << "'" << span << "' under '" << heading << "' (" << objective << ")";
    }
  }
  EXPECT_GT(num_keys, 200);
}

// rollout and reward stand beside ppo alone, so these sections' values are tried with it.
TEST(MigratePage, ItsValuesAreTaken) {
  size_t num_values = 0;
  for (const auto& [heading, text] : migrate_sections()) {
    const std::string name = "objective.name=" + objective_of(text);
    for (const std::string& span : code_spans(text)) {
      if (key_of(span).empty() || span.find('=') == std::string::npos) continue;
      ++num_values;
      const std::vector<std::string> before = faults_of({name});
      for (const std::string& fault : faults_of({name, span})) {
        EXPECT_NE(std::ranges::find(before, fault), before.end())
            << "'" << span << "' under '" << heading << "': " << fault;
      }
    }
  }
  EXPECT_GT(num_values, 40);
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

struct Script {
  const char* name;
  const char* flags;
};

// The fields of the scripts' ScriptArguments, and the arguments of their parsers, at be8b4fd.
const Script kScripts[] = {
    {"train_mistral.py",
     "local_rank alpha beta detox toxify tau smoothing per_device_train_batch_size "
     "per_device_eval_batch_size gradient_accumulation_steps num_pos num_neg num_rnd seed "
     "learning_rate max_grad_norm weight_decay max_prompts_per_group lora_alpha lora_dropout "
     "lora_r lora_target_modules max_seq_length model_name dataset_name use_instruction "
     "use_llama_chat_format use_chat_format use_8bit bnb_8bit_compute_dtype bnb_8bit_quant_type "
     "use_4bit use_nested_quant bnb_4bit_compute_dtype bnb_4bit_quant_type num_train_epochs fp16 "
     "bf16 packing gradient_checkpointing optim lr_scheduler_type max_steps warmup_steps "
     "warmup_ratio save_steps eval_steps logging_steps output_dir data_dir use_flash_attn "
     "use_peft_lora use_8bit_quantization use_4bit_quantization use_gradient_checkpointing "
     "dataset_text_field push_to_hub num_workers debug description tags"},
    {"train_ppo.py",
     "seed model_name log_with learning_rate mini_batch_size batch_size "
     "gradient_accumulation_steps model_save_path"},
    {"paraphrase.py",
     "input_dir output_dir model_name model_basename device num_prompts num_paraphrases "
     "batch_size"},
    {"clean_data.py", "src_dir output_dir model_name device groups"},
    {"compute_perplexity.py",
     "model_path data_dir device num_toxic_samples num_neutral_samples stride use_4bit seed"},
};

// The flags of train_mistral_hard_negatives.py, train_mistral_cycle.py and train_zephyr.py are
// among those of train_mistral.py.
TEST(MigratePage, LeavesOutNoFlagOfTheScripts) {
  const auto sections = migrate_sections();
  for (const auto& [name, flags] : kScripts) {
    ASSERT_TRUE(sections.contains(name)) << name;
    const std::vector<std::string> spans = code_spans(sections.at(name));
    for (const std::string& flag : words(flags)) {
      EXPECT_NE(std::ranges::find(spans, "--" + flag), spans.end()) << name << " --" << flag;
    }
  }
  for (const char* name : {"train_mistral_hard_negatives.py", "train_llama2.py", "train_seq2seq.py",
                           "train_mistral_cycle.py", "train_zephyr.py", "train_dpo.py",
                           "run_simpo.py", "LoraConfig", "BitsAndBytesConfig", "TrainingArguments",
                           "SFTConfig", "DPOConfig", "CPOConfig", "PPOConfig"}) {
    EXPECT_TRUE(sections.contains(name)) << name;
  }
}

// Every config of configs/published/ stands on the page.
TEST(MigratePage, NamesEveryPublishedConfig) {
  const auto sections = migrate_sections();
  const std::string& head = sections.at("");
  const std::filesystem::path root = CPX_SOURCE_DIR;
  for (const auto& entry : std::filesystem::directory_iterator(root / "configs" / "published")) {
    const std::string name = entry.path().lexically_relative(root).string();
    EXPECT_NE(head.find(name), std::string::npos) << name;
  }
}

}  // namespace migrate_page_test
}  // namespace cpx::recipes
