# SPDX-License-Identifier: Apache-2.0
"""The themes: what each measures, its sides, its goals."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import figures, inputs, page, rounds
from .sides import (
    CONFIG,
    NEW_TOKENS,
    PAIRS_FILE,
    PREFERENCE_CONFIG,
    PROMPTS_FILE,
    NUM_ROLLOUTS,
    RESPONSE_TOKENS,
    ROLLOUT_CONFIG,
    ROLLOUT_SIZE,
    Places,
    Work,
    cpx_generate,
    cpx_perplexity,
    cpx_preferences,
    cpx_ppo,
    cpx_prefill,
    cpx_rollout,
    cpx_train,
    hf_generate,
    hf_perplexity,
    hf_rollout,
    hf_train,
    llama_generate,
    ppo_rollout_alone,
    ppo_update_alone,
    trl_preferences,
)


@dataclass(frozen=True)
class Setting:
    """What the user chose, and what it holds. `records`: those that have enough texts."""

    root: str
    places: Places
    num_rounds: int
    steps: int
    groups: int
    texts: int
    threads: int
    pairs: int
    model: dict
    records: list
    growth_groups: tuple[int, ...]
    long_lengths: tuple[int, ...]
    sources: str = "build/study/sources"

    def work(self, **changes):
        defaults = {"steps": self.steps, "groups": self.groups, "texts": self.texts, "threads": self.threads}
        return Work(**{**defaults, **changes})

    @property
    def num_weights(self):
        return figures.matmul_weights(self.model)

    def lora_weights(self, adapter):
        path = Path(self.root) / self.places.inputs / adapter / "adapter_config.json"
        return figures.lora_weights(self.model, json.loads(path.read_text(encoding="utf-8")))


@dataclass
class Plan:
    """A theme in a setting. `goals` and `tables` are computed from the rounds."""

    title: str
    about: str
    sides: list
    goals: Callable
    rounds: int
    tables: Callable = lambda measured: []
    unit: str = "tokens_per_second"
    compared: str | None = "contrast"
    counted: str = "tokens"
    config: str = CONFIG
    warm_up: bool = False
    has_results: bool = True  # a table of all sides; not where they do different things
    has_rounds: bool = True
    has_values: bool = True  # a table of what must agree
    facts: list = field(default_factory=list)

    @property
    def rate(self):
        """What the results' table shows a second, also where the theme is about whole seconds."""
        return "tokens_per_second" if self.unit == "seconds" else self.unit


STEPS_NOTE = (
    "Tokens are real ones. The first step warms up and is not timed; time is that of all others, loading left out. "
    "`hf` is transformers with PEFT, `hf-valid` the same with the head on predicted positions only."
)


def goals_against(sides, measured, what, name, limit, at_least):
    """The goal on cpx's figure `name` over that of each side that cpx is compared with."""
    return [
        rounds.Goal(f"{what}, {side.against} / {side.name}", limit,
                    rounds.ratio(measured, side.against, side.name, name), at_least)
        for side in sides
        if side.against
    ]  # fmt: skip


def training_sides(work, name="cpx", **options):
    return [
        cpx_train(name, work, **options),
        hf_train("hf", work, against=name),
        hf_train("hf-valid", work, against=name, head="valid"),
    ]


MIN_SHARE = 80  # percent of the bound


def bound_flops(setting, adapter):
    """FLOPs that a token costs whoever trains: 4 a frozen weight, 6 an adapter's."""
    return 4 * setting.num_weights + 6 * setting.lora_weights(adapter)


def bound_goals(setting, adapter, sides, measured):
    """cpx's share of what the machine's matrix product allows; how far ahead of a peer that is, is the padding's affair."""
    share = rounds.peak_share(measured, sides[0], bound_flops(setting, adapter))
    what = "share of the bound, cpx: real tokens/s x (4N + 6 LoRA) over the peak"
    return [rounds.Goal(what, MIN_SHARE, share and 100 * share, True, "%")]


