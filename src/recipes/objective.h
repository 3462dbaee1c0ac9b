// SPDX-License-Identifier: Apache-2.0
// What cpx-train knows of an objective. Each stands in a file of its own in objectives/: its keys,
// what is checked of them, how its data are read, and the task that trains on them.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "batch_sizes.h"
#include "config_messages.h"
#include "cpx/config/fields.h"
#include "cpx/recipes/train_config.h"
#include "retain_keys.h"
#include "train_data.h"

namespace cpx::recipes {

/// The frozen policy that an objective compares with.
struct ReferenceKeys {
  /// null: the adapter as training starts from it, which is the base for a fresh one.
  std::optional<std::filesystem::path> reference_adapter = std::nullopt;
  /// What it says of texts is kept on disk: in `reference_cache`, or in the run's folder.
  bool cache_reference = false;
  std::optional<std::filesystem::path> reference_cache = std::nullopt;

  void visit_fields(config::FieldVisitor& visit);
  /// Adds the faults of keys that are good each by itself.
  void check(ConfigFaults& faults) const;
};

/// A model that an objective reads besides the one that is trained.
struct OwnModel {
  std::string section = {};  // of the config, and the label of its line in --validate
  std::string key = {};      // that names the model
  std::string shown = {};    // its path, or what stands in place of a file
  std::optional<std::filesystem::path> path = std::nullopt;
  std::function<void()> load = {};  // throws where it cannot be read
};

/// An objective with its keys.
class Objective {
 public:
  virtual ~Objective() = default;
  virtual std::unique_ptr<Objective> clone() const = 0;

  /// As in `objective.name`.
  virtual std::string_view name() const = 0;
  /// A sentence for the help, without its full stop.
  virtual std::string_view doc() const = 0;
  /// The keys under `objective`.
  virtual void visit_fields(config::FieldVisitor& visit) = 0;

  /// What no micro batch can exceed, whatever the data.
  virtual BatchSizes batch_bound(const TrainConfig& config) const = 0;
  /// The data of a run, nothing read yet. `config` holds this objective and must outlive them.
  virtual std::unique_ptr<RunData> make_data(const TrainConfig& config) const = 0;

  // ---- What most objectives do without ---------------------------------------------------------

  /// Sections of the config beside `objective` that belong to this objective alone.
  virtual void visit_sections(config::FieldVisitor& /*visit*/) {}
  /// Adds the faults of keys that are good each by itself.
  virtual void check(const TrainConfig& /*config*/, ConfigFaults& /*faults*/) const {}
  /// Adds what is allowed but probably not meant.
  virtual void look_for_notices(const TrainConfig& /*config*/, ConfigNotices& /*notices*/) const {}

  /// The keys of retained texts; null: it holds none.
  virtual const RetainKeys* retain_keys() const { return nullptr; }
  /// The frozen base is asked for more than retained texts.
  virtual bool needs_base() const { return false; }
  /// Whole next-token distributions are held to the base's, which takes memory.
  virtual bool holds_distributions() const { return false; }
  /// The frozen policy; none: it has no reference.
  virtual std::optional<ReferenceKeys> reference() const { return std::nullopt; }
  virtual std::optional<OwnModel> own_model() const { return std::nullopt; }
  /// Evaluation gives a score of sampled responses, in place of two sides of texts.
  virtual bool has_scores() const { return false; }
  /// A part of the training data is held out for evaluation.
  virtual bool holds_out() const { return false; }
};

}  // namespace cpx::recipes
