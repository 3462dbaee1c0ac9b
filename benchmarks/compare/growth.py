# SPDX-License-Identifier: Apache-2.0
"""Growth: time and memory of cpx's step from a hundred to twenty thousand tokens. No peer takes part."""

from dataclasses import dataclass

from . import figures, inputs, page, rounds
from .sides import Side, cpx_train
from .themes import Plan

TEXTS = 3  # of each kind in a group: a hundred tokens
TOKENS_A_TEXT = 19  # of the demo's, about
MANY_TOKENS = 2500  # from here on a step takes long enough to be timed alone
LONG_TOKENS = 4096  # of a step with long texts
MAX_SLOPE = 4.5  # MiB a thousand tokens and layer


@dataclass(frozen=True)
class Size:
    """A size of step: a run that is timed and, where `profiled` is there, one that tells attention's share."""

    label: str
    timed: Side
    profiled: Side | None

    def sides(self):
        return [self.timed, self.profiled] if self.profiled else [self.timed]


def size(label, work, keys=(), has_profile=True, is_shown=False):
    profiled = None
    timed = cpx_train(f"{label}, {page.count(work.threads, 'thread')}", work, "full", keys, is_shown=is_shown)
    if has_profile:
        short = type(work)(**{**vars(work), "steps": 2})
        profiled = cpx_train(f"{timed.name}, profiled", short, "full", keys, profile=True, is_shown=is_shown)
    return Size(label, timed, profiled)


def group_sizes(setting):
    """More and more texts of usual length, on one thread and on all."""
    records = inputs.growth_records(setting.records, TEXTS, max(setting.growth_groups))
    inputs.write(records, setting.places, "growth.json", setting.root)
    sizes = []
    for threads in sorted({1, setting.threads}):
        for groups in setting.growth_groups:
            steps = 6 if groups * TEXTS * 2 * TOKENS_A_TEXT < MANY_TOKENS else 2
            work = setting.work(steps=steps, groups=groups, texts=TEXTS, threads=threads, shard="growth.json")
            is_all = threads == setting.threads
            is_first = is_all and groups == setting.growth_groups[0]
            sizes.append(size(page.count(groups, "group"), work, has_profile=is_all, is_shown=is_first))
    return sizes


def long_sizes(setting):
    """The same number of tokens in fewer and longer texts."""
    sizes = []
    for length in setting.long_lengths:
        groups = max(1, LONG_TOKENS // (2 * length))
        shard = f"long-{length}.json"
        records = inputs.long_records(setting.records, length, 2 * groups)
        inputs.write(records, setting.places, shard, setting.root)
        work = setting.work(steps=2, groups=groups, texts=1, shard=shard)
        keys = (f"data.max_tokens={length}",)
        is_first = length == setting.long_lengths[0]
        sizes.append(size(f"{2 * groups} texts of {length} tokens", work, keys, is_shown=is_first))
    return sizes


def tokens_of(measured, side):
    """Mean tokens of a step."""
    tokens = measured.rounds[0].runs[side.name].tokens
    return sum(tokens) / len(tokens)


def table(measured, heading, sizes):
    rows = []
    for item in sizes:
        tokens = tokens_of(measured, item.timed)
        speed = figures.median(rounds.of_side(measured, item.timed.name, "tokens_per_second"))
        peak = figures.median(rounds.of_side(measured, item.timed.name, "peak_mib"))
        share = item.profiled and rounds.of_side(measured, item.profiled.name, "attention_share")
        share_text = f"{100 * figures.median(share):.1f} %" if share else ""
        row = [item.label, str(item.timed.threads), f"{tokens:.0f}", f"{1000 * tokens / speed:.0f}", f"{speed:.1f}"]
        rows.append([*row, f"{peak:.0f}", share_text])
    header = ["step", "threads", "tokens", "ms a step", "tokens/s", "peak memory, MiB", "attention's share"]
    return page.Table(heading, header, rows)


def memory_goal(measured, sizes, threads, num_layers):
    points = [
        (tokens_of(measured, item.timed) / 1000, rounds.of_side(measured, item.timed.name, "peak_mib"))
        for item in sizes
        if item.timed.threads == threads
    ]
    points = [(tokens, figures.median(peaks)) for tokens, peaks in points]
    slope = figures.slope(points) / num_layers if len(points) > 1 else None
    what = f"slope of peak memory a thousand tokens and layer, {page.count(threads, 'thread')}"
    return rounds.Goal(what, MAX_SLOPE, slope, False, "MiB")


def growth(setting):
    by_groups, by_length = group_sizes(setting), long_sizes(setting)
    sides = [side for item in by_groups + by_length for side in item.sides()]
    counts = sorted({side.threads for side in sides})
    layers = setting.model["num_hidden_layers"]

    def goals(measured):
        return [memory_goal(measured, by_groups, threads, layers) for threads in counts]

    def tables(measured):
        first = table(measured, "More texts", by_groups)
        return [first, table(measured, "Longer texts", by_length)] if by_length else [first]

    about = (
        "cpx alone, contrastive perplexity, LoRA on q and v, `recompute: full`, one micro batch a step. The first "
        "step is not timed; from some 2,500 tokens on a run has one step besides. Attention's share is that of "
        "`--profile` in a run of its own. One round. The slope is that of the line of least squares."
    )
    facts = [("sizes", f"groups of {TEXTS} + {TEXTS} texts, a record again where the data has too few; long texts are "
              "short ones joined, and cut")]  # fmt: skip
    return Plan("Growth of time and memory", about, sides, goals, 1, tables, compared=None, facts=facts,
                has_results=False, has_rounds=False)  # fmt: skip