def peak_table(setting, sides, measured):
    """What each side makes of the machine, with and without what it spends on pads."""
    head = figures.head_weights(setting.model)
    body = setting.num_weights - head
    rows = []
    for side in sides:
        real = rounds.peak_share(measured, side, 4 * setting.num_weights)
        parts = [(body, "padded_per_second"), (head, "head_per_second")]
        shares = [rounds.peak_share(measured, side, 4 * weights, field) for weights, field in parts]
        computed = None if None in shares else sum(shares)
        padding = rounds.quotient(measured, [side.name], [side.name], ("padded_per_second", "tokens_per_second"))
        rows.append([
            side.name,
            page.number(rounds.median_of(measured, side.name, "tokens_per_second"), 1),
            page.number(rounds.median_of(measured, side.name, "padded_per_second"), 1),
            page.number(padding),
            *(page.number(share and 100 * share, 0) + " %" for share in (real, computed)),
        ])  # fmt: skip
    header = ["side", "real tokens/s", "tokens/s with pads", "with pads / real", "share, real tokens", "share, computed"]
    note = (
        "Share of the peak of each round: tokens/s x 4N over it (LoRA's own products, attention and the optimizer are left "
        "out). Computed: with the pads that go through the layers, and the positions that go through the head. Where both "
        "sides' computed shares are alike, what cpx saves is the padding."
    )
    return page.Table("Share of the machine's matrix product", header, rows, note)


def train_plan(setting, adapter, title):
    sides = training_sides(setting.work(adapter=adapter))

    def goals(measured):
        return [
            *bound_goals(setting, adapter, sides, measured),
            *goals_against(sides, measured, "peak memory", "peak_mib", 0.33, False),
        ]

    def tables(measured):
        return [peak_table(setting, sides, measured)]

    return Plan(title, "Contrastive perplexity. " + STEPS_NOTE, sides, goals, setting.num_rounds, tables)


def train_qv(setting):
    return train_plan(setting, "adapter-qv", "Training step: LoRA on q and v")


def train_all_linear(setting):
    return train_plan(setting, "adapter-all-linear", "Training step: LoRA on all linear layers")


def train_recompute(setting):
    sides = training_sides(setting.work(), name="cpx-recompute", recompute="full")

    def goals(measured):
        return goals_against(sides, measured, "peak memory", "peak_mib", 0.25, False)

    title = "Memory with `training.recompute=full`: LoRA on q and v"
    about = "cpx computes each layer again in the backward pass; the peers keep everything. " + STEPS_NOTE
    return Plan(title, about, sides, goals, setting.num_rounds)


def preferences(setting, sides, goals, title, more):
    """Training on pairs, with LoRA on all linear layers."""
    work = preference_work(setting)
    pairs = inputs.preference_pairs(setting.records, setting.pairs * setting.steps)
    inputs.write_text(pairs, setting.places, PAIRS_FILE, setting.root)
    about = (
        f"{setting.pairs} pairs in a step, LoRA of rank 64 on all linear layers, float32, no dropout. The unit is pairs a "
        "second: cpx computes a prompt once for both answers. Tokens are compared in that form: a prompt once a pair, of "
        "each answer all but the last. The first step warms up and is not timed; time is that of all others, loading left "
        f"out. {more}`trl-checkpointing` computes blocks twice, TRL's default, as `cpx-recompute` does."
    )
    return Plan(title, about, sides(work), goals, setting.num_rounds, unit="pairs_per_second", counted="pairs",
                config=PREFERENCE_CONFIG, warm_up=True)  # fmt: skip


RECOMPUTE = "training.recompute=full"


def recompute_memory(measured, peer):
    """The goal on memory where cpx computes the inside of blocks twice, which the peer does not."""
    return rounds.Goal(f"peak memory with recompute: full, cpx-recompute / {peer}", 0.15,
                       rounds.ratio(measured, "cpx-recompute", peer, "peak_mib"), False)  # fmt: skip


