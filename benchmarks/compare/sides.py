# SPDX-License-Identifier: Apache-2.0
"""The sides of a comparison: the command of each, and what is read from its run."""

import json
import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import figures, inputs, machine, processes

CONFIG = "benchmarks/configs/compare.yaml"
AVX2_BIN = "build/avx2/bin"


@dataclass(frozen=True)
class Places:
    """Where things lie, relative to the repository's root or absolute; shards are files or patterns."""

    shards: tuple[str, ...]
    bin: str = "build/release/bin"
    python: str = "build/peers/bin/python"
    inputs: str = "build/benchmark/inputs"
    scratch: str = "build/benchmark/scratch"
    gguf: str = "models/SmolLM2-135M-Instruct.Q4_1.gguf"
    llama_python: str = "build/peers-llama/bin/python"
    preload: str | None = None  # the allocator of the peers
    is_held_to_avx2: bool = False  # both sides do without AVX-512


@dataclass(frozen=True)
class Work:
    """The training steps that a side does. `shard`: a file of the scratch folder in place of the data."""

    adapter: str = "adapter-qv"
    steps: int = 6
    groups: int = 2
    texts: int = 5
    threads: int = 2
    padding: str = "exclude"
    shard: str | None = None

    def shards(self, places):
        return [f"{places.scratch}/{self.shard}"] if self.shard else list(places.shards)


@dataclass
class Run:
    """What a side's run gave. `values` must agree between sides; `tokens_per_second` leaves loading out."""

    seconds: float
    peak_mib: float
    tokens_per_second: float | None = None
    tokens_per_cpu_second: float | None = None
    padded_per_second: float | None = None  # tokens with pads
    head_per_second: float | None = None  # tokens that the head computed
    pairs_per_second: float | None = None
    documents_per_second: float | None = None  # or prompts
    tokens: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    first_step_seconds: float | None = None
    attention_share: float = 0.0


@dataclass(frozen=True)
class Side:
    """A contestant. `against` names the side that it is compared with; cpx's own sides have none."""

    name: str
    command: Callable[[Places], list[str]]
    read: Callable[[processes.Finished, Path], Run]
    threads: int
    against: str | None = None
    is_shown: bool = True
    is_peer: bool = False  # another program than cpx, which brings its allocator along
    neighbours: processes.Neighbours = processes.QUIET


def shown(side, patterns, used=Places(shards=())):
    """The command as a user types it in the repository's root; patterns are left to the shell."""
    ours = {"bin": AVX2_BIN} if used.is_held_to_avx2 else {}
    words = [*(f"{key}={value}" for key, value in environment_of(side, used).items()),
             *side.command(Places(shards=tuple(patterns), **ours))]  # fmt: skip
    return " ".join(word if word in patterns else shlex.quote(word) for word in words)


def environment_of(side, places):
    """What a side is started with: a peer with cpx's allocator and its settings, both held to AVX2 where asked for."""
    if not (side.is_peer and places.preload):
        return units_of(places)
    return {**units_of(places), "LD_PRELOAD": places.preload, "MALLOC_CONF": machine.MALLOC_CONF}


def units_of(places):
    """Settings for LibTorch and its libraries: which units they may use."""
    return dict(machine.AVX2_ONLY) if places.is_held_to_avx2 else {}


# ---- Training ---------------------------------------------------------------------------------------


