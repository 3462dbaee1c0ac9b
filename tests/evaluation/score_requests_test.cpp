// SPDX-License-Identifier: Apache-2.0
#include "cpx/evaluation/score_requests.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cpx/nn/kept_beginning.h"

namespace cpx::evaluation {
namespace score_requests_test {

using tokenizer::TokenId;
using Ids = std::vector<TokenId>;

constexpr int64_t kVocabulary = 8;

// The state behind some tokens: a number that depends on all of them and on their order.
int64_t state_behind(std::span<const TokenId> ids) {
  int64_t state = 1;
  for (const TokenId id : ids) state = (state * 31 + id + 1) % 101;
  return state;
}

double logit(int64_t state, int64_t token) {
  return std::cos(static_cast<double>(state * (token + 1)));
}

// A model whose scores can be computed by hand: a token's hidden state is state_behind() all that
// it sees.
class StateModel : public nn::CausalLm {
 public:
  std::shared_ptr<const nn::KeptBeginning> keep_beginning(const torch::Tensor& ids,
                                                          const nn::ForwardOptions&) override {
    num_kept.push_back(ids.size(0));
    const int64_t* first = ids.const_data_ptr<int64_t>();
    kept_ids_.assign(first, first + ids.size(0));
    kept_ = std::make_shared<nn::KeptBeginning>(ids.size(0), 1);
    return kept_;
  }
  torch::Tensor hidden_states(const nn::PackedTokens& tokens, const nn::ForwardOptions&) override {
    num_tokens.push_back(tokens.ids.size(0));
    auto hidden = at::zeros({tokens.ids.size(0), 1}, at::kFloat);
    const int64_t* ids = tokens.ids.const_data_ptr<int64_t>();
    for (size_t text = 0; text + 1 < tokens.cu_seqlens.size(); ++text) {
      Ids seen = tokens.behind == nullptr ? Ids() : kept_ids_;
      EXPECT_TRUE(tokens.behind == nullptr || tokens.behind == kept_);
      for (int32_t place = tokens.cu_seqlens[text]; place < tokens.cu_seqlens[text + 1]; ++place) {
        const int64_t token = tokens.token_of_place.empty() ? place : tokens.token_of_place[place];
        seen.push_back(static_cast<TokenId>(ids[token]));
        hidden[token][0] = static_cast<double>(state_behind(seen));
      }
    }
    return hidden;
  }
  torch::Tensor logits(const torch::Tensor& hidden, const nn::ForwardOptions&) override {
    num_rows += hidden.size(0);
    auto all = at::empty({hidden.size(0), kVocabulary}, at::kFloat);
    for (int64_t row = 0; row < hidden.size(0); ++row) {
      const auto state = std::lround(hidden[row][0].item<float>());
      for (int64_t token = 0; token < kVocabulary; ++token) all[row][token] = logit(state, token);
    }
    return all;
  }
  torch::Tensor token_nll(const torch::Tensor&, const torch::Tensor&,
                          const nn::ForwardOptions&) override {
    return {};
  }
  std::vector<nn::NamedParameter> trainable() const override { return {}; }
  const nn::ModelShape& shape() const override { return shape_; }
  torch::Device device() const override { return torch::kCPU; }
  torch::Dtype dtype() const override { return torch::kFloat32; }

  std::vector<int64_t> num_tokens;  // of each pass
  std::vector<int64_t> num_kept;    // of each beginning
  int64_t num_rows = 0;             // that went through the head

