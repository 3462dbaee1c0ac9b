// SPDX-License-Identifier: Apache-2.0
// The subjects of MMLU by category, as lm-evaluation-harness 0.4.13 groups them
// (lm_eval/tasks/mmlu/default). Source: Hendrycks et al., "Measuring Massive Multitask Language
// Understanding", ICLR 2021, table 2.
#include "cpx/evaluation/choice_task.h"

namespace cpx::evaluation {

std::span<const SubjectCategory> mmlu_categories() {
  static const std::vector<SubjectCategory> categories = {
      {.name = "stem",
       .subjects = {"abstract_algebra", "anatomy", "astronomy", "college_biology",
                    "college_chemistry", "college_computer_science", "college_mathematics",
                    "college_physics", "computer_security", "conceptual_physics",
                    "electrical_engineering", "elementary_mathematics", "high_school_biology",
                    "high_school_chemistry", "high_school_computer_science",
                    "high_school_mathematics", "high_school_physics", "high_school_statistics",
                    "machine_learning"}},
      {.name = "other",
       .subjects = {"business_ethics", "clinical_knowledge", "college_medicine", "global_facts",
                    "human_aging", "management", "marketing", "medical_genetics", "miscellaneous",
                    "nutrition", "professional_accounting", "professional_medicine", "virology"}},
      {.name = "social_sciences",
       .subjects = {"econometrics", "high_school_geography", "high_school_government_and_politics",
                    "high_school_macroeconomics", "high_school_microeconomics",
                    "high_school_psychology", "human_sexuality", "professional_psychology",
                    "public_relations", "security_studies", "sociology", "us_foreign_policy"}},
      {.name = "humanities",
       .subjects = {"formal_logic", "high_school_european_history", "high_school_us_history",
                    "high_school_world_history", "international_law", "jurisprudence",
                    "logical_fallacies", "moral_disputes", "moral_scenarios", "philosophy",
                    "prehistory", "professional_law", "world_religions"}},
  };
  return categories;
}

}  // namespace cpx::evaluation
