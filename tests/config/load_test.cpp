// SPDX-License-Identifier: Apache-2.0
#include "cpx/config/load.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpx/core/path.h"
#include "tests/config/sample_options.h"

namespace cpx::config {
namespace load_test {

using sample::Circle;
using sample::Color;
using sample::Drawing;
using sample::Square;
using testing::ElementsAre;
using testing::IsEmpty;

struct Result {
  Drawing drawing;
  Loaded loaded;
};

Result load(std::string_view text, const std::vector<std::string>& overrides = {}) {
  Result result;
  result.loaded = load_text(fields_of(result.drawing), text, "d.yaml", overrides);
  return result;
}

std::vector<std::string> faults_of(std::string_view text,
                                   const std::vector<std::string>& overrides = {}) {
  return load(text, overrides).loaded.faults.texts();
}

// The faults of one line below a good first line; the line is line 2.
std::vector<std::string> faults_of_line(const std::string& line) {
  return faults_of("output: a.svg\n" + line + "\n");
}

TEST(ConfigLoad, ReadsEveryKindOfField) {
  const std::string before = "copies: +3\ntitle: ";
  const std::string behind = R"(
output: out/a.svg
background: paper.png
layers: [ink, "two words"]
pages:
  - 1
  - 7
pen: {width: .5e1, erasable: true, color: dark_green, tip: [1e-3, 2]}
shape: {name: square, side: 4}
)";
  // "a: b" is not a plain text in YAML: the whole is a syntax error.
  EXPECT_THAT(load(before + "a: b" + behind).loaded.faults.texts(),
              ElementsAre("[d.yaml:2:9] not YAML: illegal map value."));

