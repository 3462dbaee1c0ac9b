// SPDX-License-Identifier: Apache-2.0
// The objective of a config: which one it is, with its keys.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "cpx/config/fields.h"

namespace cpx::recipes {

/// What cpx-train knows of an objective; declared in src/recipes/objective.h.
class Objective;

/// One row an objective, in the order of the help: makes it with its default keys. The first one is
/// the default.
using ObjectiveTable = std::vector<std::unique_ptr<Objective> (*)()>;

/// The objectives of cpx-train. A new one is a file in src/recipes/objectives and a row here.
const ObjectiveTable& objective_table();

/// One of a table's objectives. Keys of the others stay as they are, for whoever selects them.
class ObjectiveChoice {
 public:
  /// The table's first objective; the table must outlive the object.
  explicit ObjectiveChoice(const ObjectiveTable& table = objective_table());
  ObjectiveChoice(const ObjectiveChoice& other);
  ObjectiveChoice(ObjectiveChoice&& other) noexcept;
  ObjectiveChoice& operator=(ObjectiveChoice other) noexcept;
  ~ObjectiveChoice();

  const Objective& operator*() const { return *all_[current_]; }
  const Objective* operator->() const { return all_[current_].get(); }

  /// The same objective with its default keys.
  ObjectiveChoice with_default_keys() const;

  /// Adds the section `objective`, and the sections beside it that belong to single objectives.
  /// They are valid while this object lives and is not assigned to.
  void visit_fields(config::FieldVisitor& visit);

 private:
  config::OneOf one_of();

  const ObjectiveTable* table_;
  std::vector<std::unique_ptr<Objective>> all_;  // as in the table
  size_t current_ = 0;
};

}  // namespace cpx::recipes
