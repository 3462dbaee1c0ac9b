// SPDX-License-Identifier: Apache-2.0
#include "cpx/config/load.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/config/print.h"
#include "cpx/core/error.h"
#include "cpx/core/nearest.h"
#include "cpx/core/path.h"
#include "cpx/core/text_file.h"
#include "overrides.h"
#include "scalar.h"
#include "yaml_node.h"

namespace cpx::config {
namespace {

using Kind = YamlNode::Kind;

constexpr std::string_view kDiscriminator = "name";

std::string child_key(const std::string& parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  const std::optional<std::string> nearest = nearest_name(name, known);
  return nearest ? fmt::format(" Did you mean '{}'?", *nearest) : "";
}

std::vector<std::string> names_of(const Section& section) {
  std::vector<std::string> names;
  for (const Field& field : section.fields) names.emplace_back(field.name);
  return names;
}

// "a, b or c", where `last` is " or ".
std::string listed(const std::vector<std::string>& names, std::string_view last) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += i == 0 ? "" : i + 1 == names.size() ? last : ", ";
    text += names[i];
  }
  return text;
}

const Field* find_field(const Section& section, std::string_view name) {
  const auto found = std::find_if(section.fields.begin(), section.fields.end(),
                                  [&](const Field& field) { return field.name == name; });
  return found == section.fields.end() ? nullptr : &*found;
}

bool is_within(double value, const Rule& rule) {
  return (!rule.at_least || value >= *rule.at_least) && (!rule.above || value > *rule.above) &&
         (!rule.at_most || value <= *rule.at_most) && (!rule.below || value < *rule.below);
}

// "a number > 0", "one of a, b".
std::string expected(const Value& value, const Rule& rule) {
  const bool has_article = std::holds_alternative<bool*>(value.target) ||
                           std::holds_alternative<NamedChoice>(value.target) ||
                           (rule.at_least && rule.at_least == rule.at_most);
  return (has_article ? "" : "a ") + describe_type(value, rule);
}

// Walks the tree of nodes beside the tree of fields.
class Loader {
 public:
  Loader(const Section& root, const std::string& file, Loaded& loaded)
      : root_(root), file_(file), loaded_(loaded) {}

  // `node` is null where the section was not given: then only what is required is looked for.
  void load_section(const Section& section, const YamlNode* node, const std::string& key) {
    load_section(section, node, key, [&](const YamlEntry& entry) {
      unknown_key(entry, child_key(key, entry.key), names_of(section));
    });
  }

 private:
  // What a key is in the whole of the config: its field, and the alternative that owns it.
  template <class OnUnknown>
  void load_section(const Section& section, const YamlNode* node, const std::string& key,
                    const OnUnknown& on_unknown) {
    if (node != nullptr && !is_map(*node, key)) return;
    if (node != nullptr) {
      for (const YamlEntry& entry : node->entries) {
        const Field* field = find_field(section, entry.key);
        if (field == nullptr) {
          on_unknown(entry);
        } else if (field->rule.owner.empty()) {
          load_value(field->value, field->rule, *entry.value, child_key(key, field->name));
        }
      }
      load_owned(section, *node, key);
    }
    for (const Field& field : section.fields) {
      if (!field.rule.is_absent() && (node == nullptr || node->find(field.name) == nullptr)) {
        load_absent(field, child_key(key, field.name));
      }
    }
  }

  // The fields that belong to an alternative, once it is known which is the current one.
  void load_owned(const Section& section, const YamlNode& node, const std::string& key) {
    for (const YamlEntry& entry : node.entries) {
      const Field* field = find_field(section, entry.key);
      if (field == nullptr || field->rule.owner.empty()) continue;
      const std::string full = child_key(key, field->name);
      if (is_choice_unknown_) continue;  // whose section it is cannot be told
      if (field->rule.is_absent()) {
        fault(entry.origin, full, "{}", section_of_another(section, field->rule.owner));
      } else {
        load_value(field->value, field->rule, *entry.value, full);
      }
    }
  }

