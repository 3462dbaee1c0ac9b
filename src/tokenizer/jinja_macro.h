// SPDX-License-Identifier: Apache-2.0
// {% macro %} and {% call %}.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jinja_expression.h"
#include "jinja_template.h"

namespace cpx::tokenizer::jinja {

struct MacroStatement {
  std::string name = {};  // empty: the body of {% call %}
  std::vector<std::string> parameters = {};
  /// Of the last parameters.
  std::vector<Expression> defaults = {};
  std::vector<Node> body = {};
  /// Whether the body asks for what the parameters leave over.
  bool reads_caller = false;
  bool reads_positional = false;
  bool reads_keywords = false;
};

/// The macro as a function, whose body sees the variables that are there now.
Value make_macro(Context& context, std::shared_ptr<const MacroStatement> statement);

}  // namespace cpx::tokenizer::jinja