def cpx_train(name, work, recompute="none", keys=(), profile=False, is_shown=True):
    """cpx-train; `keys` are more overrides."""

    def command(places):
        return [
            f"{places.bin}/cpx-train", "--config", CONFIG, "--threads", str(work.threads), "--overwrite",
            *(["--profile", f"{places.scratch}/trace.json"] if profile else []),
            f"model.path={places.inputs}/model", f"adapter.init_from={places.inputs}/{work.adapter}",
            f"data.train=[{', '.join(work.shards(places))}]", f"training.output={places.scratch}/run",
            f"training.max_steps={work.steps}", f"training.groups={work.groups}",
            f"training.recompute={recompute}", f"objective.num_positives={work.texts}",
            f"objective.num_hard_negatives={work.texts}", f"objective.padding={work.padding}", *keys,
        ]  # fmt: skip

    def read(finished, scratch_folder):
        # Under the published padding cpx computes one pad, which stands for all.
        num_pads = 1 if work.padding == "published" else 0
        steps = figures.cpx_steps((scratch_folder / "run/metrics.jsonl").read_text(encoding="utf-8"), num_pads)
        return training_run(finished, steps, figures.attention_share(finished.stdout))

    return Side(name, command, read, work.threads, is_shown=is_shown)


def hf_train(name, work, against, head="all"):
    """hf_train.py; `head` says on which positions."""

    def command(places):
        return [
            places.python, "benchmarks/peers/hf_train.py", "--threads", str(work.threads),
            "--model", f"{places.inputs}/model", "--adapter", f"{places.inputs}/{work.adapter}",
            "--shards", *work.shards(places), "--steps", str(work.steps), "--groups", str(work.groups),
            "--texts", str(work.texts), "--padding", work.padding, "--head", head,
        ]  # fmt: skip

    def read(finished, _):
        return training_run(finished, figures.hf_steps(finished.stdout))

    return Side(name, command, read, work.threads, against, is_peer=True)


# ---- Preferences ------------------------------------------------------------------------------------

PREFERENCE_CONFIG = "benchmarks/configs/compare_preferences.yaml"
PAIRS_FILE = "pairs.jsonl"


def cpx_preferences(name, work, objective, keys=()):
    """cpx-train on the scratch folder's pairs."""

    def command(places):
        return [
            f"{places.bin}/cpx-train", "--config", PREFERENCE_CONFIG, "--threads", str(work.threads), "--overwrite",
            f"model.path={places.inputs}/model", f"adapter.init_from={places.inputs}/adapter-fresh",
            f"data.train=[{places.scratch}/{PAIRS_FILE}]", f"training.output={places.scratch}/run",
            f"training.max_steps={work.steps}", f"training.groups={work.groups}", f"objective.name={objective}", *keys,
        ]  # fmt: skip

    def read(finished, scratch_folder):
        metrics = (scratch_folder / "run/metrics.jsonl").read_text(encoding="utf-8")
        return training_run(finished, figures.cpx_steps(metrics, num_pairs=work.groups))

    return Side(name, command, read, work.threads)


def trl_preferences(name, work, objective, against, precompute=False, checkpointing=False):
    """trl_preferences.py on the same pairs."""

    def command(places):
        return [
            places.python, "benchmarks/peers/trl_preferences.py", "--threads", str(work.threads),
            "--model", f"{places.inputs}/model", "--adapter", f"{places.inputs}/adapter-fresh",
            "--data", f"{places.scratch}/{PAIRS_FILE}", "--loss", objective, "--steps", str(work.steps),
            "--pairs", str(work.groups), *(["--precompute"] if precompute else []),
            *(["--checkpointing"] if checkpointing else []),
        ]  # fmt: skip

    def read(finished, _):
        return training_run(finished, figures.hf_steps(finished.stdout))

    return Side(name, command, read, work.threads, against, is_peer=True)


def training_run(finished, steps, attention_share=0.0):
    if not steps:
        raise processes.BenchmarkError("a training run told of no step.")
    return Run(
        seconds=finished.seconds,
        peak_mib=finished.peak_mib,
        tokens_per_second=figures.rate(steps),
        tokens_per_cpu_second=figures.rate(steps, over="cpu_seconds"),
        padded_per_second=figures.rate(steps, "padded_tokens"),
        head_per_second=figures.rate(steps, "head_tokens"),
        pairs_per_second=figures.rate(steps, "pairs"),
        tokens=[step.tokens for step in steps],
        values=[step.contrast for step in steps],
        first_step_seconds=steps[0].seconds,
        attention_share=attention_share,
    )


