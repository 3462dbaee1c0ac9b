// SPDX-License-Identifier: Apache-2.0
// Writes HTML in which every text that was read from a file is escaped. Names of elements and
// attributes are constants of the program, so no text can become markup: there is no call that
// takes a text as markup.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace cpx::report {

/// A name or a piece of markup that is a constant of the program.
class Markup {
 public:
  /// A constant stands where a Markup is expected. NOLINTNEXTLINE(google-explicit-constructor)
  consteval Markup(const char* constant) : text_(constant) {}
  constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

/// An attribute; its value is escaped.
struct Attribute {
  Markup name;
  std::string value;
};

using Attributes = std::initializer_list<Attribute>;

/// `text` with <, >, &, " and ' as entities. Control characters other than line breaks and tabs,
/// and bytes that are not UTF-8, become U+FFFD.
std::string escaped(std::string_view text);

/// JSON that may stand in a <script> element: < becomes \u003c.
std::string safe_in_script(std::string_view json);

/// Appends elements to a text of HTML; open ones are closed in the right order.
class HtmlWriter {
 public:
  /// An element that is open as long as the object lives.
  class Open {
   public:
    Open(HtmlWriter& writer, Markup name) : writer_(writer), name_(name) {}
    ~Open();
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    HtmlWriter& writer_;
    Markup name_;
  };

  /// Opens an element.
  [[nodiscard]] Open open(Markup name, Attributes attributes = {});
  /// Writes an element that contains only `text`.
  void leaf(Markup name, std::string_view text, Attributes attributes = {});
  /// Writes an element without content: <br>, <meta>, and those of SVG.
  void empty(Markup name, Attributes attributes = {});
  /// Writes a text.
  void text(std::string_view text);
  /// Writes markup of the program itself.
  void constant(Markup markup) { html_ += markup.text(); }
  /// Writes the content of a <style> or <script> element that is a file of the program.
  void asset(std::string_view asset) { html_ += asset; }
  /// Writes JSON as the content of a <script> element.
  void data(std::string_view json) { html_ += safe_in_script(json); }
  /// Writes what another writer has written.
  void append(HtmlWriter& other) { html_ += other.take(); }

  /// What was written so far.
  std::string_view written() const { return html_; }
  /// Hands over what was written.
  std::string take() { return std::move(html_); }

 private:
  void begin(Markup name, Attributes attributes);

  std::string html_;
};

}  // namespace cpx::report