  const auto [good, good_loaded] = load(before + "\"a: b\"" + behind);
  EXPECT_THAT(good_loaded.faults.texts(), IsEmpty());
  EXPECT_EQ(good.copies, 3);
  EXPECT_EQ(good.title, "a: b");
  EXPECT_EQ(good.output, "out/a.svg");
  EXPECT_EQ(good.background, "paper.png");
  EXPECT_THAT(good.layers, ElementsAre("ink", "two words"));
  EXPECT_THAT(good.pages, ElementsAre(1, 7));
  EXPECT_EQ(good.pen.width, 5.0);
  EXPECT_TRUE(good.pen.erasable);
  EXPECT_EQ(good.pen.color, Color::kDarkGreen);
  EXPECT_THAT(good.pen.tip, ElementsAre(1e-3, 2.0));
  ASSERT_TRUE(std::holds_alternative<Square>(good.shape));
  EXPECT_EQ(std::get<Square>(good.shape).side, 4.0);
}

TEST(ConfigLoad, KeepsDefaultsOfWhatIsNotGiven) {
  const auto [drawing, loaded] = load("output: a.svg\npen:\n  erasable: true\n");
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_EQ(drawing.copies, 1);
  EXPECT_EQ(drawing.pen.width, 0.5);
  EXPECT_EQ(drawing.background, std::nullopt);
  EXPECT_TRUE(std::holds_alternative<Circle>(drawing.shape));
}

TEST(ConfigLoad, KnowsWhichKeysWereGivenAndWhere) {
  const auto [drawing, loaded] =
      load("output: a.svg\npen:\n  width: 2\nshape: {name: circle}\n", {"copies=2"});
  EXPECT_THAT(loaded.sources.keys(), ElementsAre("copies", "output", "pen.width", "shape.name"));
  EXPECT_TRUE(loaded.sources.is_set("pen.width"));
  EXPECT_FALSE(loaded.sources.is_set("pen.color"));
  EXPECT_EQ(loaded.sources.where("pen.width"), "d.yaml:3");
  EXPECT_EQ(loaded.sources.where("copies"), "command line: copies=2");
  EXPECT_EQ(loaded.sources.where("pen.color"), "d.yaml");
}

TEST(ConfigLoad, TellsAllFaultsAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(
      faults_of("copies: many\npen:\n  widht: 1\n  color: blue\nlayers: []\n", {"pages=1"}),
      ElementsAre("[d.yaml:1] copies: got 'many', expected a whole number >= 0.",
                  "[d.yaml:3] pen.widht: unknown key. Did you mean 'pen.width'?",
                  "[d.yaml:4] pen.color: got 'blue', expected one of red, dark_green.",
                  "[d.yaml:5] layers: got an empty list, expected a list of texts, at least "
                  "one, or everything.",
                  "[command line: pages=1] pages: got '1', expected a list of whole numbers "
                  ">= 1. A list is written [x, y].",
                  "[d.yaml] output: missing, expected a path. File that is written."));
}

TEST(ConfigLoad, NamesTheTypeThatWasExpected) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"copies: 1.5", "copies: got '1.5', expected a whole number >= 0."},
      {"copies: 1e3", "copies: got '1e3', expected a whole number >= 0."},
      {"copies: 0x10", "copies: got '0x10', expected a whole number >= 0."},
      {"copies: 99999999999999999999",
       "copies: got '99999999999999999999', expected a whole number >= 0."},
      {"copies: -1", "copies: got '-1', expected a whole number >= 0."},
      {"copies: \"3\"", "copies: got '3', expected a whole number >= 0. Remove the quotes."},
      {"copies: [3]", "copies: got a list of 1, expected a whole number >= 0."},
      {"copies: {a: 3}", "copies: got a map, expected a whole number >= 0."},
      {"copies:", "copies: got null, expected a whole number >= 0."},
      {"title: ''", "title: got '', expected a text."},
      {"title: null", "title: got null, expected a text."},
      {"background: [a]", "background: got a list of 1, expected a path or null."},
      {"layers: ink",
       "layers: got 'ink', expected a list of texts, at least one, or everything. A list is "
       "written "
       "[x, y]."},
      {"layers: [a, [b]]", "layers[1]: got a list of 1, expected a text."},
      {"pages: [1, 0]", "pages[1]: got '0', expected a whole number >= 1."},
      {"pen: 3", "pen: got '3', expected a map of keys."},
      {"pen: {width: 0}", "pen.width: got '0', expected a number > 0 and <= 10."},
      {"pen: {width: 11}", "pen.width: got '11', expected a number > 0 and <= 10."},
      {"pen: {width: .inf}", "pen.width: got '.inf', expected a number > 0 and <= 10."},
      {"pen: {width: inf}", "pen.width: got 'inf', expected a number > 0 and <= 10."},
      {"pen: {width: nan}", "pen.width: got 'nan', expected a number > 0 and <= 10."},
      {"pen: {width: 1e999}", "pen.width: got '1e999', expected a number > 0 and <= 10."},
      {"pen: {width: 1 mm}", "pen.width: got '1 mm', expected a number > 0 and <= 10."},
      {"pen: {erasable: yes}", "pen.erasable: got 'yes', expected true or false."},
      {"pen: {erasable: 1}", "pen.erasable: got '1', expected true or false."},
      {"pen: {color: dark-green}",
       "pen.color: got 'dark-green', expected one of red, dark_green. Did you mean 'dark_green'?"},
      {"pen: {tip: [1]}", "pen.tip: got a list of 1, expected a list of 2 numbers >= 0."},
      {"pen: {tip: [1, 2, 3]}", "pen.tip: got a list of 3, expected a list of 2 numbers >= 0."},
      {"shape: 3", "shape: got '3', expected a map of keys."},
  };
  for (const auto& [line, fault] : cases) {
    EXPECT_THAT(faults_of_line(line), ElementsAre("[d.yaml:2] " + fault)) << line;
  }
}