# ---- Perplexity -------------------------------------------------------------------------------------


def cpx_perplexity(name, threads, texts="texts.json"):
    """cpx-eval-ppl on a list of texts in the scratch folder."""

    def command(places):
        return [
            f"{places.bin}/cpx-eval-ppl", "--model", f"{places.inputs}/model", "--dtype", "float32",
            "--neutral", f"{places.scratch}/{texts}", "--threads", str(threads),
            "--report", f"{places.scratch}/report.json",
        ]  # fmt: skip

    def read(finished, scratch_folder):
        report = json.loads((scratch_folder / "report.json").read_text(encoding="utf-8"))
        return perplexity_run(finished, report["sides"]["neutral"], report.get("seconds"))

    return Side(name, command, read, threads)


def hf_perplexity(name, threads, against, is_sorted=False):
    """hf_perplexity.py on the same texts, 16 at once."""

    def command(places):
        return [
            places.python, "benchmarks/peers/hf_perplexity.py", "--model", f"{places.inputs}/model",
            "--texts", f"{places.scratch}/texts.json", "--threads", str(threads), "--batch", "16",
            *(["--sorted"] if is_sorted else []),
        ]  # fmt: skip

    def read(finished, _):
        report = figures.json_lines(finished.stdout)[-1]
        return perplexity_run(finished, report, report["seconds"])

    return Side(name, command, read, threads, against, is_peer=True)


def perplexity_run(finished, report, seconds):
    """`seconds`: those of the evaluation alone, where they are known. Values are mean NLLs, one number."""
    return Run(
        seconds=finished.seconds,
        peak_mib=finished.peak_mib,
        tokens_per_second=report["tokens"] / seconds if seconds else None,
        tokens=[report["tokens"]],
        values=[math.log(report["perplexity"])],
    )


# ---- Generation -------------------------------------------------------------------------------------

PROMPT = (
    "Your moving boxes are still standing in the hallway. Could you please take them in tonight? The hall has to stay "
    "clear, and it would help all of us if"
)
NEW_TOKENS = 64


# A long prompt, for prefill; both sides count its tokens.
LONG_PROMPT = PROMPT * 12


def cpx_generate(name, samples, threads, weights="float32", against=None):
    """cpx-generate: samples of one prompt, all of the same length; `weights` of the GGUF, or the float32 folder."""

    def command(places):
        source = (
            ["--model", f"{places.inputs}/model", "--dtype", "float32"]
            if weights == "float32"
            else ["--model", places.gguf, "--weights", weights]
        )
        return [
            f"{places.bin}/cpx-generate", *source, "--threads", str(threads), "--template", "plain", "--prompt", PROMPT,
            "--samples", str(samples), "--temperature", "1", "--top-p", "1", "--min-new-tokens", str(NEW_TOKENS),
            "--max-new-tokens", str(NEW_TOKENS), "--output", f"{places.scratch}/texts.jsonl", "--overwrite",
        ]  # fmt: skip

    def read(finished, _):
        told = told_by_cpx_generate(finished)
        return generation_run(finished, int(told[3]), float(told[5]), samples)

    return Side(name, command, read, threads, against)


def cpx_prefill(name, threads):
    """cpx-generate on the quantised GGUF: a long prompt, two new tokens."""

    def command(places):
        return [
            f"{places.bin}/cpx-generate", "--model", places.gguf, "--weights", "auto", "--threads", str(threads),
            "--template", "plain", "--prompt", LONG_PROMPT, "--samples", "1", "--temperature", "0",
            "--max-new-tokens", "2", "--output", f"{places.scratch}/texts.jsonl", "--overwrite",
        ]  # fmt: skip

    def read(finished, _):
        told = told_by_cpx_generate(finished)
        return Run(finished.seconds, finished.peak_mib, int(told[1]) / float(told[2]), tokens=[int(told[1])])

    return Side(name, command, read, threads)


