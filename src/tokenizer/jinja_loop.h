// SPDX-License-Identifier: Apache-2.0
// {% for %}: its targets and the variable `loop`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jinja_expression.h"
#include "jinja_template.h"

namespace cpx::tokenizer::jinja {

/// What is assigned to: a name, a member of a namespace, or several of them.
struct Target {
  std::string name = {};
  std::string member = {};
  std::vector<Target> parts = {};
  int line = 1;
};

/// Gives `value` to the target; throws where it has other parts than the target.
void assign(Context& context, const Target& target, const Value& value);

/// Runs the nodes until one of them ends the loop around them.
Flow run_nodes(Context& context, const std::vector<Node>& nodes, std::string& output);

struct ForStatement {
  Target target = {};
  Expression values = nullptr;
  Expression condition = nullptr;
  std::vector<Node> body = {};
  std::vector<Node> otherwise = {};
  bool is_recursive = false;
  int line = 1;
};

Node make_for(ForStatement statement);

}  // namespace cpx::tokenizer::jinja
