# SPDX-License-Identifier: Apache-2.0
"""What the transformers peers share."""

import argparse
import json
import resource

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def parser(text):
    """A parser with the arguments of every peer."""
    result = argparse.ArgumentParser(description=text)
    result.add_argument("--model", required=True, help="Hugging Face folder")
    result.add_argument("--threads", type=int, default=2)
    return result


def emit(**fields):
    print(json.dumps(fields), flush=True)


def peak_memory_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load(folder, threads):
    """The float32 model and its tokenizer."""
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    )
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def sampled(model, tokenizer, encoded, samples, new_tokens, top_p=1.0):
    """`samples` continuations of each encoded prompt, ids [prompts x samples, new_tokens]; none ends early."""
    with torch.inference_mode():
        output = model.generate(
            **encoded,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=top_p,
            num_return_sequences=samples,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            pad_token_id=tokenizer.eos_token_id,
        )
    return output[:, encoded.input_ids.shape[1] :]


def pad(texts, length, pad_id, left=False):
    """Ids [B, length] and the mask of real tokens."""
    ids = torch.full((len(texts), length), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        place = slice(length - len(text), length) if left else slice(0, len(text))
        ids[row, place] = torch.tensor(text)
        mask[row, place] = 1
    return ids, mask


def token_nll(logits, ids, mask):
    """NLL [B, L - 1] of the predicted tokens in float32, 0 where there is none.

    The targets are shifted, not the logits, which so are not copied; the softmax is over the last dimension
    (over another one it takes twice the time and sums with an error of 1e-4).
    """
    targets = torch.full_like(ids, -100)
    targets[:, :-1] = ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return loss.view(ids.shape)[:, :-1]
