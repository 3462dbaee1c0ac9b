// SPDX-License-Identifier: Apache-2.0
#include "yaml_node.h"

#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "cpx/core/utf8.h"

namespace cpx::config {
namespace {

using Kind = YamlNode::Kind;
using MutableNode = std::shared_ptr<YamlNode>;

constexpr size_t kShownBytes = 60;
constexpr std::string_view kQuotedTag = "!";  // yaml-cpp's tag of a quoted scalar without a tag

bool is_null_text(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

// yaml-cpp takes byte 0x04 for the end of the file and lets most other control characters pass.
bool is_forbidden_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

// What makes an event sequence of yaml-cpp into a tree.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::shared_ptr<const std::string> label, int first_line, Faults& faults)
      : label_(std::move(label)), first_line_(first_line), faults_(faults) {}

  YamlNodePtr root() const { return root_; }
  const Origin& start() const { return start_; }

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = at(mark); }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(Kind::kNull, mark, anchor), mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const MutableNode& target = anchors_[anchor];
    const bool is_open = std::any_of(open_.begin(), open_.end(),
                                     [&](const Frame& frame) { return frame.node == target; });
    if (is_open) {
      faults_.add_at(at(mark).text(), key_path(/*with_current=*/true),
                     "an alias inside of what it stands for: expected one to a value that ended "
                     "before it.");
    }
    // A null in its place: a node that contains itself would never be freed.
    add(is_open ? make(Kind::kNull, mark, 0) : target, mark);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const bool is_quoted = tag == kQuotedTag;
    const MutableNode node =
        make(!is_quoted && is_null_text(value) ? Kind::kNull : Kind::kText, mark, anchor);
    node->text = value;
    node->is_quoted = is_quoted;
    add(node, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(Kind::kList, mark, anchor), mark);
  }
  void OnSequenceEnd() override { open_.pop_back(); }

  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(Kind::kMap, mark, anchor), mark);
  }
  void OnMapEnd() override {
    take_over_merged_maps(open_.back());
    open_.pop_back();
  }

 private:
  // A list or map that has not ended.
  struct Frame {
    MutableNode node;
    bool has_key = false;
    bool is_skipped = false;  // the key is none: its value is passed over
    std::string key;
    Origin key_origin;
    std::vector<std::pair<YamlNodePtr, Origin>> merges;  // values of `<<`
  };

  Origin at(const YAML::Mark& mark) const {
    return {label_, first_line_ == 0 ? 0 : mark.line + first_line_};
  }

  MutableNode make(Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->origin = at(mark);
    if (anchor != 0) anchors_[anchor] = node;
    return node;
  }

  void open(const MutableNode& node, const YAML::Mark& mark) {
    add(node, mark);
    open_.push_back({.node = node,
                     .has_key = false,
                     .is_skipped = false,
                     .key = {},
                     .key_origin = {},
                     .merges = {}});
  }

  // The keys of the open maps, joined by dots; with or without the one being read.
  std::string key_path(bool with_current) const {
    std::string path;
    for (size_t index = 0; index < open_.size(); ++index) {
      const bool is_current = index + 1 == open_.size();
      if (open_[index].node->kind == Kind::kMap && (!is_current || with_current)) {
        path += (path.empty() ? "" : ".") + open_[index].key;
      }
    }
    return shown_text(path);
  }

  void add(const MutableNode& node, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = node;
    } else if (Frame& frame = open_.back(); frame.node->kind == Kind::kList) {
      frame.node->items.push_back(node);
    } else if (!frame.has_key) {
      begin_entry(frame, node, mark);
    } else {
      end_entry(frame, node);
    }
  }

  void begin_entry(Frame& frame, const MutableNode& node, const YAML::Mark& mark) {
    frame.is_skipped = node->kind != Kind::kText;
    if (frame.is_skipped) {
      faults_.add_at(at(mark).text(), key_path(/*with_current=*/false),
                     "a key: got {}, expected a text.", shown(*node));
    }
    frame.has_key = true;
    frame.key = node->text;
    frame.key_origin = at(mark);
  }

  void end_entry(Frame& frame, const MutableNode& node) {
    if (node->kind == Kind::kNull && node->text.empty()) {
      node->origin = frame.key_origin;  // yaml-cpp places a missing value at what comes next
    }
    if (frame.is_skipped) {
      // told at its key
    } else if (frame.key == "<<") {
      frame.merges.emplace_back(node, frame.key_origin);
    } else if (const YamlEntry* first = frame.node->find(frame.key)) {
      faults_.add_at(frame.key_origin.text(), key_path(/*with_current=*/true),
                     "the key is given twice: expected once (first: {}).", first->origin.text());
    } else {
      frame.node->entries.push_back({frame.key, frame.key_origin, node});
    }
    frame.has_key = false;
  }

  // `<<: map` or `<<: [map, map]`; a list has its items only when the map itself ends.
  void take_over_merged_maps(Frame& frame) {
    for (const auto& [node, origin] : frame.merges) {
      const std::vector<YamlNodePtr> sources =
          node->kind == Kind::kList ? node->items : std::vector<YamlNodePtr>{node};
      for (const YamlNodePtr& source : sources) take_over(frame, *source, origin);
    }
  }

  // The map's own keys win, then the earlier of the merged maps (yaml.org/type/merge.html).
  void take_over(Frame& frame, const YamlNode& source, const Origin& origin) {
    if (source.kind != Kind::kMap) {
      const std::string parent = key_path(/*with_current=*/false);
      faults_.add_at(origin.text(), parent + (parent.empty() ? "<<" : ".<<"),
                     "got {}, expected a map or a list of maps to merge.", shown(source));
    }
    for (const YamlEntry& entry : source.entries) {
      if (frame.node->find(entry.key) == nullptr) frame.node->entries.push_back(entry);
    }
  }

  std::shared_ptr<const std::string> label_;
  int first_line_;
  Faults& faults_;
  MutableNode root_;
  Origin start_;
  std::vector<Frame> open_;
  std::unordered_map<YAML::anchor_t, MutableNode> anchors_;
};

