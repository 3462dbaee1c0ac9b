// SPDX-License-Identifier: Apache-2.0
// The keys of the objectives that can hold plain texts where the frozen base has them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "cpx/config/fields.h"

namespace cpx::recipes {

struct RetainKeys {
  double retain = 0.0;
  int64_t retain_texts = 4;
  bool cache_base = true;
  std::optional<std::filesystem::path> base_cache;

  void visit_fields(config::FieldVisitor& visit) {
    visit.field("retain", retain,
                "Weight of the squared distance of the texts in data.retain from the base's token "
                "log-likelihoods: keeps other text as it is (published: 0)",
                {.at_least = 0});
    visit.field("retain_texts", retain_texts, "Texts of data.retain beside each micro batch",
                {.at_least = 1});
    visit.field("cache_base", cache_base,
                "Keeps what the base says of texts on disk: later runs read it",
                {.free_on_resume = true});
    visit.field("base_cache", base_cache,
                "File of the cache, which several runs may share; null: base_nll.bin in "
                "training.output",
                {.free_on_resume = true});
  }
};

}  // namespace cpx::recipes