def preference_work(setting):
    return setting.work(adapter="adapter-fresh", groups=setting.pairs)


def dpo(setting):
    cache = f"objective.reference_cache={setting.places.scratch}/reference_nll.bin"

    def sides(work):
        return [
            cpx_preferences("cpx-cached", work, "dpo", [cache]),
            trl_preferences("trl-cached", work, "dpo", "cpx-cached", precompute=True),
            cpx_preferences("cpx", work, "dpo", ["objective.cache_reference=false"]),
            trl_preferences("trl", work, "dpo", "cpx"),
            cpx_preferences("cpx-recompute", work, "dpo", [cache, RECOMPUTE]),
            trl_preferences("trl-checkpointing", work, "dpo", "cpx-recompute", precompute=True, checkpointing=True),
        ]

    def goals(measured):
        made = sides(preference_work(setting))
        return [
            *goals_against(made[:2], measured, "pairs/s, reference cached", "pairs_per_second", 3.5, True),
            *goals_against(made[:2], measured, "peak memory, reference cached", "peak_mib", 0.15, False),
            recompute_memory(measured, "trl-cached"),
            *goals_against(made[2:4], measured, "pairs/s, reference computed", "pairs_per_second", 2.5, True),
        ]

    more = (
        "The reference that is cached: cpx's on disk, by a run that is not counted; TRL's `precompute_ref_log_probs`. "
    )
    return preferences(setting, sides, goals, "DPO beside TRL", more)


def simpo(setting):
    def sides(work):
        return [
            cpx_preferences("cpx", work, "simpo"),
            trl_preferences("trl", work, "simpo", "cpx"),
            cpx_preferences("cpx-recompute", work, "simpo", [RECOMPUTE]),
            trl_preferences("trl-checkpointing", work, "simpo", "cpx-recompute", checkpointing=True),
        ]

    def goals(measured):
        made = sides(preference_work(setting))[:2]
        return [
            *goals_against(made, measured, "pairs/s", "pairs_per_second", 3.5, True),
            *goals_against(made, measured, "peak memory", "peak_mib", 0.15, False),
            recompute_memory(measured, "trl"),
        ]

    more = (
        "TRL's CPOTrainer puts a BOS before every prompt where the tokenizer has one, which this model's tokenizer itself "
        "does not; the peer's tokenizer is without it, so that both sides train on the same tokens. "
    )
    return preferences(setting, sides, goals, "SimPO beside TRL", more)


def perplexity(setting):
    texts = inputs.short_texts(setting.records)
    inputs.write(texts, setting.places, "texts.json", setting.root)
    threads = setting.threads
    sides = [
        cpx_perplexity("cpx", threads),
        hf_perplexity("hf", threads, against="cpx"),
        hf_perplexity("hf-sorted", threads, against="cpx", is_sorted=True),
    ]

    def goals(measured):
        if rounds.of_side(measured, "cpx", "tokens_per_second"):
            speed = goals_against(sides, measured, "tokens/s", "tokens_per_second", 1.9, True)
        else:
            speed = [
                rounds.Goal(f"whole process, {side.name} / cpx", 1.9,
                            rounds.ratio(measured, side.name, "cpx", "seconds"), True)
                for side in sides[1:]
            ]  # fmt: skip
        return speed + goals_against(sides, measured, "peak memory", "peak_mib", 0.6, False)

    about = (
        "Texts by themselves, 16 at once in the peers; `hf-sorted` takes the longest first. Tokens/s: the evaluation "
        "alone with its tokenizing, as each side tells it (-: not told). The whole process: loading too."
    )
    facts = [("texts", f"{len(texts)} of the data's (a neutral and a toxic one of each record in turn), in "
              "`texts.json`, which compare.py writes")]  # fmt: skip
    title = "Perplexity of short texts"
    return Plan(title, about, sides, goals, setting.num_rounds, compared="perplexity", facts=facts)