  // "a section of ppo, but objective.name is sft."
  static std::string section_of_another(const Section& section, std::string_view owner) {
    std::string current;
    for (const Field& field : section.fields) {
      const auto* one_of = std::get_if<OneOf>(&field.value.target);
      if (one_of == nullptr) continue;
      current = fmt::format("{} is {}", child_key(std::string(field.name), kDiscriminator),
                            one_of->alternatives[one_of->current()].name);
    }
    return fmt::format("a section of {}, but {}.", owner, current);
  }

  // A section without keys (all of them commented out) reads as null.
  bool is_map(const YamlNode& node, const std::string& key) {
    if (node.kind != Kind::kMap && node.kind != Kind::kNull) {
      fault(node.origin, key, "got {}, expected a map of keys.", shown(node));
      return false;
    }
    return true;
  }

  void load_absent(const Field& field, const std::string& key) {
    if (const auto* section = std::get_if<Section>(&field.value.target)) {
      load_section(*section, nullptr, key);
    } else if (const auto* one_of = std::get_if<OneOf>(&field.value.target)) {
      load_section(one_of->current_section(), nullptr, key);
    } else if (field.rule.required) {
      loaded_.faults.add_at(file_, key, "missing, expected {}. {}.",
                            expected(field.value, field.rule), field.doc);
    }
  }

  void load_value(const Value& value, const Rule& rule, const YamlNode& node,
                  const std::string& key) {
    const bool has_keys = std::holds_alternative<Section>(value.target) ||
                          std::holds_alternative<OneOf>(value.target);
    if (node.is_path && !has_keys) {
      key_below_value(value, node, key);
      return;
    }
    if (!has_keys) loaded_.sources.set(key, node.origin.text());
    std::visit([&](const auto& target) { load(target, value, rule, node, key); }, value.target);
  }

  // An override that names a key below a value, such as data.train.0.
  void key_below_value(const Value& value, const YamlNode& node, const std::string& key) {
    const std::string full = child_key(key, node.entries.front().key);
    if (std::holds_alternative<List>(value.target)) {
      fault(node.origin, full,
            "an item of a list cannot be set alone, expected the whole list, {}=[x, y].", key);
    } else {
      fault(node.origin, full, "unknown key: {} is a value and has no keys.", key);
    }
  }

  void load(bool* target, const Value& value, const Rule& rule, const YamlNode& node,
            const std::string& key) {
    static const std::vector<std::string> kTrue = {"true", "True", "TRUE"};
    static const std::vector<std::string> kFalse = {"false", "False", "FALSE"};
    const auto is_one_of = [&](const std::vector<std::string>& words) {
      return is_plain_text(node) && std::find(words.begin(), words.end(), node.text) != words.end();
    };
    if (is_one_of(kTrue) || is_one_of(kFalse)) {
      *target = is_one_of(kTrue);
    } else {
      wrong_value(value, rule, node, key);
    }
  }

  void load(int64_t* target, const Value& value, const Rule& rule, const YamlNode& node,
            const std::string& key) {
    load_number(target, parse_int(node.text), value, rule, node, key);
  }

  void load(double* target, const Value& value, const Rule& rule, const YamlNode& node,
            const std::string& key) {
    load_number(target, parse_double(node.text), value, rule, node, key);
  }

  template <class T>
  void load_number(T* target, std::optional<T> number, const Value& value, const Rule& rule,
                   const YamlNode& node, const std::string& key) {
    if (number && is_plain_text(node) && is_within(static_cast<double>(*number), rule)) {
      *target = *number;
    } else {
      const bool is_quoted_number = number && node.kind == Kind::kText && node.is_quoted;
      wrong_value(value, rule, node, key, is_quoted_number ? " Remove the quotes." : "");
    }
  }

  void load(std::string* target, const Value& value, const Rule& rule, const YamlNode& node,
            const std::string& key) {
    if (node.kind != Kind::kText || node.text.empty()) {
      wrong_value(value, rule, node, key);
    } else if (rule.is_path) {
      load_path(*target, node, key);
    } else {
      *target = node.text;
    }
  }

  void load(std::filesystem::path* target, const Value& value, const Rule& rule,
            const YamlNode& node, const std::string& key) {
    if (node.kind == Kind::kText && !node.text.empty()) {
      load_path(*target, node, key);
    } else {
      wrong_value(value, rule, node, key);
    }
  }

