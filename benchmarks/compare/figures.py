# SPDX-License-Identifier: Apache-2.0
"""What is computed from what the tools print; no file is read and nothing is started here."""

import json
import re
import statistics
from dataclasses import dataclass

median = statistics.median


@dataclass(frozen=True)
class Step:
    """An optimizer step. `contrast` is the loss without its constant, `cpu_seconds` those of all threads.

    `padded_tokens`: what went through the layers, pads too, and `head_tokens` through the head. `pairs`: of preferences.
    """

    tokens: int
    seconds: float
    contrast: float
    cpu_seconds: float | None = None
    padded_tokens: int | None = None
    head_tokens: int | None = None
    pairs: int | None = None


def json_lines(text):
    """The objects of a text with one JSON object a line; other lines are left out."""
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"')]


def cpx_steps(metrics, num_pads=0, num_pairs=None):
    """Steps of a run folder's metrics.jsonl. `num_pads` of a step's tokens are not real ones; cpx computes no others.

    With `num_pairs` the losses are preferences', which are compared as they are.
    """
    lines = [line for line in json_lines(metrics) if "tokens_per_second" in line]
    return [
        Step(
            tokens=line["tokens"] - num_pads,
            seconds=line["tokens"] / line["tokens_per_second"],
            contrast=line["loss"] if num_pairs else line["contrast"],
            cpu_seconds=line.get("cpu_seconds"),
            padded_tokens=line["tokens"],
            head_tokens=line["tokens"],
            pairs=num_pairs,
        )
        for line in lines
    ]


def cpx_rollouts(metrics, size):
    """Tokens and seconds of all samplings of `size` responses but the first, of a run folder's metrics.jsonl."""
    lines = [line for line in json_lines(metrics) if "sampling_seconds" in line][1:]
    return round(sum(size * line["response_tokens"] for line in lines)), sum(line["sampling_seconds"] for line in lines)


def step_seconds(metrics):
    """Mean seconds of all steps of a run folder's metrics.jsonl but the first."""
    lines = [line for line in json_lines(metrics) if "tokens_per_second" in line][1:]
    return statistics.fmean(line["tokens"] / line["tokens_per_second"] for line in lines)


def hf_steps(output):
    """Steps that a peer printed, a line each."""
    names = Step.__dataclass_fields__
    lines = [line for line in json_lines(output) if "step" in line]
    return [Step(**{name: value for name, value in line.items() if name in names}) for line in lines]


def rate(steps, field="tokens", over="seconds"):
    """What all steps but the first, which warms up, did of `field` in one of `over`; nothing where it is not told."""
    pairs = [(getattr(step, field), getattr(step, over)) for step in steps[1:]]
    if not pairs or any(None in pair for pair in pairs):
        return None
    return sum(above for above, _ in pairs) / sum(below for _, below in pairs)


def largest_difference(values, others):
    """Largest |a - b|; infinite where the numbers of values differ or one is not a number."""
    if len(values) != len(others):
        return float("inf")
    differences = [abs(a - b) for a, b in zip(values, others)]
    return max(differences, default=0.0) if all(d == d for d in differences) else float("inf")


def layer_shapes(config):
    """(inputs, outputs) of a layer's products by name (a LLaMA's config.json)."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or hidden // heads
    queries, keys = heads * head_size, config.get("num_key_value_heads", heads) * head_size
    return {
        "q_proj": (hidden, queries), "k_proj": (hidden, keys), "v_proj": (hidden, keys), "o_proj": (queries, hidden),
        "gate_proj": (hidden, inner), "up_proj": (hidden, inner), "down_proj": (inner, hidden),
    }  # fmt: skip


def head_weights(config):
    return config["vocab_size"] * config["hidden_size"]


def matmul_weights(config):
    """Weights in matrix products: the head once, the embedding look-up not."""
    layer = sum(inputs * outputs for inputs, outputs in layer_shapes(config).values())
    return config["num_hidden_layers"] * layer + head_weights(config)


def lora_weights(config, adapter):
    """Values of an adapter (its adapter_config.json)."""
    shapes = layer_shapes(config)
    layer = sum(adapter["r"] * sum(shapes[name]) for name in adapter["target_modules"])
    return config["num_hidden_layers"] * layer


def slope(points):
    """Slope of the line of least squares through points (x, y)."""
    x_mean = statistics.fmean(x for x, _ in points)
    y_mean = statistics.fmean(y for _, y in points)
    variance = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / variance


def attention_share(table):
    """Attention's part of a step in [0, 1], from the table of cpx-train --profile."""
    row = re.compile(r"^(attention(?: backward)?) +\d+ +[\d.]+ +([\d.]+)%", re.MULTILINE)
    return sum(float(found[2]) for found in row.finditer(table)) / 100
