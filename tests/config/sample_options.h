// SPDX-License-Identifier: Apache-2.0
// A small config with a field of every kind, for the tests of this module.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cpx/config/fields.h"

namespace cpx::config::sample {

enum class Color { kRed, kDarkGreen };
constexpr std::array<std::string_view, 2> enum_names(Color) { return {"red", "dark_green"}; }

struct Pen {
  double width = 0.5;
  bool erasable = false;
  Color color = Color::kRed;
  std::array<double, 2> tip = {0.25, 1.0};

  void visit_fields(FieldVisitor& visit) {
    visit.field("width", width, "Width of a line in mm", {.above = 0, .at_most = 10});
    visit.field("erasable", erasable, "Can be erased");
    visit.field("color", color, "Color of the ink");
    visit.field("tip", tip, "Size of the tip", {.at_least = 0});
  }
};

struct Circle {
  static constexpr std::string_view kName = "circle";
  static constexpr std::string_view kDoc = "A round shape";
  double radius = 1.0;

  void visit_fields(FieldVisitor& visit) {
    visit.field("radius", radius, "Radius in mm", {.above = 0});
  }
};

struct Square {
  static constexpr std::string_view kName = "square";
  static constexpr std::string_view kDoc = "A shape of four equal sides";
  double side = 2.0;

  void visit_fields(FieldVisitor& visit) { visit.field("side", side, "Side in mm", {.above = 0}); }
};

struct Drawing {
  int64_t copies = 1;
  std::string title = "untitled";
  std::filesystem::path output;
  std::optional<std::filesystem::path> background;
  std::vector<std::string> layers = {"ink"};
  std::vector<int64_t> pages;
  Pen pen;
  std::variant<Circle, Square> shape;

  void visit_fields(FieldVisitor& visit) {
    visit.field("copies", copies, "How often it is drawn", {.at_least = 0, .free_on_resume = true});
    visit.field("title", title, "Written on top");
    visit.field("output", output, "File that is written", {.required = true});
    visit.field("background", background, "Picture below");
    visit.field("layers", layers, "Layers that are drawn",
                {.non_empty = true, .instead_of_list = "everything"});
    visit.field("pages", pages, "Pages that are drawn", {.at_least = 1});
    visit.field("pen", pen, "What it is drawn with");
    visit.one_of("shape", shape, "What is drawn", {"star"});
  }
};

/// A shape with a section that only squares have.
struct Sheet {
  std::variant<Circle, Square> shape;
  Pen corners;

  void visit_fields(FieldVisitor& visit) {
    visit.one_of("shape", shape, "What is drawn", {});
    visit.field("corners", corners, "What its corners are drawn with",
                {.owner = Square::kName,
                 .is_owner_current = [this] { return std::holds_alternative<Square>(shape); }});
  }
};

}  // namespace cpx::config::sample
