// SPDX-License-Identifier: Apache-2.0
// A document of a choice task, as it is asked, and how a model scored it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cpx::evaluation {

/// A text whose log-likelihood is asked for, behind another text.
struct ChoiceRequest {
  std::string context;       // without description and examples; may be empty
  std::string continuation;  // with the delimiter in front
};

/// A document: one request for each choice. A text of which every token is scored (rolling
/// perplexity) is a document of one request without a context.
struct ChoiceDocument {
  std::vector<ChoiceRequest> requests = {};
  std::string preamble = {};          // description and examples, in front of every context
  std::vector<int64_t> lengths = {};  // code points of each choice, without its delimiter
  std::optional<int64_t> gold = {};   // the right choice
  std::vector<bool> is_true = {};     // of each choice, where several may be right
  int64_t num_words = 0;              // of the original text, for rolling perplexity
  int64_t num_bytes = 0;
  std::string subject = {};  // of MMLU
  int64_t number = 0;        // in its task, or in its subject, from 0
  std::string record = {};   // its record of the file, to know the same document again
  std::string place = {};    // "[file.jsonl: document 3, line 3]"
};

/// The score of one request.
struct RequestScore {
  double log_likelihood = 0.0;  // natural log, sum over the tokens of the continuation
  bool is_greedy = true;        // each of these tokens is the most probable one
  int64_t num_tokens = 0;
};

}  // namespace cpx::evaluation
