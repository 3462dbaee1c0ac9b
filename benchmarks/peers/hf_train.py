# SPDX-License-Identifier: Apache-2.0
"""Contrastive perplexity with transformers and PEFT: the work of `cpx-train` with `shuffle: false`.

Prints a line a step (loss, contrast, tokens: real, with pads, through the head; seconds, CPU seconds of all threads), then the peak memory.
"""

import json
import time

import torch
from peft import PeftModel

import hf_common


def records_of(shards, count):
    """The records that have enough texts, in file order."""
    records = []
    for shard in shards:
        with open(shard, encoding="utf-8") as file:
            records += json.load(file)
    return [
        r for r in records if min(len(r["paraphrases"]), len(r["paraphrases_toxic"])) >= count
    ]


def texts_of(record, count, tokenizer):
    """Token ids of the first positives, then of the first hard negatives, each ended by EOS."""
    sides = [list(record["paraphrases"])[:count], list(record["paraphrases_toxic"])[:count]]
    texts = [text.replace("\\\\", "\\").replace("\\n", "\n") for side in sides for text in side]
    return [ids + [tokenizer.eos_token_id] for ids in tokenizer(texts).input_ids]


def token_nll(model, ids, mask, head):
    """NLL [B, L - 1] of the predicted tokens in float32, 0 where there is none."""
    if head == "all":
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return hf_common.token_nll(logits, ids, mask)
    valid = mask[:, 1:].bool()
    base = model.get_base_model()
    hidden = base.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    logits = base.lm_head(hidden[:, :-1][valid])
    loss = torch.nn.functional.cross_entropy(logits, ids[:, 1:][valid], reduction="none")
    return torch.zeros(valid.shape).masked_scatter(valid, loss)


def published_nll(model, texts, length, pad_id):
    """Mean NLL of each text under the published padding, a pad seeing itself alone."""
    ids, mask = hf_common.pad(texts, length, pad_id, left=True)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    sees = causal & mask[:, None, None, :].bool()  # [B, 1, L, L]
    sees = sees | torch.eye(length, dtype=torch.bool)
    allowed = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
    logits = model(input_ids=ids, attention_mask=allowed, use_cache=False).logits
    return hf_common.token_nll(logits, ids, torch.ones_like(ids)).double().mean(1)


def contrastive_perplexity(mean_nll, groups, count, alpha=100.0):
    """The published loss (beta = tau = 1) of means [G * 2 * count], and the loss minus its constant."""
    m = mean_nll.view(groups, 2 * count)
    center = m[:, :count].mean()
    scores = torch.exp(-(m - center).abs())
    is_negative = torch.arange(2 * count) >= count
    logits = scores + alpha * is_negative
    loss = -torch.log_softmax(logits, 1)[:, :count].sum(1).mean() / (count + 1)
    return loss, loss - alpha * count / (count + 1)


def main():
    parser = hf_common.parser(__doc__)
    parser.add_argument("--adapter", required=True, help="PEFT folder to start from")
    parser.add_argument("--shards", nargs="+", required=True)
    parser.add_argument("--groups", type=int, default=2)
    parser.add_argument("--texts", type=int, default=5, help="positives, and hard negatives, a group")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--padding", choices=["exclude", "published"], default="exclude")
    parser.add_argument("--head", choices=["all", "valid"], default="all")
    arguments = parser.parse_args()

    model, tokenizer = hf_common.load(arguments.model, arguments.threads)
    model = PeftModel.from_pretrained(model, arguments.adapter, is_trainable=True)
    model.eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.001, fused=True)
    records = records_of(arguments.shards, arguments.texts)

    for step in range(arguments.steps):
        start, cpu_start = time.perf_counter(), time.process_time()
        chosen = [records[(step * arguments.groups + g) % len(records)]
                  for g in range(arguments.groups)]  # fmt: skip
        texts = [text for r in chosen for text in texts_of(r, arguments.texts, tokenizer)]
        length = max(map(len, texts))
        if arguments.padding == "published":
            length = -(-length // 8) * 8
            mean_nll = published_nll(model, texts, length, tokenizer.eos_token_id)
        else:
            ids, mask = hf_common.pad(texts, length, tokenizer.eos_token_id)
            nll = token_nll(model, ids, mask, arguments.head).double()
            mean_nll = nll.sum(1) / mask[:, 1:].sum(1)
        loss, contrast = contrastive_perplexity(mean_nll, arguments.groups, arguments.texts)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.3)
        optimizer.step()
        hf_common.emit(
            step=step + 1,
            loss=loss.item(),
            contrast=contrast.item(),
            tokens=sum(map(len, texts)),
            padded_tokens=length * len(texts),
            head_tokens=length * len(texts) if arguments.head == "all" else sum(map(len, texts)) - len(texts),
            seconds=time.perf_counter() - start,
            cpu_seconds=time.process_time() - cpu_start,
        )
    hf_common.emit(peak_memory_mib=hf_common.peak_memory_mib())


if __name__ == "__main__":
    main()