TEST(ConfigLoad, ShowsLongAndStrangeValuesShortly) {
  EXPECT_THAT(faults_of_line("copies: \"" + std::string(100, 'x') + "\""),
              ElementsAre("[d.yaml:2] copies: got '" + std::string(60, 'x') +
                          "...', expected a whole number >= 0."));
  EXPECT_THAT(faults_of_line(R"(copies: "a\nb\x1b")"),
              ElementsAre(R"([d.yaml:2] copies: got 'a\nb\x1b', expected a whole number >= 0.)"));
}

TEST(ConfigLoad, PointsFromAnUnknownKeyToAKnownOne) {
  EXPECT_THAT(faults_of_line("pens: {width: 1}"),
              ElementsAre("[d.yaml:2] pens: unknown key. Did you mean 'pen'?"));
  EXPECT_THAT(faults_of_line("erasable: true"),
              ElementsAre("[d.yaml:2] erasable: unknown key. Did you mean 'pen.erasable'?"));
  EXPECT_THAT(faults_of_line("pen.width: 1"),
              ElementsAre("[d.yaml:2] pen.width: unknown key. In a file it is written pen: {width: "
                          "...}."));
  EXPECT_THAT(faults_of_line("pen: {zzzzzzzzz: 1}"),
              ElementsAre("[d.yaml:2] pen.zzzzzzzzz: unknown key, expected one of width, erasable, "
                          "color, tip."));
}

TEST(ConfigLoad, TellsWhoseKeyAnotherAlternativesKeyIs) {
  EXPECT_THAT(faults_of("output: a\nshape:\n  side: 1\n"),
              ElementsAre("[d.yaml:3] shape.side: a key of square, but shape.name is circle."));
  // The name may stand behind the keys.
  EXPECT_THAT(faults_of("output: a\nshape:\n  side: 1\n  name: square\n"), IsEmpty());
  EXPECT_THAT(faults_of("output: a\nshape:\n  radius: 1\n", {"shape.name=square"}),
              ElementsAre("[d.yaml:3] shape.radius: a key of circle, but shape.name is square."));
  EXPECT_THAT(faults_of("output: a\nshape: {sied: 1, name: square}\n"),
              ElementsAre("[d.yaml:2] shape.sied: unknown key. Did you mean 'shape.side'?"));
}

TEST(ConfigLoad, TellsAnUnknownAlternativeFromOneOfALaterVersion) {
  EXPECT_THAT(
      faults_of("output: a\nshape: {name: star, points: 5}\n"),
      ElementsAre("[d.yaml:2] shape.name: 'star' is not in this version, expected circle or "
                  "square."));
  EXPECT_THAT(faults_of("output: a\nshape: {name: sqare}\n"),
              ElementsAre("[d.yaml:2] shape.name: got 'sqare', expected circle or square. Did you "
                          "mean 'square'?"));
  EXPECT_THAT(faults_of("output: a\nshape: {name: [square]}\n"),
              ElementsAre("[d.yaml:2] shape.name: got a list of 1, expected circle or square."));
}

TEST(ConfigLoad, TakesTheWordInPlaceOfAList) {
  const auto [drawing, loaded] = load("output: a\nlayers: everything\n");
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_THAT(drawing.layers, ElementsAre("everything"));
}

TEST(ConfigLoad, ReadsANullSectionAsOneWithoutKeys) {
  EXPECT_THAT(faults_of("output: a\npen:\n  # width: 1\nshape:\n"), IsEmpty());
}

TEST(ConfigLoad, SetsAnOptionalBackToNull) {
  const auto [drawing, loaded] = load("output: a\nbackground: b\n", {"background=null"});
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_EQ(drawing.background, std::nullopt);
}

TEST(ConfigLoad, RefusesWhatIsNoMap) {
  EXPECT_THAT(faults_of("- a\n"),
              ElementsAre("[d.yaml:1] the config: got a list of 1, expected a map of keys."));
  EXPECT_THAT(faults_of("hello"),
              ElementsAre("[d.yaml:1] the config: got 'hello', expected a map of keys."));
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "null\n"}) {
    EXPECT_THAT(faults_of(text),
                ElementsAre("[d.yaml] empty: got nothing, expected a map of keys."))
        << text;
  }
}