def told_by_cpx_generate(finished):
    told = re.search(
        r"(\d+) prompt tokens in ([\d.]+) s, with (\d+) new tokens in ([\d.]+) s: ([\d.]+) new tokens a second",
        finished.stderr,
    )
    if not told:
        raise processes.BenchmarkError("cpx-generate did not tell its speed.")
    return told


ROLLOUT_CONFIG = "benchmarks/configs/compare_rollout.yaml"
PROMPTS_FILE = "prompts.jsonl"
ROLLOUT_SIZE = 20
NUM_ROLLOUTS = 3
RESPONSE_TOKENS = 30


def cpx_rollout(name, threads):
    """cpx-train with PPO on the scratch folder's prompts: the samplings of all rollouts but the first."""

    def command(places):
        return [
            f"{places.bin}/cpx-train", "--config", ROLLOUT_CONFIG, "--threads", str(threads), "--overwrite",
            f"model.path={places.inputs}/model", f"data.train=[{places.scratch}/{PROMPTS_FILE}]",
            f"rollout.batch_size={ROLLOUT_SIZE}", f"training.max_steps={NUM_ROLLOUTS}",
            f"rollout.min_new_tokens={RESPONSE_TOKENS}", f"rollout.max_new_tokens={RESPONSE_TOKENS}",
            f"training.output={places.scratch}/run",
        ]  # fmt: skip

    def read(finished, scratch_folder):
        metrics = (scratch_folder / "run/metrics.jsonl").read_text(encoding="utf-8")
        return rollout_run(finished, *figures.cpx_rollouts(metrics, ROLLOUT_SIZE))

    return Side(name, command, read, threads)


def hf_rollout(name, threads, against):
    """hf_generate.py on the same prompts, in the same batches."""

    def command(places):
        return [
            places.python, "benchmarks/peers/hf_generate.py", "--model", f"{places.inputs}/model",
            "--threads", str(threads), "--prompts", f"{places.scratch}/{PROMPTS_FILE}", "--samples", str(ROLLOUT_SIZE),
            "--new-tokens", str(RESPONSE_TOKENS),
        ]  # fmt: skip

    def read(finished, _):
        report = figures.json_lines(finished.stdout)[-1]
        return rollout_run(finished, report["tokens"], report["seconds"])

    return Side(name, command, read, threads, against, is_peer=True)


# ---- A whole PPO step and its parts -----------------------------------------------------------------

UPDATE_CONFIG = "benchmarks/configs/compare_update.yaml"
ROLLOUT_INPUTS = "rollout_inputs.json"
ROLLOUT_PAIRS = "rollout_pairs.jsonl"


def cpx_ppo(name, threads):
    """cpx-train with PPO: seconds of a step, rollout included; leaves the last rollout's prompts and pairs for the parts."""
    own = cpx_rollout(name, threads)

    def command(places):
        return [*own.command(places), f"adapter.init_from={places.inputs}/adapter-qv"]

    def read(finished, scratch_folder):
        lines = (scratch_folder / "run/samples.jsonl").read_text(encoding="utf-8").splitlines()[-ROLLOUT_SIZE:]
        samples = [json.loads(line) for line in lines]
        prompts = json.dumps([sample["prompt"] for sample in samples])
        (scratch_folder / ROLLOUT_INPUTS).write_text(prompts, encoding="utf-8")
        (scratch_folder / ROLLOUT_PAIRS).write_text(inputs.pairs_of_samples(samples), encoding="utf-8")
        metrics = (scratch_folder / "run/metrics.jsonl").read_text(encoding="utf-8")
        return Run(figures.step_seconds(metrics), finished.peak_mib)

    return Side(name, command, read, threads)


