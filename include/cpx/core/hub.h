// SPDX-License-Identifier: Apache-2.0
// Finds models and adapters by their name on the Hugging Face Hub in the local cache; cpx itself
// never uses a network. The layout of the cache is that of huggingface_hub:
//   models--OWNER--NAME/refs/REVISION            a file with a commit hash
//   models--OWNER--NAME/snapshots/COMMIT/...     links into ../../blobs
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace cpx {

/// The parts of `owner/name[@revision][:file]`.
struct HubName {
  std::string repository;  // "owner/name"
  std::string revision;    // branch, tag, commit hash or its beginning; empty: main
  std::string file;  // a .gguf of the repository, or its quantisation ("Q4_K_M"); may be empty
};

/// The parts of `text`, or nullopt if it does not have that form.
std::optional<HubName> parse_hub_name(std::string_view text);

/// HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
/// ~/.cache/huggingface/hub.
std::filesystem::path hub_cache();

/// The path of the model or adapter called `name`. A path that exists is returned as it is, and so
/// is text that does not have the form of a HubName. Otherwise the result is the snapshot folder in
/// the cache, or the .gguf in it: the one that `:file` names, or the only one if there is no
/// config.json. Throws DataError, with [where] in front, with the command that downloads what is
/// missing; `expected` describes a valid path, for example "a model folder or a .gguf".
std::filesystem::path resolve_hub_name(std::string_view where, const std::filesystem::path& name,
                                       std::string_view expected);

/// The base model as an adapter records it.
struct BaseModelName {
  std::string name;      // the path as it was given, or "owner/name"
  std::string revision;  // of "owner/name", if one was given
};
BaseModelName base_model_name(const std::filesystem::path& name);

/// The name for a log; a name from the cache comes with its commit: "owner/name (snapshot
/// 0123456789ab)".
std::string describe_model(const std::filesystem::path& name);

/// " To complete it: hf download owner/name --revision COMMIT" for a path inside a snapshot, which
/// may be incomplete; otherwise empty.
std::string download_hint(const std::filesystem::path& path);

}  // namespace cpx