TEST(ConfigLoad, TellsAFileThatCannotBeRead) {
  Drawing drawing;
  const Loaded missing = load_file(fields_of(drawing), "no/such.yaml");
  ASSERT_EQ(missing.faults.size(), 1);
  EXPECT_THAT(missing.faults.texts()[0], testing::HasSubstr("no/such.yaml"));
  EXPECT_THAT(missing.faults.texts()[0], testing::HasSubstr("No such file or directory"));
  EXPECT_EQ(load_file(fields_of(drawing), CPX_SOURCE_DIR).faults.size(), 1);
}

TEST(ConfigOverride, WinsOverTheFileAndTheLaterOverTheEarlier) {
  const auto [drawing, loaded] =
      load("output: a\npen: {width: 1, erasable: true}\nlayers: [a, b]\n",
           {"pen.width=2", "pen.width=3", "layers=[c]", "shape.name=square", "shape.side=9"});
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_EQ(drawing.pen.width, 3.0);
  EXPECT_TRUE(drawing.pen.erasable);
  EXPECT_THAT(drawing.layers, ElementsAre("c"));
  EXPECT_EQ(std::get<Square>(drawing.shape).side, 9.0);
}

std::vector<std::string> faults_of_sheet(std::string_view text) {
  sample::Sheet sheet;
  return load_text(fields_of(sheet), text, "d.yaml", {}).faults.texts();
}

TEST(ConfigLoad, ASectionOfAnAlternativeIsReadBesideItAlone) {
  sample::Sheet sheet;
  const auto loaded =
      load_text(fields_of(sheet), "corners: {width: 2}\nshape: {name: square}\n", "d.yaml", {});
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_EQ(sheet.corners.width, 2.0);
  EXPECT_THAT(faults_of_sheet("shape: {name: square}\n"), IsEmpty());
  EXPECT_THAT(faults_of_sheet("corners: {width: 2}\n"),
              ElementsAre("[d.yaml:1] corners: a section of square, but shape.name is circle."));
  EXPECT_THAT(faults_of_sheet("shape: {name: square}\ncorners: {width: -2}\n"),
              ElementsAre("[d.yaml:2] corners.width: got '-2', expected a number > 0 and <= 10."));
}

// Whose section it is cannot be told.
TEST(ConfigLoad, ASectionBesideAnUnknownAlternativeIsNoFaultOfItsOwn) {
  EXPECT_THAT(faults_of_sheet("corners: {width: 2}\nshape: {name: squard}\n"),
              ElementsAre("[d.yaml:2] shape.name: got 'squard', expected circle or square. Did you "
                          "mean 'square'?"));
}

TEST(ConfigOverride, AMapAddsToItsSection) {
  const auto [drawing, loaded] =
      load("output: a\npen: {width: 1, erasable: true}\n", {"pen={width: 2}"});
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_EQ(drawing.pen.width, 2.0);
  EXPECT_TRUE(drawing.pen.erasable);
}

TEST(ConfigOverride, KeepsEqualSignsAndQuotesOfTheValue) {
  const auto [drawing, loaded] = load("output: a\n", {"title=\"x = y: z\"", "background=a=b"});
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_EQ(drawing.title, "x = y: z");
  EXPECT_EQ(drawing.background, "a=b");
}

TEST(ConfigOverride, DoesNotChangeWhatAnAliasSharesWithIt) {
  const auto [drawing, loaded] =
      load("output: a\nlayers: &l [a]\npen: {tip: &t [1, 2]}\n", {"layers=[b]"});
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  EXPECT_THAT(drawing.layers, ElementsAre("b"));
}

