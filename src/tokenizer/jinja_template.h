// SPDX-License-Identifier: Apache-2.0
// Chat templates as jinja2 renders them in transformers: a sandbox whose values do not change,
// trim_blocks, lstrip_blocks, the extension loopcontrols and the tag `generation`.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja_context.h"

namespace cpx::tokenizer::jinja {

/// Whether what comes behind a statement still runs.
enum class Flow { kNormal, kBreak, kContinue };

/// A part of a template: appends its text.
using Node = std::function<Flow(Context&, std::string& output)>;

/// What a template makes.
struct Rendering {
  std::string text = {};
  /// Bytes [first, second) of it that blocks {% generation %} have made, as they ran.
  std::vector<std::pair<size_t, size_t>> generations = {};
};

/// A parsed template.
class Template {
 public:
  /// Throws DataError, with the line, for what is not valid Jinja. What cpx does not know is an
  /// error only where it is evaluated.
  explicit Template(std::string_view source);

  /// The text with the `variables`; `clock` is what strftime_now() reads. Throws DataError, with
  /// the line, for what only shows when it runs.
  Rendering render(std::map<std::string, Value> variables, const Clock& clock) const;

  /// It has a block {% generation %}.
  bool has_generation() const { return has_generation_; }

 private:
  std::vector<Node> nodes_;
  bool has_generation_ = false;
};

}  // namespace cpx::tokenizer::jinja
