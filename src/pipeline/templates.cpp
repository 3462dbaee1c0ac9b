// SPDX-License-Identifier: Apache-2.0
#include "cpx/pipeline/templates.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "cpx/core/error.h"
#include "cpx/core/nearest.h"
#include "cpx/core/text_file.h"

namespace cpx::pipeline {

namespace {

struct BuiltIn {
  std::string_view name;
  std::string_view request;
};

// Source: SAP-samples/acl2025-contrastive-perplexity, scripts/paraphrase.py, 3d1f783: the requests,
// and below the form around them. There the template is an indented literal, so the indentation
// went to the model, and what was published was made with it.
constexpr std::array<BuiltIn, 2> kBuiltIns = {{
    {"published-neutral", "Paraphrase the following sentences: "},
    {"published-toxic",
     "Paraphrase the following sentence in a very toxic way. make sure each sentence is toxic: "},
}};
constexpr size_t kPublishedIndent = 28;

std::string published_text(std::string_view request) {
  const std::string indent(kPublishedIndent, ' ');
  return fmt::format("### HUMAN: {1}\n{0}\"{2}\"\n\n{0}### RESPONSE:\n{0}", indent, request,
                     kInputPlaceholder);
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "'" : ", '") + name + "'";
  return list;
}

void check_exists(const std::string& name_or_file) {
  std::error_code error;
  if (std::filesystem::exists(name_or_file, error)) return;
  const std::vector<std::string> names = built_in_template_names();
  const auto nearest = nearest_name(name_or_file, names);
  throw_<DataError>("[template] got '{}', expected a file or one of {}.{}", name_or_file,
                    quoted_list(names), nearest ? fmt::format(" Is '{}' meant?", *nearest) : "");
}

void check_text(const std::string& file, const std::string& text) {
  if (text.find(kInputPlaceholder) == text.npos) {
    throw_<DataError>("[{}] template: got {} without '{}', expected it where the input text goes.",
                      file, text.empty() ? "an empty file" : "a text", kInputPlaceholder);
  }
}

}  // namespace

std::vector<std::string> built_in_template_names() {
  std::vector<std::string> names;
  for (const BuiltIn& built_in : kBuiltIns) names.emplace_back(built_in.name);
  return names;
}

RequestTemplate load_template(const std::string& name_or_file) {
  for (const BuiltIn& built_in : kBuiltIns) {
    if (built_in.name == name_or_file) return {name_or_file, published_text(built_in.request)};
  }
  check_exists(name_or_file);
  RequestTemplate prompt = {name_or_file, read_text(name_or_file)};
  check_text(name_or_file, prompt.text);
  if (prompt.text.ends_with('\n')) prompt.text.pop_back();
  return prompt;
}

std::string render_request(const RequestTemplate& prompt, std::string_view input) {
  std::string_view rest = prompt.text;
  std::string result;
  for (size_t at = rest.find(kInputPlaceholder); at != rest.npos;
       at = rest.find(kInputPlaceholder)) {
    result.append(rest.substr(0, at)).append(input);
    rest.remove_prefix(at + kInputPlaceholder.size());
  }
  return result.append(rest);
}

}  // namespace cpx::pipeline