TEST(ConfigOverride, TellsFaultsWithTheOverrideAsThePlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"pen", "an override: got 'pen', expected key=value, such as optimizer.lr=1e-4."},
      {"=1", "an override: got '=1', expected key=value, such as optimizer.lr=1e-4."},
      {"pen..width=1",
       "an override: got 'pen..width=1', expected key=value, such as optimizer.lr=1e-4."},
      {"pen.width=fat", "pen.width: got 'fat', expected a number > 0 and <= 10."},
      {"pen.width=", "pen.width: got null, expected a number > 0 and <= 10."},
      {"pen.witdh=1", "pen.witdh: unknown key. Did you mean 'pen.width'?"},
      {"width=1", "width: unknown key. Did you mean 'pen.width'?"},
      {"pen=3", "pen: got '3', expected a map of keys."},
      {"layers.0=x",
       "layers.0: an item of a list cannot be set alone, expected the whole list, layers=[x, y]."},
      {"pen.width.mm=1", "pen.width.mm: unknown key: pen.width is a value and has no keys."},
      {"layers=[a", "not YAML: end of sequence flow not found."},
      {"layers=[*.json]",
       "not YAML: the referenced anchor is not defined. A text that starts with * needs "
       "quotes."},
  };
  for (const auto& [text, fault] : cases) {
    EXPECT_THAT(faults_of("output: a\n", {text}),
                ElementsAre("[command line: " + text + "] " + fault))
        << text;
  }
}

TEST(ConfigOverride, FaultsAreToldBesideThoseOfAnUnreadableFile) {
  EXPECT_THAT(faults_of("a: b: c", {"pen"}),
              ElementsAre(testing::StartsWith("[d.yaml:1:5] not YAML: "),
                          testing::StartsWith("[command line: pen] an override: ")));
}

// Where files are, in the ways that a config may say it.
struct Places {
  std::filesystem::path output;
  std::optional<std::filesystem::path> cache;
  std::vector<std::filesystem::path> folders;
  std::vector<std::string> patterns;
  std::string title;

  void visit_fields(FieldVisitor& visit) {
    visit.field("output", output, "A path");
    visit.field("cache", cache, "A path or null");
    visit.field("folders", folders, "Paths");
    visit.field("patterns", patterns, "Patterns of paths", {.is_path = true});
    visit.field("title", title, "No path");
  }
};

TEST(ConfigPath, HomeFolderStandsForALeadingTilde) {
  Places places;
  const std::vector<std::string> overrides = {"cache=~/cache.bin"};
  const Loaded loaded = load_text(fields_of(places),
                                  "output: ~/runs/x\ncache: null\nfolders: [~/a, /b/~, \"~\"]\n"
                                  "patterns: [~/shards/*.json, c]\ntitle: ~/x\n",
                                  "d.yaml", overrides);
  EXPECT_THAT(loaded.faults.texts(), IsEmpty());
  const std::filesystem::path home = expand_home("~");
  EXPECT_EQ(places.output, home / "runs/x");
  EXPECT_EQ(places.cache, home / "cache.bin");
  EXPECT_THAT(places.folders, ElementsAre(home / "a", "/b/~", home));
  EXPECT_THAT(places.patterns, ElementsAre((home / "shards/*.json").string(), "c"));
  EXPECT_EQ(places.title, "~/x");
}

TEST(ConfigPath, HomeFolderOfAnotherIsAFault) {
  Places places;
  const Loaded loaded =
      load_text(fields_of(places), "output: ~ann/x\npatterns: [a, ~bo/*.json]\n", "d.yaml", {});
  EXPECT_THAT(
      loaded.faults.texts(),
      ElementsAre("[d.yaml:1] output: got '~ann/x', expected '~/' for your own home folder, or "
                  "'./~ann/x' for a file of that name: another user's home folder needs its whole "
                  "path.",
                  "[d.yaml:2] patterns[1]: got '~bo/*.json', expected '~/' for your own home "
                  "folder, or './~bo/*.json' for a file of that name: another user's home folder "
                  "needs its whole path."));
}

}  // namespace load_test
}  // namespace cpx::config