def generate(setting):
    threads = setting.threads
    many = [cpx_generate("cpx-20", 20, threads), hf_generate("hf-20", 20, threads, against="cpx-20")]
    one = [cpx_generate("cpx-1", 1, threads), hf_generate("hf-1", 1, threads, against="cpx-1")]

    def goals(measured):
        speed = goals_against(many, measured, "new tokens/s, 20 samples", "tokens_per_second", 3.5, True)
        return speed + goals_against(one, measured, "new tokens/s, one sample", "tokens_per_second", 3.0, True)

    about = (
        f"{NEW_TOKENS} new tokens of each sample of one prompt, drawn from the model's own distribution, float32. "
        "Tokens are the new ones; time is that of the prompt and all steps, loading left out. That both sides write the "
        "same is shown by tests: greedy text is equal token by token, probabilities to 1e-6."
    )
    return Plan("Sampling from a prompt", about, many + one, goals, setting.num_rounds, compared=None)


def generate_quantised(setting):
    threads = setting.threads
    one = [cpx_generate("cpx-q4_1", 1, threads, "auto"), llama_generate("llama-q4_1", threads, "cpx-q4_1")]
    prefill = [cpx_prefill("cpx-prefill", threads), llama_generate("llama-prefill", threads, "cpx-prefill", True)]
    many = [
        cpx_generate("cpx-q4_1-20", 20, threads, "auto"),
        hf_generate("hf-20", 20, threads, against="cpx-q4_1-20"),
    ]
    others = [cpx_generate("cpx-q8_0", 1, threads, "q8_0"), cpx_generate("cpx-q8_0-20", 20, threads, "q8_0")]

    def goals(measured):
        return [
            *goals_against(one, measured, "new tokens/s, one text", "tokens_per_second", 1.0, True),
            *goals_against(prefill, measured, "prompt tokens/s", "tokens_per_second", 1.0, True),
            *goals_against(many, measured, "new tokens/s, 20 samples", "tokens_per_second", 5.0, True),
        ]

    about = (
        f"{NEW_TOKENS} new tokens of each sample of one prompt. `cpx-q4_1` and `llama-q4_1` (llama.cpp's wheel "
        "xllamacpp, built for AVX2) compute with the GGUF's blocks; `q8_0` are its weights in another form. cpx samples from the whole "
        "distribution, llama.cpp takes the likeliest token. Time of the new tokens includes the prompt; prefill is a "
        "prompt of some hundred tokens alone. `hf-20` is transformers in float32."
    )
    title = "Decoding with quantised weights"
    return Plan(title, about, one + prefill + many + others, goals, setting.num_rounds, compared=None)


def rollout(setting):
    prompts = inputs.rollout_prompts(setting.records, NUM_ROLLOUTS * ROLLOUT_SIZE)
    inputs.write_text(prompts, setting.places, PROMPTS_FILE, setting.root)
    sides = [cpx_rollout("cpx", setting.threads), hf_rollout("hf", setting.threads, against="cpx")]

    def goals(measured):
        return goals_against(sides, measured, "new tokens/s, 20 responses", "tokens_per_second", 3.0, True)

    about = (
        f"PPO's rollouts: {ROLLOUT_SIZE} prompts, {RESPONSE_TOKENS} new tokens of each, drawn from the "
        "model's own distribution in float32. Time is that of the sampling alone, the first batch left out. cpx samples "
        "with the adapter that it trains, rank 64 on q and v, beside the weights; `hf` is transformers' generate() on "
        "the bare model, its prompts padded on the left."
    )
    title = "Rollouts beside transformers"
    return Plan(title, about, sides, goals, setting.num_rounds, compared=None, config=ROLLOUT_CONFIG)


