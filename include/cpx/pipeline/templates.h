// SPDX-License-Identifier: Apache-2.0
// Request templates: what a model is asked to do with an input text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cpx::pipeline {

/// The placeholder of the input text in a template.
inline constexpr std::string_view kInputPlaceholder = "{input}";

/// The text of a request with a placeholder for the input.
struct RequestTemplate {
  std::string name;  // a built-in name, or the file
  std::string text;  // contains kInputPlaceholder at least once
};

/// The names of the built-in templates: `published-neutral` and `published-toxic`, byte for byte
/// what the published script sends (including the blanks that indent its lines).
std::vector<std::string> built_in_template_names();

/// The built-in template of that name, otherwise the content of that file without its last line
/// break. Throws DataError with one line if there is neither, and if the file cannot be read, is
/// not UTF-8 or does not contain `{input}`.
RequestTemplate load_template(const std::string& name_or_file);

/// The text of the template with `input` in place of each `{input}`; `input` itself is not searched
/// for placeholders.
std::string render_request(const RequestTemplate& prompt, std::string_view input);

}  // namespace cpx::pipeline
