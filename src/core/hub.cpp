// SPDX-License-Identifier: Apache-2.0
#include "cpx/core/hub.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpx/core/error.h"
#include "cpx/core/output_file.h"
#include "cpx/core/path.h"

namespace cpx {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kDefaultRevision = "main";
constexpr size_t kMinHashLength = 4;  // of the beginning of a commit hash
constexpr size_t kShownHashLength = 12;

bool is_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
}

// What huggingface_hub takes for an owner or a name.
bool is_hub_word(std::string_view word) {
  constexpr size_t kMaxLength = 96;
  const auto is_edge = [](char c) { return c == '-' || c == '.'; };
  return !word.empty() && word.size() <= kMaxLength && std::ranges::all_of(word, is_name_char) &&
         !is_edge(word.front()) && !is_edge(word.back()) && word.find("--") == word.npos &&
         word.find("..") == word.npos;
}

// A file, to all appearance: a mistyped path is told as one.
bool is_file_name(std::string_view word) {
  return word.ends_with(".gguf") || word.ends_with(".json") || word.ends_with(".safetensors");
}

// A path below a folder that does not lead out of it.
bool is_inner_path(std::string_view text) {
  const fs::path path(text);
  return !text.empty() && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

bool is_hash_beginning(std::string_view text) {
  return text.size() >= kMinHashLength && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<fs::path> path_of_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  try {
    return expand_home(value);
  } catch (const DataError& error) {
    throw_<DataError>("[{}] {}.", name, error.what());
  }
}

std::string download_command(const HubName& name) {
  std::string command = fmt::format("hf download {}", name.repository);
  if (name.file.ends_with(".gguf")) {
    command += fmt::format(" {}", name.file);
  } else if (!name.file.empty()) {
    command += fmt::format(" --include '*{}*.gguf'", name.file);
  }
  if (!name.revision.empty()) command += fmt::format(" --revision {}", name.revision);
  return command;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

// "main" and "refs/pr/1", relative to refs/.
std::vector<std::string> ref_names(const fs::path& repository) {
  std::vector<std::string> names;
  std::error_code error;
  const fs::path refs = repository / "refs";
  for (fs::recursive_directory_iterator entry(refs, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file(error)) names.push_back(fs::relative(entry->path(), refs).string());
  }
  std::ranges::sort(names);
  return names;
}

// One name on its way to a file of the cache.
class Lookup {
 public:
  Lookup(std::string_view where, std::string_view text, HubName name, std::string_view expected)
      : where_(where),
        text_(text),
        name_(std::move(name)),
        expected_(expected),
        cache_(hub_cache()),
        repository_(cache_ / folder_name()) {}

  fs::path run() {
    std::error_code error;
    if (!fs::is_directory(repository_, error)) {
      throw_<DataError>(
          "[{}] {}: no such file or folder, expected {}, or a repository that the Hugging Face "
          "cache ({}) has. To download it: {}",
          where_, text_, expected_, cache_.string(), download_command(name_));
    }
    snapshot_ = repository_ / "snapshots" / commit();
    if (!fs::is_directory(snapshot_, error)) fail_incomplete("the folder is not there");
    check_links();
    return name_.file.empty() ? whole() : named_file();
  }

 private:
  std::string folder_name() const {
    std::string name = name_.repository;
    name.replace(name.find('/'), 1, "--");
    return "models--" + name;
  }

  std::string revision() const {
    return name_.revision.empty() ? std::string(kDefaultRevision) : name_.revision;
  }

  std::string commit() const {
    std::error_code error;
    const fs::path ref = repository_ / "refs" / revision();
    if (fs::is_regular_file(ref, error)) {
      std::string commit = read_text_file(ref);
      commit.erase(std::remove_if(commit.begin(), commit.end(),
                                  [](unsigned char c) { return std::isspace(c) != 0; }),
                   commit.end());
      if (is_hash_beginning(commit)) return commit;
      throw_<DataError>("[{}] {}: got '{}', expected a commit hash. To mend it: {}", where_,
                        ref.string(), commit.substr(0, 40), download_command(name_));
    }
    return commit_that_begins();
  }

  // The snapshot whose hash begins with the revision.
  std::string commit_that_begins() const {
    std::vector<std::string> found;
    const std::vector<std::string> commits = names_in(repository_ / "snapshots");
    for (const std::string& commit : commits) {
      if (is_hash_beginning(revision()) && commit.starts_with(revision())) found.push_back(commit);
    }
    if (found.size() == 1) return found.front();
    if (found.size() > 1) {
      throw_<DataError>("[{}] {}: {} commits in the Hugging Face cache begin so, expected one: {}.",
                        where_, text_, found.size(), fmt::join(found, ", "));
    }
    std::vector<std::string> known = ref_names(repository_);
    for (const std::string& commit : commits) known.push_back(commit.substr(0, kShownHashLength));
    throw_<DataError>(
        "[{}] {}: the Hugging Face cache has no revision '{}' of it, expected one of those there "
        "({}). To download it: {}",
        where_, text_, revision(),
        known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")),
        download_command(name_));
  }

  [[noreturn]] void fail_incomplete(std::string_view what) const {
    throw_<DataError>("[{}] {}: its snapshot {} is incomplete: {}. To complete it: {}", where_,
                      text_, snapshot_.string(), what, download_command(name_));
  }

  // Links whose blob is gone.
  void check_links() const {
    std::vector<std::string> broken;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(snapshot_, error), end; !error && entry != end;
         entry.increment(error)) {
      std::error_code ignored;
      if (entry->is_symlink(ignored) && !fs::exists(entry->path(), ignored)) {
        broken.push_back(fs::proximate(entry->path(), snapshot_, ignored).string());
      }
    }
    if (broken.empty()) return;
    std::ranges::sort(broken);
    fail_incomplete(fmt::format("{} {} to no blob, such as {}", broken.size(),
                                broken.size() == 1 ? "link leads" : "links lead", broken.front()));
  }

  // The model files of a GGUF repository, by their path in it.
  std::vector<std::string> gguf_files() const {
    std::vector<std::string> files;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(snapshot_, error), end; !error && entry != end;
         entry.increment(error)) {
      const fs::path inner = entry->path().lexically_relative(snapshot_);
      // mmproj files are the other half of models that see.
      const bool is_model = inner.extension() == ".gguf" &&
                            inner.filename().string().find("mmproj") == std::string::npos;
      if (is_model) files.push_back(inner.string());
    }
    std::ranges::sort(files);
    return files;
  }

  fs::path whole() const {
    std::error_code error;
    for (const char* mark : {"config.json", "adapter_config.json"}) {
      if (fs::exists(snapshot_ / mark, error)) return snapshot_;
    }
    const std::vector<std::string> files = gguf_files();
    if (files.size() == 1) return snapshot_ / files.front();
    if (files.empty()) fail_incomplete("it has no config.json, adapter_config.json or .gguf");
    throw_<DataError>("[{}] {}: got {} GGUF files ({}), expected one. Choose: {}:{}", where_, text_,
                      files.size(), fmt::join(files, ", "), text_, files.front());
  }

  fs::path named_file() const {
    std::error_code error;
    if (fs::is_regular_file(snapshot_ / name_.file, error)) return snapshot_ / name_.file;
    const std::vector<std::string> files = gguf_files();
    std::vector<std::string> found;
    std::ranges::copy_if(files, std::back_inserter(found),
                         [&](const std::string& file) { return has_tag(file, name_.file); });
    if (found.size() == 1) return snapshot_ / found.front();
    throw_<DataError>(
        "[{}] {}: {} of its GGUF files {} '{}', expected one of those in the Hugging Face cache "
        "({}). To download it: {}",
        where_, text_, found.empty() ? "none" : fmt::format("{}", found.size()),
        found.size() > 1 ? "have" : "has", name_.file,
        files.empty() ? "none" : fmt::format("{}", fmt::join(files, ", ")),
        download_command(name_));
  }

  // "x-Q4_K_M.gguf" has the tag q4_k_m, and not q4_k.
  static bool has_tag(std::string file, std::string tag) {
    const auto to_lower = [](std::string& text) {
      std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    };
    to_lower(file);
    to_lower(tag);
    const auto is_word = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    for (size_t at = file.find(tag); at != file.npos; at = file.find(tag, at + 1)) {
      const size_t end = at + tag.size();
      if ((at == 0 || !is_word(file[at - 1])) && (end == file.size() || !is_word(file[end]))) {
        return true;
      }
    }
    return false;
  }

  std::string_view where_;
  std::string_view text_;
  HubName name_;
  std::string_view expected_;
  fs::path cache_;
  fs::path repository_;
  fs::path snapshot_;
};

