// SPDX-License-Identifier: Apache-2.0
// Option structs list their fields once: `void visit_fields(FieldVisitor& visit)` names every field
// with its meaning and its limits. Loading, printing, `--help` and docs/config.md all read that
// list. An example:
//
//   struct OptimizerOptions {
//     double lr = 2.0e-4;
//     void visit_fields(FieldVisitor& visit) {
//       visit.field("lr", lr, "Learning rate", {.above = 0});
//     }
//   };
//
// Options of modules that do not know config take any visitor: `template <class Visitor> void
// visit_fields(Visitor& visit)`.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cpx::config {

/// The limits of a value beside its type, and other facts about its key. The limits of a list apply
/// to its items.
struct Rule {
  std::optional<double> at_least{};
  std::optional<double> above{};
  std::optional<double> at_most{};
  std::optional<double> below{};
  bool required = false;               // there is no default: the key must be given
  bool non_empty = false;              // for lists; texts and paths are never empty
  bool free_on_resume = false;         // may differ when a run is resumed
  bool is_path = false;                // for strings: it names files, as a path does
  std::string_view instead_of_list{};  // one word that may replace the list
  /// This section only exists while the sibling OneOf has alternative `owner` selected (for example
  /// `rollout` with objective ppo); otherwise it is not read or printed.
  std::string_view owner{};
  std::function<bool()> is_owner_current{};

  bool is_absent() const { return is_owner_current && !is_owner_current(); }
};

struct Field;
struct Value;

/// The fields of one struct, bound to one object, in declared order.
struct Section {
  std::vector<Field> fields;
};

/// An enum: the names of its values, in order.
struct NamedChoice {
  std::span<const std::string_view> names;
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};

/// A std::vector, or a std::array (whose size cannot change).
struct List {
  std::function<size_t()> size;
  std::function<void(size_t)> resize;
  std::function<Value(size_t)> item;
  std::function<Value()> sample;  // an item of its own, for its type
  std::optional<size_t> fixed_size;
};

/// A std::optional; its empty state is `null` in YAML.
struct Nullable {
  std::function<bool()> has_value;
  std::function<Value()> value;   // the present value
  std::function<Value()> sample;  // a value of its own, for its type
  std::function<void()> emplace;
  std::function<void()> reset;
};

/// One of the sections of a OneOf.
struct Alternative {
  std::string_view name;
  std::string_view doc;
  std::function<Section()> select;    // makes it the current alternative, with defaults
  std::function<Section()> defaults;  // bound to an object of its own
};

/// Sections of which one is chosen: the key `name` says which one the other keys belong to.
struct OneOf {
  std::vector<Alternative> alternatives;
  std::vector<std::string_view> later;  // known names that this version does not have
  std::function<size_t()> current;
  std::function<Section()> current_section;
};

/// The location of the value of a field, by type.
struct Value {
  std::variant<bool*, int64_t*, double*, std::string*, std::filesystem::path*, NamedChoice, List,
               Nullable, Section, OneOf>
      target;
};

struct Field {
  std::string_view name;
  std::string_view doc;
  Rule rule;
  Value value;
};

/// Binds a field of any supported type. For an enum E it needs `constexpr
/// std::array<std::string_view, N> enum_names(E)` in the namespace of E, with the names of the
/// values 0 to N-1.
template <class T>
Value bind_value(T& target);

/// Collects the fields that a struct's visit_fields() lists.
class FieldVisitor {
 public:
  template <class T>
  void field(std::string_view name, T& target, std::string_view doc, Rule rule = {}) {
    section_.fields.push_back({name, doc, rule, bind_value(target)});
  }

  /// A section whose key `name` chooses among structs, each with a `kName` and a `kDoc`.
  template <class... Ts>
  void one_of(std::string_view name, std::variant<Ts...>& target, std::string_view doc,
              std::vector<std::string_view> later);

  /// A field that is bound already.
  void add(Field field) { section_.fields.push_back(std::move(field)); }

  Section take() { return std::move(section_); }

 private:
  Section section_;
};

/// The fields of `options`; valid while that object lives.
template <class T>
Section fields_of(T& options) {
  FieldVisitor visitor;
  options.visit_fields(visitor);
  return visitor.take();
}

/// The name of an enum's value, as YAML has it.
template <class E>
requires std::is_enum_v<E> std::string_view enum_name(E value) {
  return enum_names(value)[static_cast<size_t>(value)];
}

// ---- implementation ----------------------------------------------------------------------------

namespace detail {

template <class E>
NamedChoice bind_enum(E& target) {
  static constexpr auto kNames = enum_names(E{});
  return {.names = kNames,
          .get = [&target] { return static_cast<size_t>(target); },
          .set = [&target](size_t index) { target = static_cast<E>(index); }};
}

// Binds an object that the function itself owns.
template <class T>
std::function<Value()> own_sample() {
  return [own = std::make_shared<T>()] { return bind_value(*own); };
}

template <class T>
List bind_list(std::vector<T>& target) {
  return {.size = [&target] { return target.size(); },
          .resize = [&target](size_t size) { target.resize(size); },
          .item = [&target](size_t index) { return bind_value(target[index]); },
          .sample = own_sample<T>(),
          .fixed_size = std::nullopt};
}

template <class T, size_t N>
List bind_list(std::array<T, N>& target) {
  return {.size = [] { return N; },
          .resize = [](size_t) {},
          .item = [&target](size_t index) { return bind_value(target[index]); },
          .sample = own_sample<T>(),
          .fixed_size = N};
}

template <class T>
Nullable bind_optional(std::optional<T>& target) {
  return {.has_value = [&target] { return target.has_value(); },
          .value = [&target] { return bind_value(*target); },
          .sample = own_sample<T>(),
          .emplace = [&target] { target.emplace(); },
          .reset = [&target] { target.reset(); }};
}

template <class T>
struct IsList : std::false_type {};
template <class T>
struct IsList<std::vector<T>> : std::true_type {};
template <class T, size_t N>
struct IsList<std::array<T, N>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

}  // namespace detail

template <class T>
Value bind_value(T& target) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, int64_t> ||
                std::is_same_v<T, double> || std::is_same_v<T, std::string> ||
                std::is_same_v<T, std::filesystem::path>) {
    return {&target};
  } else if constexpr (std::is_enum_v<T>) {
    return {detail::bind_enum(target)};
  } else if constexpr (detail::IsList<T>::value) {
    return {detail::bind_list(target)};
  } else if constexpr (detail::IsOptional<T>::value) {
    return {detail::bind_optional(target)};
  } else {
    return {fields_of(target)};
  }
}

template <class... Ts>
void FieldVisitor::one_of(std::string_view name, std::variant<Ts...>& target, std::string_view doc,
                          std::vector<std::string_view> later) {
  OneOf one_of;
  one_of.later = std::move(later);
  one_of.current = [&target] { return target.index(); };
  one_of.current_section = [&target] {
    return std::visit([](auto& options) { return fields_of(options); }, target);
  };
  (one_of.alternatives.push_back(
       {.name = Ts::kName,
        .doc = Ts::kDoc,
        .select = [&target] { return fields_of(target.template emplace<Ts>()); },
        .defaults = [own = std::make_shared<Ts>()] { return fields_of(*own); }}),
   ...);
  section_.fields.push_back({name, doc, {}, {std::move(one_of)}});
}

}  // namespace cpx::config