 private:
  std::shared_ptr<nn::KeptBeginning> kept_;
  Ids kept_ids_;
  nn::ModelShape shape_{.vocabulary_size = kVocabulary};
};

// By the definition, one token after the other.
RequestScore score_by_hand(const EncodedRequest& request) {
  RequestScore score;
  const auto length = request.ids.size();
  for (size_t at = length - static_cast<size_t>(request.num_scored); at < length; ++at) {
    const int64_t state = state_behind(std::span(request.ids).first(at));
    double sum = 0.0;
    int64_t best = 0;
    for (int64_t token = 0; token < kVocabulary; ++token) {
      sum += std::exp(logit(state, token));
      if (logit(state, token) > logit(state, best)) best = token;
    }
    score.log_likelihood += logit(state, request.ids[at]) - std::log(sum);
    score.is_greedy = score.is_greedy && best == request.ids[at];
    ++score.num_tokens;
  }
  return score;
}

void expect_equal(const std::vector<RequestScore>& scores,
                  const std::vector<EncodedRequest>& requests) {
  ASSERT_EQ(scores.size(), requests.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    const RequestScore expected = score_by_hand(requests[i]);
    EXPECT_NEAR(scores[i].log_likelihood, expected.log_likelihood, 1e-5) << i;
    EXPECT_EQ(scores[i].is_greedy, expected.is_greedy) << i;
    EXPECT_EQ(scores[i].num_tokens, expected.num_tokens) << i;
  }
}

EncodedRequest request(Ids ids, int64_t num_scored) {
  return {.ids = std::move(ids), .num_scored = num_scored};
}

// Three documents: choices of several tokens, of one token, and one that shares nothing.
std::vector<EncodedRequest> some_requests() {
  return {request({1, 2, 3, 4, 5}, 2), request({1, 2, 3, 6}, 1),      request({1, 2, 3, 4, 7}, 2),
          request({2, 2, 5, 1}, 1),    request({2, 2, 5, 2}, 1),      request({2, 2, 5, 3}, 1),
          request({7, 1}, 1),          request({5, 4, 3, 2, 1, 0}, 4)};
}

std::vector<int64_t> some_trees() { return {0, 0, 0, 1, 1, 1, 2, 2}; }

TEST(ScoreRequests, ScoresAreThoseOfEachRequestAlone) {
  StateModel model;
  const auto requests = some_requests();
  expect_equal(score_requests(model, requests, some_trees(), {}), requests);
}

TEST(ScoreRequests, GreedyIsTheMostProbableToken) {
  StateModel model;
  std::vector<EncodedRequest> requests;
  for (TokenId token = 0; token < kVocabulary; ++token) {
    requests.push_back(request({3, 1, token}, 1));
  }
  const std::vector<int64_t> trees(requests.size(), 0);
  const auto scores = score_requests(model, requests, trees, {});
  expect_equal(scores, requests);
  EXPECT_EQ(std::ranges::count(scores, true, &RequestScore::is_greedy), 1);
}

TEST(ScoreRequests, AContextIsComputedOnceForItsChoices) {
  StateModel model;
  const auto requests = some_requests();
  score_requests(model, requests, some_trees(), {});
  // 1 2 3 4; 2 2 5; 7; 5 4 3 2 1: the last token of a text is never read.
  EXPECT_EQ(model.num_tokens, (std::vector<int64_t>{13}));
  EXPECT_EQ(num_computed_tokens(requests, some_trees()), 13);
}

// Twelve documents behind 70 tokens; one of them has nothing else to read.
TEST(ScoreRequests, ABeginningIsComputedOnceForATreeThatNoPassHolds) {
  Ids beginning;
  for (int i = 0; i < 70; ++i) beginning.push_back(static_cast<TokenId>(i % 7));
  std::vector<EncodedRequest> requests;
  for (TokenId document = 0; document < 12; ++document) {
    Ids ids = beginning;
    ids.insert(ids.end(), {static_cast<TokenId>(document % 8), 3,
                           static_cast<TokenId>(document / 8), static_cast<TokenId>(document % 5)});
    requests.push_back(request(std::move(ids), 1 + document % 3));
  }
  requests.push_back(request({7, 7, 2}, 2));
  std::vector<int64_t> trees(requests.size(), 0);
  trees.back() = 1;
  StateModel model;
  expect_equal(score_requests(model, requests, trees, {.batch_tokens = 12}), requests);
  EXPECT_EQ(model.num_kept, (std::vector<int64_t>{70}));
  for (const int64_t count : model.num_tokens) EXPECT_LE(count, 12);
  // What predicts is computed with its text, even where the beginning would reach further.
  for (EncodedRequest& one : requests) {
    one.num_scored = std::min<int64_t>(5, std::ssize(one.ids) - 1);
  }
  StateModel another;
  expect_equal(score_requests(another, requests, trees, {.batch_tokens = 12}), requests);
  EXPECT_EQ(another.num_kept, (std::vector<int64_t>{68}));
}

TEST(ScoreRequests, OneTokenAnswersShareOneRowOfTheHead) {
  StateModel model;
  const std::vector<EncodedRequest> letters = {request({2, 2, 5, 1}, 1), request({2, 2, 5, 2}, 1),
                                               request({2, 2, 5, 3}, 1), request({2, 2, 5, 4}, 1)};
  expect_equal(score_requests(model, letters, std::vector<int64_t>(4, 0), {}), letters);
  EXPECT_EQ(model.num_tokens, (std::vector<int64_t>{3}));
  EXPECT_EQ(model.num_rows, 1);
}

TEST(ScoreRequests, DocumentsOfATreeShareTheirBeginning) {
  StateModel model;
  const std::vector<EncodedRequest> requests = {request({1, 2, 3, 4, 5}, 1),
                                                request({1, 2, 3, 6, 7}, 1)};
  expect_equal(score_requests(model, requests, std::vector<int64_t>{4, 4}, {}), requests);
  EXPECT_EQ(model.num_tokens, (std::vector<int64_t>{5}));
  StateModel apart;
  expect_equal(score_requests(apart, requests, std::vector<int64_t>{4, 5}, {}), requests);
  EXPECT_EQ(apart.num_tokens, (std::vector<int64_t>{8}));
}

TEST(ScoreRequests, PacksKeepToTheLimitAndChangeNoScore) {
  const auto requests = some_requests();
  for (const int64_t limit : {1, 3, 5, 8, 12}) {
    StateModel model;
    expect_equal(score_requests(model, requests, some_trees(), {.batch_tokens = limit}), requests);
    for (const int64_t num_tokens : model.num_tokens) {
      EXPECT_LE(num_tokens, std::max<int64_t>(limit, 5));  // the longest text
    }
  }
}

TEST(ScoreRequests, AContinuationThatBeginsEarlierSharesItsTextToo) {
  StateModel model;
  const std::vector<EncodedRequest> requests = {request({1, 2, 3, 4}, 1), request({1, 2, 3, 5}, 3)};
  expect_equal(score_requests(model, requests, std::vector<int64_t>{0, 0}, {}), requests);
  EXPECT_EQ(model.num_tokens, (std::vector<int64_t>{3}));
}

TEST(ScoreRequests, StopsWhereProgressSaysSo) {
  StateModel model;
  const auto requests = some_requests();
  int64_t last = 0;
  const auto scores = score_requests(model, requests, some_trees(),
                                     {.batch_tokens = 5, .on_progress = [&](int64_t done) {
                                        last = done;
                                        return false;
                                      }});
  EXPECT_TRUE(scores.empty());
  EXPECT_EQ(model.num_tokens.size(), 1);
  EXPECT_GT(last, 0);
}

TEST(ScoreRequests, EveryRequestNeedsATree) {
  StateModel model;
  const auto requests = some_requests();
  EXPECT_THROW(score_requests(model, requests, std::vector<int64_t>{0}, {}), std::invalid_argument);
}

}  // namespace score_requests_test
}  // namespace cpx::evaluation