def ppo_rollout_alone(name, threads):
    """cpx-generate on the rollout's prompts."""

    def command(places):
        return [
            f"{places.bin}/cpx-generate", "--model", f"{places.inputs}/model", "--dtype", "float32", "--adapter",
            f"{places.inputs}/adapter-qv", "--threads", str(threads), "--template", "plain",
            "--input", f"{places.scratch}/{ROLLOUT_INPUTS}", "--samples", "1", "--batch", str(ROLLOUT_SIZE),
            "--temperature", "1", "--top-p", "1", "--min-new-tokens", str(RESPONSE_TOKENS),
            "--max-new-tokens", str(RESPONSE_TOKENS), "--output", f"{places.scratch}/texts.jsonl", "--overwrite",
        ]  # fmt: skip

    def read(finished, _):
        return Run(float(told_by_cpx_generate(finished)[4]), finished.peak_mib)

    return Side(name, command, read, threads)


def ppo_update_alone(name, threads):
    """cpx-train with DPO on the rollout's texts, two after a prompt: the reference's pass over them, forward, backward
    and optimizer, each text computed whole and its response alone predicted, as PPO does it."""

    def command(places):
        return [
            f"{places.bin}/cpx-train", "--config", UPDATE_CONFIG, "--threads", str(threads), "--overwrite",
            f"model.path={places.inputs}/model", f"adapter.init_from={places.inputs}/adapter-qv",
            f"data.train=[{places.scratch}/{ROLLOUT_PAIRS}]", f"training.accumulate={ROLLOUT_SIZE // 4}",
            f"training.max_steps={NUM_ROLLOUTS}", f"training.output={places.scratch}/run",
        ]  # fmt: skip

    def read(finished, scratch_folder):
        metrics = (scratch_folder / "run/metrics.jsonl").read_text(encoding="utf-8")
        return Run(figures.step_seconds(metrics), finished.peak_mib)

    return Side(name, command, read, threads)


def rollout_run(finished, tokens, seconds):
    expected = (NUM_ROLLOUTS - 1) * ROLLOUT_SIZE * RESPONSE_TOKENS
    if tokens != expected:
        raise processes.BenchmarkError(f"{tokens} new tokens, expected {expected}.")
    return Run(finished.seconds, finished.peak_mib, tokens_per_second=tokens / seconds, tokens=[tokens])


def llama_generate(name, threads, against, is_prefill=False):
    """llama_generate.py on the same GGUF: one text, or the long prompt alone."""

    def command(places):
        prompt, new_tokens = (LONG_PROMPT, 2) if is_prefill else (PROMPT, NEW_TOKENS)
        return [
            places.llama_python, "benchmarks/peers/llama_generate.py", "--model", places.gguf, "--threads", str(threads),
            "--prompt", prompt, "--new-tokens", str(new_tokens),
        ]  # fmt: skip

    def read(finished, _):
        report = figures.json_lines(finished.stdout)[-1]
        tokens = report["prompt_tokens"] if is_prefill else report["tokens"]
        if not is_prefill:
            return generation_run(finished, tokens, tokens / report["seconds"], 1)
        return Run(finished.seconds, finished.peak_mib, tokens / report["prompt_seconds"], tokens=[tokens])

    return Side(name, command, read, threads, against, is_peer=True)


def hf_generate(name, samples, threads, against):
    """hf_generate.py, the same."""

    def command(places):
        return [
            places.python, "benchmarks/peers/hf_generate.py", "--model", f"{places.inputs}/model",
            "--threads", str(threads), "--prompt", PROMPT, "--samples", str(samples),
            "--new-tokens", str(NEW_TOKENS),
        ]  # fmt: skip

    def read(finished, _):
        report = figures.json_lines(finished.stdout)[-1]
        return generation_run(finished, report["tokens"], report["tokens"] / report["seconds"], samples)

    return Side(name, command, read, threads, against, is_peer=True)


def generation_run(finished, tokens, tokens_per_second, samples):
    if tokens != samples * NEW_TOKENS:
        raise processes.BenchmarkError(f"{tokens} new tokens, expected {samples * NEW_TOKENS}.")
    return Run(finished.seconds, finished.peak_mib, tokens_per_second=tokens_per_second, tokens=[tokens])
