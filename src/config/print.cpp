// SPDX-License-Identifier: Apache-2.0
#include "cpx/config/print.h"

#include <algorithm>
#include <optional>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "scalar.h"

namespace cpx::config {
namespace {

constexpr std::string_view kNameKey = "name";

std::string value_yaml(const Value& value, const Rule& rule);

std::string list_yaml(const List& list, const Rule& rule) {
  std::vector<std::string> items;
  for (size_t index = 0; index < list.size(); ++index) {
    items.push_back(value_yaml(list.item(index), rule));
  }
  const bool is_word = !rule.instead_of_list.empty() && items.size() == 1 &&
                       items.front() == text_to_yaml(rule.instead_of_list);
  return is_word ? items.front() : fmt::format("[{}]", fmt::join(items, ", "));
}

std::string flow_map_yaml(const Section& section) {
  std::vector<std::string> entries;
  for (const Field& field : section.fields) {
    entries.push_back(fmt::format("{}: {}", field.name, value_yaml(field.value, field.rule)));
  }
  return fmt::format("{{{}}}", fmt::join(entries, ", "));
}

std::string_view current_name(const OneOf& one_of) {
  return one_of.alternatives[one_of.current()].name;
}

std::string value_yaml(const Value& value, const Rule& rule) {
  return std::visit(
      [&](const auto& target) -> std::string {
        using T = std::decay_t<decltype(target)>;
        if constexpr (std::is_same_v<T, bool*>) {
          return *target ? "true" : "false";
        } else if constexpr (std::is_same_v<T, int64_t*>) {
          return fmt::format("{}", *target);
        } else if constexpr (std::is_same_v<T, double*>) {
          return double_to_yaml(*target);
        } else if constexpr (std::is_same_v<T, std::string*>) {
          return text_to_yaml(*target);
        } else if constexpr (std::is_same_v<T, std::filesystem::path*>) {
          return text_to_yaml(target->string());
        } else if constexpr (std::is_same_v<T, NamedChoice>) {
          return std::string(target.names[target.get()]);
        } else if constexpr (std::is_same_v<T, List>) {
          return list_yaml(target, rule);
        } else if constexpr (std::is_same_v<T, Nullable>) {
          return target.has_value() ? value_yaml(target.value(), rule) : "null";
        } else if constexpr (std::is_same_v<T, Section>) {
          return flow_map_yaml(target);
        } else {
          return flow_map_yaml(target.current_section());
        }
      },
      value.target);
}

void append_yaml(const Section& section, const std::string& indent, std::string& text) {
  for (const Field& field : section.fields) {
    if (field.rule.is_absent()) continue;
    text += fmt::format("{}{}:", indent, field.name);
    if (const auto* nested = std::get_if<Section>(&field.value.target)) {
      text += '\n';
      append_yaml(*nested, indent + "  ", text);
    } else if (const auto* one_of = std::get_if<OneOf>(&field.value.target)) {
      text += fmt::format("\n{}  {}: {}\n", indent, kNameKey, current_name(*one_of));
      append_yaml(one_of->current_section(), indent + "  ", text);
    } else {
      text += fmt::format(" {}\n", value_yaml(field.value, field.rule));
    }
  }
}

void append_flat(const Section& section, const std::string& prefix, std::vector<FlatValue>& flat) {
  for (const Field& field : section.fields) {
    if (field.rule.is_absent()) continue;
    const std::string key = prefix + std::string(field.name);
    if (const auto* nested = std::get_if<Section>(&field.value.target)) {
      append_flat(*nested, key + ".", flat);
    } else if (const auto* one_of = std::get_if<OneOf>(&field.value.target)) {
      flat.push_back(
          {fmt::format("{}.{}", key, kNameKey), std::string(current_name(*one_of)), field.rule});
      append_flat(one_of->current_section(), key + ".", flat);
    } else {
      flat.push_back({key, value_yaml(field.value, field.rule), field.rule});
    }
  }
}

void append_docs(const Section& section, const std::string& prefix, std::string_view owner,
                 std::vector<KeyDoc>& docs);

void append_one_of_docs(const Field& field, const OneOf& one_of, const std::string& key,
                        std::vector<KeyDoc>& docs) {
  std::vector<std::string_view> names;
  for (const Alternative& alternative : one_of.alternatives) names.push_back(alternative.name);
  std::string doc(field.doc);
  if (!one_of.later.empty()) {
    doc += fmt::format(" (not in this version: {})", fmt::join(one_of.later, ", "));
  }
  docs.push_back({.key = fmt::format("{}.{}", key, kNameKey),
                  .owner = {},
                  .type = fmt::format("one of {}", fmt::join(names, ", ")),
                  .fallback = std::string(current_name(one_of)),
                  .doc = doc,
                  .rule = field.rule});
  for (const Alternative& alternative : one_of.alternatives) {
    append_docs(alternative.defaults(), key + ".", alternative.name, docs);
  }
}

void append_docs(const Section& section, const std::string& prefix, std::string_view owner,
                 std::vector<KeyDoc>& docs) {
  for (const Field& field : section.fields) {
    const std::string key = prefix + std::string(field.name);
    if (const auto* nested = std::get_if<Section>(&field.value.target)) {
      append_docs(*nested, key + ".", field.rule.owner.empty() ? owner : field.rule.owner, docs);
    } else if (const auto* one_of = std::get_if<OneOf>(&field.value.target)) {
      append_one_of_docs(field, *one_of, key, docs);
    } else {
      docs.push_back(
          {.key = key,
           .owner = std::string(owner),
           .type = describe_type(field.value, field.rule),
           .fallback = field.rule.required ? "required" : value_yaml(field.value, field.rule),
           .doc = std::string(field.doc),
           .rule = field.rule});
    }
  }
}

std::string section_of(const KeyDoc& doc) {
  const size_t dot = doc.key.find('.');
  return dot == std::string::npos ? "" : doc.key.substr(0, dot);
}

std::string markdown_row(const KeyDoc& doc) {
  const std::string fallback =
      doc.rule.required ? std::string("required") : fmt::format("`{}`", doc.fallback);
  return fmt::format("| `{}` | {} | {} | {}{} |\n", doc.key, doc.type, fallback, doc.doc,
                     doc.rule.free_on_resume ? " (may change on resume)" : "");
}

std::string doc_of_section(const Section& section, std::string_view name) {
  for (const Field& field : section.fields) {
    if (field.name == name && !std::holds_alternative<OneOf>(field.value.target)) {
      return fmt::format("{}.\n\n", field.doc);
    }
  }
  return "";
}

std::string doc_of_alternative(const Section& section, std::string_view name) {
  for (const Field& field : section.fields) {
    const auto* one_of = std::get_if<OneOf>(&field.value.target);
    for (size_t index = 0; one_of != nullptr && index < one_of->alternatives.size(); ++index) {
      if (one_of->alternatives[index].name == name) {
        return fmt::format("{}.\n\n", one_of->alternatives[index].doc);
      }
    }
  }
  return "";
}

}  // namespace

std::string to_yaml(const Section& section) {
  std::string text;
  append_yaml(section, "", text);
  return text;
}

std::vector<FlatValue> flatten(const Section& section) {
  std::vector<FlatValue> flat;
  append_flat(section, "", flat);
  return flat;
}

std::vector<KeyDoc> key_docs(const Section& section) {
  std::vector<KeyDoc> docs;
  append_docs(section, "", "", docs);
  return docs;
}

std::string key_help(const Section& section) {
  std::string text;
  for (const KeyDoc& doc : key_docs(section)) {
    const std::string owner = doc.owner.empty() ? "" : fmt::format(" [{}]", doc.owner);
    text += fmt::format("  {}{} ({}; {}{})\n      {}\n", doc.key, owner, doc.type,
                        doc.rule.required ? "" : "default ", doc.fallback, doc.doc);
  }
  return text;
}

std::string key_markdown(const Section& section) {
  constexpr std::string_view kTableHead =
      "| key | value | default | meaning |\n|---|---|---|---|\n";
  std::string text;
  std::optional<std::string> heading;
  std::string owner;
  for (const KeyDoc& doc : key_docs(section)) {
    const std::string name = section_of(doc);
    if (heading != name) {
      text += fmt::format("{}{}{}{}", heading && !name.empty() ? "\n" : "",
                          name.empty() ? "" : fmt::format("## {}\n\n", name),
                          doc_of_section(section, name), kTableHead);
    } else if (doc.owner != owner) {
      text += fmt::format("\n### {}: {}\n\n{}{}", name, doc.owner,
                          doc_of_alternative(section, doc.owner), kTableHead);
    }
    heading = name;
    owner = doc.owner;
    text += markdown_row(doc);
  }
  return text;
}

}  // namespace cpx::config