// The name in the cache's sense; nothing for a path that exists.
std::optional<HubName> hub_name_of(const fs::path& name) {
  std::error_code error;
  if (name.empty() || fs::exists(fs::symlink_status(name, error))) return std::nullopt;
  return parse_hub_name(name.string());
}

}  // namespace

std::optional<HubName> parse_hub_name(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const size_t end = std::min(text.find_first_of("@:", slash), text.size());
  const std::string_view own = text.substr(slash + 1, end - slash - 1);
  if (!is_hub_word(text.substr(0, slash)) || !is_hub_word(own) || is_file_name(own)) return {};
  HubName name{.repository = std::string(text.substr(0, end)), .revision = {}, .file = {}};
  std::string_view rest = text.substr(end);
  if (rest.starts_with('@')) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    name.revision = rest.substr(1, colon - 1);
    rest = rest.substr(colon);
    if (!is_inner_path(name.revision)) return std::nullopt;
  }
  if (!rest.empty()) {
    name.file = rest.substr(1);
    if (!is_inner_path(name.file)) return std::nullopt;
  }
  return name;
}

fs::path hub_cache() {
  // HUGGINGFACE_HUB_CACHE is the older name, which huggingface_hub 1 still reads.
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const auto cache = path_of_variable(variable)) return *cache;
  }
  if (const auto home = path_of_variable("HF_HOME")) return *home / "hub";
  if (const auto xdg = path_of_variable("XDG_CACHE_HOME")) return *xdg / "huggingface" / "hub";
  return expand_home("~/.cache/huggingface/hub");
}

