// SPDX-License-Identifier: Apache-2.0
// Legend: T tokens of a pack, L places in its texts, N rows that predict, D model, V vocabulary.
#include "cpx/evaluation/score_requests.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>

#include "cpx/core/error.h"
#include "cpx/data/packed_batch.h"
#include "cpx/kernels/row_rounding.h"
#include "cpx/nn/kept_beginning.h"

namespace cpx::evaluation {

namespace {

using tokenizer::TokenId;
using TokenIds = std::span<const TokenId>;

// Keys and values stand at every place of the texts, shared or not: at most so many places for a
// token of the limit.
constexpr int64_t kPlacesPerToken = 8;
// A shorter beginning is computed in each pass: a pass of its own would cost more.
constexpr int64_t kShortestKept = 64;

TokenIds read_tokens(const EncodedRequest& request) {
  return TokenIds(request.ids).first(request.ids.size() - 1);
}

int64_t num_common(TokenIds one, TokenIds other) {
  return std::ranges::mismatch(one, other).in1 - one.begin();
}

// What the model reads for one or several requests: they differ in their last token at most.
struct ReadText {
  TokenIds ids = {};  // of the first of them, with its last token
  int64_t tree = 0;
  int64_t num_scored = 0;  // the largest number of them
  std::vector<size_t> requests = {};

  TokenIds read() const { return ids.first(ids.size() - 1); }
};

// The requests in the order of their trees, and of their tokens within a tree: what a text has in
// common with the texts before it, it has in common with the last of them.
std::vector<size_t> tree_order(std::span<const EncodedRequest> requests,
                               std::span<const int64_t> trees) {
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && trees[end] == trees[begin]) ++end;
    std::stable_sort(order.begin() + begin, order.begin() + end, [&](size_t one, size_t other) {
      return std::ranges::lexicographical_compare(read_tokens(requests[one]),
                                                  read_tokens(requests[other]));
    });
    begin = end;
  }
  return order;
}

std::vector<ReadText> read_texts(std::span<const EncodedRequest> requests,
                                 std::span<const int64_t> trees) {
  std::vector<ReadText> texts;
  for (const size_t i : tree_order(requests, trees)) {
    const bool is_again = !texts.empty() && texts.back().tree == trees[i] &&
                          std::ranges::equal(texts.back().read(), read_tokens(requests[i]));
    if (!is_again) texts.push_back({.ids = requests[i].ids, .tree = trees[i]});
    texts.back().num_scored = std::max(texts.back().num_scored, requests[i].num_scored);
    texts.back().requests.push_back(i);
  }
  return texts;
}

// Texts [begin, end) of one tree.
struct Tree {
  size_t begin = 0;
  size_t end = 0;
  int64_t num_tokens = 0;
};

// Tokens that a text adds behind `before`, which may be null.
int64_t num_added(const ReadText& text, const ReadText* before) {
  const auto length = std::ssize(text.read());
  const bool shares = before != nullptr && before->tree == text.tree;
  return shares ? length - num_common(text.read(), before->read()) : length;
}

std::vector<Tree> trees_of(const std::vector<ReadText>& texts) {
  std::vector<Tree> trees;
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool is_new = i == 0 || texts[i].tree != texts[i - 1].tree;
    if (is_new) trees.push_back({.begin = i, .end = i});
    trees.back().end = i + 1;
    trees.back().num_tokens += num_added(texts[i], is_new ? nullptr : &texts[i - 1]);
  }
  return trees;
}

// Texts that are scored together, all of them behind a beginning that is computed before (empty:
// none).
struct Job {
  TokenIds beginning = {};
  std::vector<ReadText> texts = {};
};

// How many tokens all texts of a tree begin with. What predicts is a text's own.
int64_t num_kept(std::span<const ReadText> texts) {
  int64_t count = num_common(texts.front().read(), texts.back().read());
  for (const ReadText& text : texts) {
    count = std::min(count, std::ssize(text.ids) - text.num_scored - 1);
  }
  return count;
}

