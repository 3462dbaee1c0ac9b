// SPDX-License-Identifier: Apache-2.0
// Chat templates as jinja2 renders them in transformers: a sandbox whose values do not change,
// trim_blocks, lstrip_blocks, the extension loopcontrols and the tag `generation`.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jinja_context.h"

namespace cpx::tokenizer::jinja {

/// Whether what comes behind a statement still runs.
enum class Flow { kNormal, kBreak, kContinue };

/// A part of a template: appends its text.
using Node = std::function<Flow(Context&, std::string& output)>;

/// A parsed template.
class Template {
 public:
  /// Throws DataError, with the line, for what is not valid Jinja. What cpx does not know is an
  /// error only where it is evaluated.
  explicit Template(std::string_view source);

  /// The text with the `variables`; `clock` is what strftime_now() reads. Throws DataError, with
  /// the line, for what only shows when it runs.
  std::string render(std::map<std::string, Value> variables, const Clock& clock) const;

 private:
  std::vector<Node> nodes_;
};

}  // namespace cpx::tokenizer::jinja
