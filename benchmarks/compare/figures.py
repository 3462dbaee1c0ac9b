# SPDX-License-Identifier: Apache-2.0
"""What is computed from what the tools print; no file is read and nothing is started here."""

import json
import re
import statistics
from dataclasses import dataclass

median = statistics.median


@dataclass(frozen=True)
class Step:
    """An optimizer step. `contrast` is the loss without its constant, `cpu_seconds` those of all threads."""

    tokens: int
    seconds: float
    contrast: float
    cpu_seconds: float | None = None


def json_lines(text):
    """The objects of a text with one JSON object a line; other lines are left out."""
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"')]


def cpx_steps(metrics, num_pads=0):
    """Steps of a run folder's metrics.jsonl. `num_pads` of a step's tokens are not real ones."""
    lines = [line for line in json_lines(metrics) if "tokens_per_second" in line]
    return [
        Step(line["tokens"] - num_pads, line["tokens"] / line["tokens_per_second"], line["contrast"],
             line.get("cpu_seconds"))
        for line in lines
    ]  # fmt: skip


def cpx_pair_steps(metrics, num_pairs):
    """The same of preferences: a step counts its pairs, and its loss is compared as it is."""
    lines = [line for line in json_lines(metrics) if "tokens_per_second" in line]
    return [Step(num_pairs, line["tokens"] / line["tokens_per_second"], line["loss"]) for line in lines]


def cpx_rollouts(metrics, size):
    """Tokens and seconds of all samplings of `size` responses but the first, of a run folder's metrics.jsonl."""
    lines = [line for line in json_lines(metrics) if "sampling_seconds" in line][1:]
    return round(sum(size * line["response_tokens"] for line in lines)), sum(line["sampling_seconds"] for line in lines)


def step_seconds(metrics):
    """Mean seconds of all steps of a run folder's metrics.jsonl but the first."""
    lines = [line for line in json_lines(metrics) if "tokens_per_second" in line][1:]
    return statistics.fmean(line["tokens"] / line["tokens_per_second"] for line in lines)


def hf_steps(output):
    """Steps that hf_train.py printed."""
    lines = [line for line in json_lines(output) if "step" in line]
    return [Step(line["tokens"], line["seconds"], line["contrast"], line.get("cpu_seconds")) for line in lines]


def speed(steps):
    """Tokens a second of all steps but the first, which warms up; nothing where there is no other one."""
    timed = steps[1:]
    return sum(s.tokens for s in timed) / sum(s.seconds for s in timed) if timed else None


def tokens_a_cpu_second(steps):
    """The same steps' tokens over what all threads computed; nothing where a side does not tell it."""
    timed = steps[1:]
    if not timed or any(s.cpu_seconds is None for s in timed):
        return None
    return sum(s.tokens for s in timed) / sum(s.cpu_seconds for s in timed)


def largest_difference(values, others):
    """Largest |a - b|; infinite where the numbers of values differ or one is not a number."""
    if len(values) != len(others):
        return float("inf")
    differences = [abs(a - b) for a, b in zip(values, others)]
    return max(differences, default=0.0) if all(d == d for d in differences) else float("inf")


def matmul_weights(config):
    """Weights in matrix products: the head once, the embedding look-up not (a LLaMA's config.json)."""
    hidden = config["hidden_size"]
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or hidden // heads
    queries = heads * head_size
    keys = config.get("num_key_value_heads", heads) * head_size
    layer = hidden * (2 * queries + 2 * keys) + 3 * hidden * config["intermediate_size"]
    return config["num_hidden_layers"] * layer + config["vocab_size"] * hidden


def share_of_peak(tokens_per_second, num_weights, gflops):
    """Of the peak, by 4N: forward, and backward to the activations (frozen weights get no gradient)."""
    return tokens_per_second * 4 * num_weights / (gflops * 1e9)


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
