// SPDX-License-Identifier: Apache-2.0
// The part of Jinja that chat templates use: for, if, set, expressions and white space control, as
// transformers configures it (trim_blocks, lstrip_blocks).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jinja_expression.h"

namespace cpx::tokenizer::jinja {

/// A parsed template.
class Template {
 public:
  /// Throws DataError on statements and expressions that are not known.
  explicit Template(std::string_view source);

  /// The text with the variables of `scope`; throws DataError on what only shows when it runs.
  std::string render(Scope scope) const;

  /// A part of a template: appends its text.
  using Node = std::function<void(Scope&, std::string& output)>;

 private:
  std::vector<Node> nodes_;
};

}  // namespace cpx::tokenizer::jinja
