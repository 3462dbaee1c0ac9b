// SPDX-License-Identifier: Apache-2.0
// Renders templates for scripts/fixtures/check_templates.py: each line of standard input is a JSON
// object {"template", "variables", "now"} (seconds since 1970), each line of standard output is
// {"text"} or {"error"}.
#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "cpx/tokenizer/chat_template.h"

namespace {

nlohmann::ordered_json answer(const std::string& line) {
  const auto request = nlohmann::ordered_json::parse(line);
  const std::chrono::system_clock::time_point now(
      std::chrono::seconds(request.at("now").get<int64_t>()));
  try {
    return {{"text", cpx::tokenizer::render_template(request.at("template").get<std::string>(),
                                                     request.at("variables").dump(), now)}};
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << answer(line).dump() << "\n" << std::flush;
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "cpx_render_template: " << error.what() << "\n";
    return 1;
  }
}