def ppo_step(setting):
    prompts = inputs.rollout_prompts(setting.records, NUM_ROLLOUTS * ROLLOUT_SIZE, times=2)
    inputs.write_text(prompts, setting.places, PROMPTS_FILE, setting.root)
    threads = setting.threads
    whole = cpx_ppo("ppo", threads)
    parts = [ppo_rollout_alone("rollout", threads), ppo_update_alone("update", threads)]

    def goals(measured):
        quotient = rounds.quotient(measured, [whole.name], [part.name for part in parts], "seconds")
        return [rounds.Goal("a step over the sum of its parts", 1.3, quotient, False)]

    def tables(measured):
        return [page.seconds_table(measured, [whole, *parts])]

    about = (
        f"A PPO step of {ROLLOUT_SIZE} responses of {RESPONSE_TOKENS} tokens, two after a prompt, one pass of updates: `ppo` is "
        "the mean of all steps but the first. Its parts by themselves, on the last rollout: `rollout` samples after the "
        "same prompts; `update` is a DPO step on the same texts, a pair a prompt, whose reference is computed in the step "
        "and whose prompts are not shared, so that as in PPO a frozen and a trained pass go over each text and the responses "
        "alone are predicted. The reward is a word list, which costs nothing. The step has more to do than its parts: it "
        "scores the texts under the policy too before it learns, with the value head, and their entropy. Seconds are those "
        "of the work, loading left out."
    )
    title = "A PPO step and its parts"
    return Plan(title, about, [whole, *parts], goals, setting.num_rounds, tables, unit="seconds", compared=None,
                config=ROLLOUT_CONFIG, has_results=False)  # fmt: skip


def start(setting):
    work = setting.work(steps=1)
    sides = [cpx_train("cpx", work), hf_train("hf", work, against="cpx")]

    def goals(measured):
        return goals_against(sides, measured, "process with one step", "seconds", 0.35, False)

    def tables(measured):
        rows = [
            [side.name, page.number(figures.median(rounds.of_side(measured, side.name, "first_step_seconds")))]
            for side in sides
        ]
        return [page.Table("Of this, the step", ["side", "s"], rows)]

    about = (
        "The whole process with `max_steps=1`, files in the page cache (one run of each side comes first and is not "
        "counted). In cpx's time: the start of the program, reading config, data and tokenizer, mapping the weights, "
        "measuring the peak that MFU refers to, one step, and writing the run folder (`final/`, metrics, "
        "TensorBoard). In the peer's: imports, loading, one step; it writes nothing."
    )
    title = "From the start of the process to the end of the first step"
    return Plan(title, about, sides, goals, setting.num_rounds, tables, unit="seconds", warm_up=True)


def published_padding(setting):
    work = setting.work(padding="published")
    sides = [cpx_train("cpx", work), hf_train("hf", work, against="cpx")]
    about = (
        "The published form, in which pads in front of a text count in its mean. The peer passes a 4-D mask in which "
        "a pad sees itself alone. One round: what matters is that the losses agree."
    )
    return Plan("Published padding", about, sides, lambda measured: [], rounds=1)


def threads_theme(setting):
    counts = sorted({1, setting.threads})
    sides = []
    for count in counts:
        work = setting.work(threads=count)
        sides += [cpx_train(f"cpx-{count}", work), hf_train(f"hf-{count}", work, against=f"cpx-{count}")]

    def tables(measured):
        least, most = counts[0], counts[-1]
        rows = []
        for name in ("cpx", "hf"):
            scaling = rounds.ratio(measured, f"{name}-{most}", f"{name}-{least}", "tokens_per_second")
            rows.append([name, page.number(scaling)])
        return [page.Table(f"Speed with {most} threads over {least}", ["side", "ratio"], rows)]

    about = "Contrastive perplexity, LoRA on q and v; the number of threads is part of a side's name. " + STEPS_NOTE
    return Plan("Threads", about, sides, lambda measured: [], setting.num_rounds, tables)
