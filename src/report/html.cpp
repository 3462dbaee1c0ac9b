// SPDX-License-Identifier: Apache-2.0
#include "html.h"

#include "cpx/core/utf8.h"

namespace cpx::report {

namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool may_be_shown(char32_t c) {
  return c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7F && !(c >= 0x80 && c < 0xA0));
}

std::string_view entity_of(char32_t c) {
  switch (c) {
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '&':
      return "&amp;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string html;
  html.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const Utf8Char character = decode_utf8(text, position);
    const std::string_view entity = entity_of(character.code_point);
    if (!entity.empty()) {
      html += entity;
    } else {
      append_utf8(html, may_be_shown(character.code_point) ? character.code_point : kReplacement);
    }
    position += character.length;
  }
  return html;
}

std::string safe_in_script(std::string_view json) {
  std::string safe;
  safe.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

HtmlWriter::Open::~Open() {
  writer_.html_ += "</";
  writer_.html_ += name_.text();
  writer_.html_ += ">\n";
}

void HtmlWriter::begin(Markup name, Attributes attributes) {
  html_ += '<';
  html_ += name.text();
  for (const Attribute& attribute : attributes) {
    html_ += ' ';
    html_ += attribute.name.text();
    html_ += "=\"";
    html_ += escaped(attribute.value);
    html_ += '"';
  }
  html_ += '>';
}

HtmlWriter::Open HtmlWriter::open(Markup name, Attributes attributes) {
  begin(name, attributes);
  return Open(*this, name);
}

void HtmlWriter::leaf(Markup name, std::string_view text, Attributes attributes) {
  const Open element = open(name, attributes);
  html_ += escaped(text);
}

void HtmlWriter::empty(Markup name, Attributes attributes) {
  begin(name, attributes);
  html_.back() = '/';
  html_ += ">\n";
}

void HtmlWriter::text(std::string_view text) { html_ += escaped(text); }

}  // namespace cpx::report