fs::path resolve_hub_name(std::string_view where, const fs::path& name, std::string_view expected) {
  std::optional<HubName> hub_name = hub_name_of(name);
  if (!hub_name) return name;
  return Lookup(where, name.native(), std::move(*hub_name), expected).run();
}

BaseModelName base_model_name(const fs::path& name) {
  const std::optional<HubName> hub_name = hub_name_of(name);
  if (!hub_name) return {.name = name.string(), .revision = {}};
  return {.name = hub_name->repository, .revision = hub_name->revision};
}

std::string describe_model(const fs::path& name) {
  const fs::path place = resolve_hub_name("model", name, "a model");
  if (place == name) return name.string();
  for (const fs::path& part : place.lexically_relative(hub_cache())) {
    const std::string word = part.string();
    if (is_hash_beginning(word)) {
      return fmt::format("{} (snapshot {})", name.string(), word.substr(0, kShownHashLength));
    }
  }
  return name.string();
}

std::string download_hint(const fs::path& path) {
  constexpr std::string_view kMark = "models--";
  const std::vector<fs::path> parts(path.begin(), path.end());
  for (size_t i = 0; i + 2 < parts.size(); ++i) {
    const std::string folder = parts[i].string();
    if (!folder.starts_with(kMark) || parts[i + 1] != "snapshots") continue;
    std::string repository = folder.substr(kMark.size());
    const size_t separator = repository.find("--");
    if (separator != repository.npos) repository.replace(separator, 2, "/");
    return fmt::format(" To complete it: hf download {} --revision {}", repository,
                       parts[i + 2].string());
  }
  return "";
}

}  // namespace cpx
