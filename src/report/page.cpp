// SPDX-License-Identifier: Apache-2.0
#include "cpx/report/page.h"

#include <fmt/format.h>

#include "cpx/core/text.h"
#include "cpx/core/version.h"
#include "html.h"
#include "page_assets.h"
#include "sections.h"

namespace cpx::report {

namespace {

// Hexadecimal digits as base64, as a content security policy wants a hash.
std::string base64_of_hex(std::string_view hex) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  constexpr size_t kBitsPerHex = 4;
  constexpr size_t kBitsPerLetter = 6;
  std::string bits;
  for (const char digit : hex) {
    const auto value = static_cast<unsigned>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    for (size_t bit = kBitsPerHex; bit-- > 0;) bits += (value >> bit & 1U) != 0 ? '1' : '0';
  }
  std::string text;
  for (size_t at = 0; at < bits.size(); at += kBitsPerLetter) {
    std::string group = bits.substr(at, kBitsPerLetter);
    group.resize(kBitsPerLetter, '0');
    text += kLetters[std::stoul(group, nullptr, 2)];
  }
  while (text.size() % 4 != 0) text += '=';
  return text;
}

// Only the page's own style and script count, whatever a text of the page may contain.
std::string content_policy() {
  return fmt::format(
      "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; "
      "form-action 'none'",
      base64_of_hex(kPageStyleHash), base64_of_hex(kPageScriptHash));
}

void write_head(HtmlWriter& html, const PageContent& content) {
  const HtmlWriter::Open head = html.open("head");
  html.empty("meta", {{"charset", "utf-8"}});
  html.empty("meta", {{"http-equiv", "Content-Security-Policy"}, {"content", content_policy()}});
  html.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  html.empty("meta", {{"name", "generator"}, {"content", fmt::format("cpx {}", version())}});
  html.leaf("title", content.title);
  const HtmlWriter::Open style = html.open("style");
  html.asset(kPageStyle);
}

std::string contents_of(const PageContent& content) {
  std::string text;
  const auto add = [&](size_t count, const char* one, const char* several) {
    if (count == 0) return;
    text += (text.empty() ? "" : ", ") + counted(static_cast<int64_t>(count), one, several);
  };
  add(content.runs.size(), "run", "runs");
  add(content.evaluations.size(), "evaluation report", "evaluation reports");
  add(content.samples.size(), "file of texts", "files of texts");
  return text;
}

void write_header(HtmlWriter& html, const PageContent& content) {
  const HtmlWriter::Open header = html.open("header");
  html.leaf("h1", content.title);
  html.leaf("p", contents_of(content), {{"class", "lead"}});
  html.leaf("button", "Dark or light",
            {{"type", "button"}, {"id", "theme"}, {"class", "needs-script"}});
}

// A link for each section that was written.
void write_navigation(HtmlWriter& html, std::string_view sections) {
  constexpr std::pair<const char*, const char*> kSections[] = {{"runs", "Runs"},
                                                               {"evaluation", "Evaluation"},
                                                               {"curves", "Curves"},
                                                               {"samples", "Samples"},
                                                               {"settings", "Settings"},
                                                               {"facts", "Facts"},
                                                               {"notes", "What was left out"}};
  const HtmlWriter::Open navigation = html.open("nav", {{"aria-label", "Sections"}});
  for (const auto& [id, title] : kSections) {
    if (sections.find(fmt::format("<section id=\"{}\">", id)) == std::string_view::npos) continue;
    html.leaf("a", title, {{"href", fmt::format("#{}", id)}});
  }
}

}  // namespace

std::string page_html(const PageContent& content) {
  HtmlWriter sections;
  write_overview(sections, content);
  write_evaluations(sections, content);
  const std::string data = write_curves(sections, content);
  write_samples(sections, content);
  write_settings(sections, content);
  write_facts(sections, content);
  write_notes(sections, content);

  HtmlWriter html;
  html.constant("<!DOCTYPE html>\n");
  {
    const HtmlWriter::Open root = html.open("html", {{"lang", "en"}});
    write_head(html, content);
    const HtmlWriter::Open body = html.open("body");
    write_header(html, content);
    write_navigation(html, sections.written());
    {
      const HtmlWriter::Open main = html.open("main");
      html.append(sections);
    }
    html.leaf("footer", fmt::format("Made by cpx-report {}.", version()));
    {
      const HtmlWriter::Open element =
          html.open("script", {{"type", "application/json"}, {"id", "cpx-data"}});
      html.data(data.empty() ? "null" : data);
    }
    const HtmlWriter::Open script = html.open("script");
    html.asset(kPageScript);
  }
  return html.take();
}

}  // namespace cpx::report
