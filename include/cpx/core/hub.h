// SPDX-License-Identifier: Apache-2.0
// Models and adapters by their name on the Hugging Face Hub, as far as the local cache has them:
// cpx itself never uses a network. The cache's layout is huggingface_hub's:
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

/// The parts of `text`, or nothing where it has another form.
std::optional<HubName> parse_hub_name(std::string_view text);

/// HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
/// ~/.cache/huggingface/hub.
std::filesystem::path hub_cache();

/// Where the model or adapter called `name` is. A path that exists is itself, as is what has not
/// the form of a HubName. Else it is the snapshot folder in the cache, or the .gguf there: the file
/// that is named, or the only one where there is no config.json. Throws DataError, opened by
/// [where], with the command that downloads what is not there; `expected` is what a path would have
/// to be, "a model folder or a .gguf".
std::filesystem::path resolve_hub_name(std::string_view where, const std::filesystem::path& name,
                                       std::string_view expected);

/// What an adapter says of its base model.
struct BaseModelName {
  std::string name;      // the path as it was given, or "owner/name"
  std::string revision;  // of the latter, where one was given
};
BaseModelName base_model_name(const std::filesystem::path& name);

/// The name for a log; one from the cache with its commit: "owner/name (snapshot 0123456789ab)".
std::string describe_model(const std::filesystem::path& name);

/// " To complete it: hf download owner/name --revision COMMIT" for a path inside of a snapshot,
/// whose files may be missing; else empty.
std::string download_hint(const std::filesystem::path& path);

}  // namespace cpx