// A tree that does not fit into one pass is a job of its own, its texts without their beginning.
std::vector<Job> jobs_of(const std::vector<ReadText>& texts, int64_t batch_tokens) {
  std::vector<Job> jobs(1);
  for (const Tree& tree : trees_of(texts)) {
    const std::span<const ReadText> own(&texts[tree.begin], tree.end - tree.begin);
    const bool is_split = own.size() > 1 && tree.num_tokens > batch_tokens;
    const int64_t kept = is_split ? num_kept(own) : 0;
    if (kept < kShortestKept) {
      jobs.front().texts.insert(jobs.front().texts.end(), own.begin(), own.end());
      continue;
    }
    const auto count = static_cast<size_t>(kept);
    Job job{.beginning = own.front().ids.first(count), .texts = {own.begin(), own.end()}};
    for (ReadText& text : job.texts) text.ids = text.ids.subspan(count);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

// Deals texts out into packs. Trees are kept whole where they fit; the largest come first, so that
// memory is at its highest at once.
class Packing {
 public:
  using Pack = std::vector<const ReadText*>;

  // All texts stand behind `num_before` tokens.
  Packing(const std::vector<ReadText>& texts, int64_t num_before, int64_t batch_tokens)
      : num_before_(num_before), batch_tokens_(batch_tokens) {
    std::vector<Tree> trees = trees_of(texts);
    std::ranges::stable_sort(trees, std::greater(), &Tree::num_tokens);
    for (const Tree& tree : trees) {
      if (num_tokens_ + tree.num_tokens > batch_tokens_) close();
      for (size_t i = tree.begin; i < tree.end; ++i) add(texts[i]);
    }
    close();
  }

  const std::vector<Pack>& packs() const { return packs_; }

 private:
  void add(const ReadText& text) {
    const int64_t num_places = num_before_ + std::ssize(text.read());
    const bool is_full = num_tokens_ + num_added(text, last()) > batch_tokens_ ||
                         num_places_ + num_places > kPlacesPerToken * batch_tokens_;
    if (is_full) close();
    num_tokens_ += num_added(text, last());
    num_places_ += num_places;
    pack_.push_back(&text);
  }

  const ReadText* last() const { return pack_.empty() ? nullptr : pack_.back(); }

  void close() {
    if (!pack_.empty()) packs_.push_back(std::exchange(pack_, {}));
    num_tokens_ = 0;
    num_places_ = 0;
  }

  int64_t num_before_;
  int64_t batch_tokens_;
  std::vector<Pack> packs_;
  Pack pack_;
  int64_t num_tokens_ = 0;
  int64_t num_places_ = 0;
};

// The pack as plain numbers; the trees of its texts are its groups.
data::PackedBatch packed(const Packing::Pack& pack) {
  std::vector<data::PredictedSpan> spans;
  for (const ReadText* text : pack) {
    const auto length = std::ssize(text->ids);
    spans.push_back({.begin = length - text->num_scored, .end = length});
  }
  std::map<int64_t, int64_t> groups;
  std::vector<data::BatchText> texts;
  for (size_t i = 0; i < pack.size(); ++i) {
    const int64_t group = groups.try_emplace(pack[i]->tree, std::ssize(groups)).first->second;
    texts.push_back({.ids = pack[i]->ids, .group = group, .predicted = std::span(&spans[i], 1)});
  }
  data::PackedBatch batch = data::pack_sharing_prefixes(texts);
  const bool shares = batch.token_of_place.size() != batch.ids.size();
  if (!shares) batch.token_of_place.clear();
  return batch;
}

// A token that a request asks for, predicted by the row `row` among those that predict.
struct AskedToken {
  int64_t row = 0;
  TokenId token = 0;
  size_t request = 0;
};

// The rows [N] that predict, each once, and what is asked of them, in their order.
struct AskedRows {
  std::vector<int64_t> rows = {};
  std::vector<AskedToken> tokens = {};
};

AskedRows asked_rows(const Packing::Pack& pack, const data::PackedBatch& batch,
                     std::span<const EncodedRequest> requests) {
  AskedRows asked{.rows = batch.rows};
  std::ranges::sort(asked.rows);
  asked.rows.erase(std::unique(asked.rows.begin(), asked.rows.end()), asked.rows.end());
  const auto index_of = [&](int64_t row) {
    return std::ranges::lower_bound(asked.rows, row) - asked.rows.begin();
  };
  for (size_t i = 0; i < pack.size(); ++i) {
    const int64_t end = batch.texts[i].first + batch.texts[i].count;
    for (const size_t request : pack[i]->requests) {
      const EncodedRequest& one = requests[request];
      for (int64_t back = one.num_scored; back > 0; --back) {
        asked.tokens.push_back({.row = index_of(batch.rows[static_cast<size_t>(end - back)]),
                                .token = one.ids[one.ids.size() - static_cast<size_t>(back)],
                                .request = request});
      }
    }
  }
  std::ranges::stable_sort(asked.tokens, {}, &AskedToken::row);
  return asked;
}

torch::Tensor index_tensor(const std::vector<int64_t>& values, const torch::Device& device) {
  return at::tensor(values, at::kLong).to(device);
}

// Asks the rows [begin, begin + logits.size(0)): `tokens` are asked of them.
void score_rows(const torch::Tensor& logits, int64_t begin, std::span<const AskedToken> tokens,
                std::vector<RequestScore>& scores) {
  const auto wide = logits.to(at::kFloat);  // [n, V]
  const auto log_probs = at::log_softmax(wide, 1);
  const auto best = at::argmax(wide, 1).to(at::kCPU);  // [n], the first of equals
  std::vector<int64_t> places;
  for (const AskedToken& asked : tokens) {
    places.push_back((asked.row - begin) * wide.size(1) + asked.token);
  }
  const auto chosen = log_probs.flatten().index_select(0, index_tensor(places, wide.device()));
  const std::vector<double> values = nn::to_doubles(chosen);
  const int64_t* best_tokens = best.const_data_ptr<int64_t>();
  for (size_t i = 0; i < tokens.size(); ++i) {
    RequestScore& score = scores[tokens[i].request];
    score.log_likelihood += values[i];
    score.is_greedy = score.is_greedy && best_tokens[tokens[i].row - begin] == tokens[i].token;
    ++score.num_tokens;
  }
}

// The logits of rows [n, D]; half types get the rows that their products want.
torch::Tensor logits_of(nn::CausalLm& model, const torch::Tensor& hidden,
                        const nn::ForwardOptions& options) {
  const int64_t num_rows = hidden.size(0);
  const int64_t added = kernels::rounded_rows(num_rows, model.dtype(), model.device()) - num_rows;
  const auto rows = added > 0 ? at::constant_pad_nd(hidden, {0, 0, 0, added}) : hidden;
  return model.logits(rows, options).narrow(0, 0, num_rows);
}

using Kept = std::shared_ptr<const nn::KeptBeginning>;

Kept kept_beginning(nn::CausalLm& model, TokenIds ids, const nn::ForwardOptions& options) {
  if (ids.empty()) return nullptr;
  return model.keep_beginning(index_tensor({ids.begin(), ids.end()}, model.device()), options);
}

void score_pack(nn::CausalLm& model, const Packing::Pack& pack, const Kept& behind,
                std::span<const EncodedRequest> requests, const nn::ForwardOptions& options,
                std::vector<RequestScore>& scores) {
  const data::PackedBatch batch = packed(pack);
  const AskedRows asked = asked_rows(pack, batch, requests);
  const auto hidden = nn::predicting_states(model,
                                            {.ids = batch.ids,
                                             .cu_seqlens = batch.cu_seqlens,
                                             .rows = asked.rows,
                                             .targets = {},
                                             .token_of_place = batch.token_of_place,
                                             .behind = behind},
                                            options);  // [N, D]
  const int64_t piece = nn::rows_in_a_piece(model.shape());
  auto first = asked.tokens.begin();
  for (int64_t begin = 0; begin < hidden.size(0); begin += piece) {
    const int64_t count = std::min(piece, hidden.size(0) - begin);
    const auto last =
        std::ranges::lower_bound(first, asked.tokens.end(), begin + count, {}, &AskedToken::row);
    score_rows(logits_of(model, hidden.narrow(0, begin, count), options), begin,
               std::span(first, last), scores);
    first = last;
  }
}

}  // namespace

std::vector<RequestScore> score_requests(nn::CausalLm& model,
                                         std::span<const EncodedRequest> requests,
                                         std::span<const int64_t> trees,
                                         const ScoreRequestsOptions& options) {
  CPX_CHECK(requests.size() == trees.size(),
            "[score_requests] got {} trees for {} requests, expected one for each.", trees.size(),
            requests.size());
  const torch::NoGradGuard no_grad;
  const std::vector<ReadText> texts = read_texts(requests, trees);
  std::vector<RequestScore> scores(requests.size());
  int64_t num_done = 0;
  const nn::ForwardOptions forward{.is_by_row = options.is_by_row};
  for (const Job& job : jobs_of(texts, options.batch_tokens)) {
    const Kept behind = kept_beginning(model, job.beginning, forward);
    const Packing packing(job.texts, std::ssize(job.beginning), options.batch_tokens);
    for (const Packing::Pack& pack : packing.packs()) {
      score_pack(model, pack, behind, requests, forward, scores);
      for (const ReadText* text : pack) num_done += std::ssize(text->requests);
      if (options.on_progress && !options.on_progress(num_done)) return {};
    }
  }
  return scores;
}

int64_t num_computed_tokens(std::span<const EncodedRequest> requests,
                            std::span<const int64_t> trees) {
  const std::vector<ReadText> texts = read_texts(requests, trees);
  int64_t num_tokens = 0;
  for (const Tree& tree : trees_of(texts)) num_tokens += tree.num_tokens;
  return num_tokens;
}

}  // namespace cpx::evaluation
