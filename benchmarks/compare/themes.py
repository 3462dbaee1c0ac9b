# SPDX-License-Identifier: Apache-2.0
"""The themes: what each measures, its sides, its goals."""

from collections.abc import Callable
from dataclasses import dataclass, field

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
    ppo_reference_alone,
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
    model: dict
    records: list
    growth_groups: tuple[int, ...]
    long_lengths: tuple[int, ...]

    def work(self, **changes):
        defaults = {"steps": self.steps, "groups": self.groups, "texts": self.texts, "threads": self.threads}
        return Work(**{**defaults, **changes})

    @property
    def num_weights(self):
        return figures.matmul_weights(self.model)


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
    facts: list = field(default_factory=list)


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


def train_qv(setting):
    sides = training_sides(setting.work())

    def goals(measured):
        share = rounds.peak_share(measured, sides[0], setting.num_weights)
        return [
            *goals_against(sides, measured, "tokens/s", "tokens_per_second", 2.6, True),
            rounds.Goal("share of the matrix product's peak, cpx", 80, share and 100 * share, True, "%"),
            *goals_against(sides, measured, "peak memory", "peak_mib", 0.33, False),
        ]

    title = "Training step: LoRA on q and v"
    return Plan(title, "Contrastive perplexity. " + STEPS_NOTE, sides, goals, setting.num_rounds)


def train_all_linear(setting):
    sides = training_sides(setting.work(adapter="adapter-all-linear"))

    def goals(measured):
        return goals_against(sides, measured, "tokens/s", "tokens_per_second", 3.2, True)

    title = "Training step: LoRA on all linear layers"
    return Plan(title, "Contrastive perplexity. " + STEPS_NOTE, sides, goals, setting.num_rounds)


def train_recompute(setting):
    sides = training_sides(setting.work(), name="cpx-recompute", recompute="full")

    def goals(measured):
        return goals_against(sides, measured, "peak memory", "peak_mib", 0.25, False)

    title = "Memory with `training.recompute=full`: LoRA on q and v"
    about = "cpx computes each layer again in the backward pass; the peers keep everything. " + STEPS_NOTE
    return Plan(title, about, sides, goals, setting.num_rounds)


NUM_PAIRS = 8


def preferences(setting, sides, goals, title):
    """Training on pairs, with LoRA on all linear layers."""
    work = preference_work(setting)
    pairs = inputs.preference_pairs(setting.records, NUM_PAIRS * setting.steps)
    inputs.write_text(pairs, setting.places, PAIRS_FILE, setting.root)
    about = (
        f"{NUM_PAIRS} pairs in a step, LoRA of rank 64 on all linear layers, float32, no dropout. The unit is pairs a "
        "second: cpx computes a prompt once for both answers. The first step warms up and is not timed; time is that of "
        "all others, loading left out. The reference that is cached: cpx's on disk, by a run that is not counted; TRL's "
        "`precompute_ref_log_probs`."
    )
    return Plan(title, about, sides(work), goals, setting.num_rounds, counted="pairs", config=PREFERENCE_CONFIG,
                warm_up=True)  # fmt: skip


RECOMPUTE = "training.recompute=full"


def recompute_memory(measured, peer):
    """The goal on memory where cpx computes the inside of blocks twice, which the peer does not."""
    return rounds.Goal(f"peak memory with recompute: full, cpx-recompute / {peer}", 0.15,
                       rounds.ratio(measured, "cpx-recompute", peer, "peak_mib"), False)  # fmt: skip


def preference_work(setting):
    return setting.work(adapter="adapter-fresh", groups=NUM_PAIRS)


def dpo(setting):
    cache = f"objective.reference_cache={setting.places.scratch}/reference_nll.bin"

    def sides(work):
        return [
            cpx_preferences("cpx-cached", work, "dpo", [cache]),
            trl_preferences("trl-cached", work, "dpo", "cpx-cached", precompute=True),
            cpx_preferences("cpx", work, "dpo", ["objective.cache_reference=false"]),
            trl_preferences("trl", work, "dpo", "cpx"),
            cpx_preferences("cpx-recompute", work, "dpo", [cache, RECOMPUTE]),
        ]

    def goals(measured):
        made = sides(preference_work(setting))
        return [
            *goals_against(made[:2], measured, "pairs/s, reference cached", "tokens_per_second", 3.5, True),
            *goals_against(made[:2], measured, "peak memory, reference cached", "peak_mib", 0.15, False),
            recompute_memory(measured, "trl-cached"),
            *goals_against(made[2:4], measured, "pairs/s, reference computed", "tokens_per_second", 2.5, True),
        ]

    return preferences(setting, sides, goals, "DPO beside TRL")


def simpo(setting):
    def sides(work):
        return [
            cpx_preferences("cpx", work, "simpo"),
            trl_preferences("trl", work, "simpo", "cpx"),
            cpx_preferences("cpx-recompute", work, "simpo", [RECOMPUTE]),
        ]

    def goals(measured):
        made = sides(preference_work(setting))[:2]
        return [
            *goals_against(made, measured, "pairs/s", "tokens_per_second", 3.5, True),
            *goals_against(made, measured, "peak memory", "peak_mib", 0.15, False),
            recompute_memory(measured, "trl"),
        ]

    return preferences(setting, sides, goals, "SimPO beside TRL")


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
    prompts = inputs.rollout_prompts(setting.records, NUM_ROLLOUTS * ROLLOUT_SIZE)
    inputs.write_text(prompts, setting.places, PROMPTS_FILE, setting.root)
    threads = setting.threads
    whole = cpx_ppo("ppo", threads)
    parts = [
        ppo_rollout_alone("rollout", threads),
        ppo_reference_alone("reference", threads),
        ppo_update_alone("update", threads),
    ]

    def goals(measured):
        ratios = [r.runs["ppo"].seconds / sum(r.runs[part.name].seconds for part in parts) for r in measured]
        return [rounds.Goal("a step over the sum of its parts", 1.3, figures.median(ratios), False)]

    about = (
        f"A PPO step of {ROLLOUT_SIZE} responses of {RESPONSE_TOKENS} tokens, one pass of updates: `ppo` is the mean of all "
        "steps but the first. Its parts by themselves, on the texts of the last rollout: `rollout` samples after the same "
        "prompts, `reference` scores the texts under the frozen model, `update` is a step of supervised fine-tuning on "
        "them; the last two predict the prompts' tokens too, which PPO does not, a tenth more work for them. The reward is a "
        "word list, which costs nothing. The step has more to do than its parts: it scores the texts under the policy too, "
        "with the value head, and their entropy. Seconds are those of the work, loading left out."
    )
    title = "A PPO step and its parts"
    return Plan(title, about, [whole, *parts], goals, setting.num_rounds, unit="seconds", compared=None,
                config=ROLLOUT_CONFIG)  # fmt: skip


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
