// SPDX-License-Identifier: Apache-2.0
#include "cpx/recipes/objective_choice.h"

#include <utility>

#include "objective.h"

namespace cpx::recipes {

ObjectiveChoice::ObjectiveChoice(const ObjectiveTable& table) : table_(&table) {
  for (const auto& make : table) all_.push_back(make());
}

ObjectiveChoice::ObjectiveChoice(const ObjectiveChoice& other)
    : table_(other.table_), current_(other.current_) {
  for (const auto& objective : other.all_) all_.push_back(objective->clone());
}

ObjectiveChoice::ObjectiveChoice(ObjectiveChoice&& other) noexcept = default;

ObjectiveChoice& ObjectiveChoice::operator=(ObjectiveChoice other) noexcept {
  table_ = other.table_;
  all_ = std::move(other.all_);
  current_ = other.current_;
  return *this;
}

ObjectiveChoice::~ObjectiveChoice() = default;

ObjectiveChoice ObjectiveChoice::with_default_keys() const {
  ObjectiveChoice fresh(*table_);
  fresh.current_ = current_;
  return fresh;
}

config::OneOf ObjectiveChoice::one_of() {
  config::OneOf one_of;
  one_of.current = [this] { return current_; };
  one_of.current_section = [this] { return config::fields_of(*all_[current_]); };
  for (size_t i = 0; i < all_.size(); ++i) {
    const std::shared_ptr<Objective> own = (*table_)[i]();
    one_of.alternatives.push_back({.name = all_[i]->name(),
                                   .doc = all_[i]->doc(),
                                   .select =
                                       [this, i] {
                                         current_ = i;
                                         return config::fields_of(*all_[i]);
                                       },
                                   .defaults = [own] { return config::fields_of(*own); }});
  }
  return one_of;
}

void ObjectiveChoice::visit_fields(config::FieldVisitor& visit) {
  visit.add({.name = "objective",
             .doc = "What is minimised; the other keys are those of the name",
             .rule = {},
             .value = {one_of()}});
  for (size_t i = 0; i < all_.size(); ++i) {
    config::FieldVisitor sections;
    all_[i]->visit_sections(sections);
    for (config::Field& field : sections.take().fields) {
      field.rule.owner = all_[i]->name();
      field.rule.is_owner_current = [this, i] { return current_ == i; };
      visit.add(std::move(field));
    }
  }
}

}  // namespace cpx::recipes
