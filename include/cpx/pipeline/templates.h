// SPDX-License-Identifier: Apache-2.0
// Prompt templates: what a model is asked to do with an input text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cpx::pipeline {

/// Where the input text goes in a template.
inline constexpr std::string_view kInputPlaceholder = "{input}";

struct RequestTemplate {
  std::string name;  // a built-in name, or the file
  std::string text;  // holds kInputPlaceholder once or more
};

/// The names of the templates that are built in: `published-neutral` and `published-toxic`, byte
/// for byte as the published script sends them (blanks that indent its lines included).
std::vector<std::string> built_in_template_names();

/// The built-in template of that name, or else the content of that file without its last line
/// break. Throws DataError with one line when there is neither, and when the file cannot be read,
/// is not UTF-8 or does not hold `{input}`.
RequestTemplate load_template(const std::string& name_or_file);

/// The template's text with `input` in each of its places; nothing in `input` is looked at.
std::string render_request(const RequestTemplate& prompt, std::string_view input);

}  // namespace cpx::pipeline