  // A path or a pattern of paths.
  template <class T>
  void load_path(T& target, const YamlNode& node, const std::string& key) {
    try {
      target = expand_home(node.text).string();
    } catch (const DataError& error) {
      fault(node.origin, key, "{}.", error.what());
    }
  }

  void load(const NamedChoice& target, const Value& value, const Rule& rule, const YamlNode& node,
            const std::string& key) {
    const auto found = std::find(target.names.begin(), target.names.end(), node.text);
    if (node.kind == Kind::kText && found != target.names.end()) {
      target.set(static_cast<size_t>(found - target.names.begin()));
    } else {
      const std::vector<std::string> names(target.names.begin(), target.names.end());
      wrong_value(value, rule, node, key, did_you_mean(node.text, names));
    }
  }

  void load(const List& target, const Value& value, const Rule& rule, const YamlNode& node,
            const std::string& key) {
    if (!rule.instead_of_list.empty() && node.kind == Kind::kText &&
        node.text == rule.instead_of_list) {
      target.resize(1);
      load_value(target.item(0), rule, node, key);
      return;
    }
    const bool has_wrong_size = (target.fixed_size && node.items.size() != *target.fixed_size) ||
                                (rule.non_empty && node.items.empty());
    if (node.kind != Kind::kList || has_wrong_size) {
      wrong_value(value, rule, node, key,
                  node.kind == Kind::kText ? " A list is written [x, y]." : "");
      return;
    }
    target.resize(node.items.size());
    for (size_t index = 0; index < node.items.size(); ++index) {
      load_item(target.item(index), rule, *node.items[index], fmt::format("{}[{}]", key, index));
    }
  }

  // Like load_value(), but the list is what was given, not its items.
  void load_item(const Value& value, const Rule& rule, const YamlNode& node,
                 const std::string& key) {
    std::visit([&](const auto& target) { load(target, value, rule, node, key); }, value.target);
  }

  void load(const Nullable& target, const Value& value, const Rule& rule, const YamlNode& node,
            const std::string& key) {
    if (node.kind == Kind::kNull) {
      target.reset();
    } else if (node.kind == Kind::kMap) {
      wrong_value(value, rule, node, key);
    } else {
      target.emplace();
      std::visit([&](const auto& inner) { load(inner, value, rule, node, key); },
                 target.value().target);
    }
  }

  void load(const Section& target, const Value&, const Rule&, const YamlNode& node,
            const std::string& key) {
    load_section(target, &node, key);
  }

  void load(const OneOf& target, const Value&, const Rule&, const YamlNode& node,
            const std::string& key) {
    if (!is_map(node, key)) return;
    const YamlEntry* name = node.find(kDiscriminator);
    if (name != nullptr && !select(target, *name->value, child_key(key, kDiscriminator))) {
      is_choice_unknown_ = true;
      return;  // whose keys the others are is not known
    }
    const Section section = target.current_section();
    load_section(section, &node, key, [&](const YamlEntry& entry) {
      if (entry.key != kDiscriminator) key_of_another(target, section, entry, key);
    });
  }

  // Makes the named alternative the current one.
  bool select(const OneOf& target, const YamlNode& node, const std::string& key) {
    loaded_.sources.set(key, node.origin.text());
    std::vector<std::string> names;
    for (const Alternative& alternative : target.alternatives) {
      if (node.kind == Kind::kText && node.text == alternative.name) {
        alternative.select();
        return true;
      }
      names.emplace_back(alternative.name);
    }
    const bool is_later =
        std::find(target.later.begin(), target.later.end(), node.text) != target.later.end();
    const std::string choice = listed(names, " or ");
    names.insert(names.end(), target.later.begin(), target.later.end());
    if (is_later) {
      fault(node.origin, key, "'{}' is not in this version, expected {}.", node.text, choice);
    } else {
      fault(node.origin, key, "got {}, expected {}.{}", shown(node), choice,
            did_you_mean(node.text, names));
    }
    return false;
  }