// Checks of the raw bytes, for what yaml-cpp reads wrongly or not at all: false where nothing can
// be made of them. Tabs in the indentation become spaces, so that the rest is looked at too.
bool check_raw_text(std::string& text, const std::string& label, int first_line, Faults& faults) {
  const auto where = [&](size_t line) {
    return first_line == 0 ? label : fmt::format("{}:{}", label, line + first_line);
  };
  if (const auto invalid = first_invalid_utf8(text)) {
    const auto line =
        std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(*invalid), '\n');
    faults.add(where(static_cast<size_t>(line)), "the text: got byte 0x{:02x}, expected UTF-8.",
               static_cast<unsigned char>(text[*invalid]));
    return false;
  }
  bool is_readable = true;
  size_t line_number = 0;
  for (size_t begin = 0; begin <= text.size(); ++line_number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line(text.data() + begin, end - begin);
    if (const auto control = std::find_if(line.begin(), line.end(), is_forbidden_control);
        control != line.end()) {
      faults.add(where(line_number), "the text: got control character 0x{:02x}, expected none.",
                 static_cast<unsigned char>(*control));
      is_readable = false;
    }
    const size_t content = line.find_first_not_of(" \t\r");
    if (content != std::string_view::npos && line[content] != '#' &&
        line.substr(0, content).find('\t') != std::string_view::npos) {
      faults.add(where(line_number), "the indentation: got a tab, expected spaces.");
      std::replace(text.begin() + static_cast<ptrdiff_t>(begin),
                   text.begin() + static_cast<ptrdiff_t>(begin + content), '\t', ' ');
    }
    begin = end + 1;
  }
  return is_readable;
}

void add_syntax_fault(const YAML::Exception& error, const std::string& label, int first_line,
                      Faults& faults) {
  const std::string where =
      first_line == 0 || error.mark.is_null()
          ? label
          : fmt::format("{}:{}:{}", label, error.mark.line + first_line, error.mark.column + 1);
  // A bare glob is the usual cause of this one.
  const bool is_alias = error.msg.find("anchor is not defined") != std::string::npos ||
                        error.msg.find("alias") != std::string::npos;
  faults.add(where, "not YAML: {}.{}", error.msg,
             is_alias ? " A text that starts with * needs quotes." : "");
}

}  // namespace

std::string Origin::text() const { return line == 0 ? *label : fmt::format("{}:{}", *label, line); }

const YamlEntry* YamlNode::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const YamlEntry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

YamlNodePtr parse_yaml(std::string_view raw_text, const std::string& label, int first_line,
                       Faults& faults) {
  const size_t faults_at_start = faults.size();
  std::string text(raw_text);
  if (!check_raw_text(text, label, first_line, faults)) return nullptr;
  const bool has_raw_faults = faults.size() > faults_at_start;
  Faults of_tree;  // of a broken text they may not be those of the meant one
  TreeBuilder builder(std::make_shared<const std::string>(label), first_line, of_tree);
  try {
    // Before a last line break yaml-cpp takes a quote without its end for a whole text.
    std::istringstream stream{text.substr(0, text.find_last_not_of(" \r\n") + 1)};
    YAML::Parser parser(stream);
    TreeBuilder second(std::make_shared<const std::string>(label), first_line, of_tree);
    if (!parser.HandleNextDocument(builder)) {
      faults.add(label, "empty: got nothing, expected a map of keys.");
      return nullptr;
    }
    if (parser.HandleNextDocument(second)) {
      of_tree.add(second.start().text(),
                  "not YAML: what begins here does not belong to what stands before it, expected "
                  "one map of keys.");
    }
  } catch (const YAML::Exception& error) {
    // Where there were tabs, their indentation is not known and the fault may be theirs.
    if (!has_raw_faults) add_syntax_fault(error, label, first_line, faults);
    return nullptr;
  }
  faults.append(of_tree);
  return builder.root();
}

YamlNodePtr merged(const YamlNodePtr& base, const YamlNodePtr& overlay) {
  if (base->kind != Kind::kMap || overlay->kind != Kind::kMap) return overlay;
  auto result = std::make_shared<YamlNode>(*base);
  for (const YamlEntry& entry : overlay->entries) {
    const auto place = std::find_if(result->entries.begin(), result->entries.end(),
                                    [&](const YamlEntry& other) { return other.key == entry.key; });
    if (place == result->entries.end()) {
      result->entries.push_back(entry);
    } else {
      *place = {entry.key, entry.origin, merged(place->value, entry.value)};
    }
  }
  return result;
}

std::string shown_text(std::string_view text) {
  std::string result;
  for (size_t position = 0; position < text.size();) {
    if (position >= kShownBytes) return result + "...";
    const size_t length = decode_utf8(text, position).length;
    const auto byte = static_cast<unsigned char>(text[position]);
    if (byte < 0x20 || byte == 0x7f) {
      result += byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : fmt::format("\\x{:02x}", byte);
    } else {
      result += text.substr(position, length);
    }
    position += length;
  }
  return result;
}

std::string shown(const YamlNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kText:
      return fmt::format("'{}'", shown_text(node.text));
    case Kind::kList:
      return node.items.empty() ? "an empty list" : fmt::format("a list of {}", node.items.size());
    case Kind::kMap:
      return "a map";
  }
  return {};
}

}  // namespace cpx::config