  void key_of_another(const OneOf& target, const Section& section, const YamlEntry& entry,
                      const std::string& key) {
    std::vector<std::string> owners;
    for (const Alternative& alternative : target.alternatives) {
      if (find_field(alternative.defaults(), entry.key) != nullptr) {
        owners.emplace_back(alternative.name);
      }
    }
    if (owners.empty()) {
      unknown_key(entry, child_key(key, entry.key), names_of(section));
    } else {
      fault(entry.origin, child_key(key, entry.key), "a key of {}, but {} is {}.",
            listed(owners, " and "), child_key(key, kDiscriminator),
            target.alternatives[target.current()].name);
    }
  }

  void unknown_key(const YamlEntry& entry, const std::string& key,
                   const std::vector<std::string>& known) {
    fault(entry.origin, key, "unknown key{}", hint_for_unknown_key(entry.key, key, known));
  }

  std::string hint_for_unknown_key(const std::string& name, const std::string& key,
                                   const std::vector<std::string>& known) {
    if (const auto nearest = nearest_name(name, known)) {
      const size_t parent = key.size() - name.size();
      return fmt::format(". Did you mean '{}'?", key.substr(0, parent) + *nearest);
    }
    for (const KeyDoc& other : key_docs(root_)) {
      if (other.key == name) {
        const size_t dot = name.find('.');
        return fmt::format(". In a file it is written {}: {{{}: ...}}.", name.substr(0, dot),
                           name.substr(dot + 1));
      }
      if (other.key.ends_with("." + name)) return fmt::format(". Did you mean '{}'?", other.key);
    }
    return fmt::format(", expected one of {}.", fmt::join(known, ", "));
  }

  static bool is_plain_text(const YamlNode& node) {
    return node.kind == Kind::kText && !node.is_quoted;
  }

  void wrong_value(const Value& value, const Rule& rule, const YamlNode& node,
                   const std::string& key, std::string_view hint = "") {
    fault(node.origin, key, "got {}, expected {}.{}", shown(node), expected(value, rule), hint);
  }

  template <class... Args>
  void fault(const Origin& origin, const std::string& key, fmt::format_string<Args...> format,
             Args&&... args) {
    loaded_.faults.add_at(origin.text(), key.empty() ? "the config" : shown_text(key), format,
                          std::forward<Args>(args)...);
  }

  const Section& root_;
  const std::string& file_;
  Loaded& loaded_;
  bool is_choice_unknown_ = false;  // a OneOf has a name that nobody has
};

// The file's tree with the overrides in place, or null.
YamlNodePtr read_tree(std::string_view text, const std::string& file_name,
                      std::span<const std::string> overrides, Faults& faults) {
  YamlNodePtr tree = parse_yaml(text, file_name, /*first_line=*/1, faults);
  if (tree != nullptr && tree->kind == Kind::kNull) {
    faults.add(file_name, "empty: got nothing, expected a map of keys.");
    tree = nullptr;
  }
  for (const std::string& override_text : overrides) {
    const YamlNodePtr overlay = parse_override(override_text, faults);
    if (overlay != nullptr && tree != nullptr && tree->kind == Kind::kMap) {
      tree = merged(tree, overlay);
    }
  }
  return tree;
}

}  // namespace

std::string_view Sources::where(std::string_view key) const {
  const auto found = where_.find(key);
  return found == where_.end() ? std::string_view(file_) : std::string_view(found->second);
}

std::vector<std::string> Sources::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, where] : where_) keys.push_back(key);
  return keys;
}

Loaded load_text(const Section& section, std::string_view text, const std::string& file_name,
                 std::span<const std::string> overrides) {
  Loaded loaded{.sources = Sources(file_name)};
  const YamlNodePtr tree = read_tree(text, file_name, overrides, loaded.faults);
  if (tree != nullptr) Loader(section, file_name, loaded).load_section(section, tree.get(), "");
  return loaded;
}

Loaded load_file(const Section& section, const std::filesystem::path& file,
                 std::span<const std::string> overrides) {
  Loaded unread{.sources = Sources(file.string())};
  const auto text = unread.faults.collect([&] { return read_text(file); });
  return text ? load_text(section, *text, file.string(), overrides) : unread;
}

}  // namespace cpx::config
