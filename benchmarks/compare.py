#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures cpx against the peers on the same work, in turns, and writes a page for each theme.

Needs the release build, the peers' Python (benchmarks/peers/README.md) and the SmolLM2 GGUF. Python's standard
library alone. Exit 1: a program failed, or the sides' losses do not agree.
"""

import argparse
import datetime
import json
import os
import signal
import sys
from pathlib import Path

from compare import busy, evaluation, growth, inputs, machine, page, processes, rounds, sides, themes

ROOT = Path(__file__).resolve().parents[1]
DATA = ["data/demo/train/*.json", "data/demo/heldout/*.json"]
GROWTH_GROUPS = [1, 5, 20, 50, 190]
LONG_LENGTHS = [256, 512, 1024, 2048]
GGUF = "models/SmolLM2-135M-Instruct.Q4_1.gguf"
THEMES = {
    "train-qv": themes.train_qv,
    "train-all-linear": themes.train_all_linear,
    "train-recompute": themes.train_recompute,
    "dpo": themes.dpo,
    "simpo": themes.simpo,
    "perplexity": themes.perplexity,
    "generate": themes.generate,
    "rollout": themes.rollout,
    "ppo-step": themes.ppo_step,
    "generate-quantised": themes.generate_quantised,
    "start": themes.start,
    "threads": themes.threads_theme,
    "busy": busy.busy,
    "published-padding": themes.published_padding,
    "growth": growth.growth,
    "choice": evaluation.choice,
    "toxicity": evaluation.toxicity,
}
NOT_IN_ALL = ("choice", "toxicity")  # they need data that are no part of cpx


def parse_arguments():
    defaults = sides.Places(shards=())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("theme", nargs="+", choices=[*THEMES, "all"], metavar="THEME",
                        help=f"{', '.join(THEMES)}, or all but {' and '.join(NOT_IN_ALL)}: all")  # fmt: skip
    add = parser.add_argument
    add("--rounds", type=positive, default=5, help="rounds of each theme but published-padding and growth (5)")
    add("--steps", type=positive, default=6, help="training steps of a run, the first of them not timed (6)")
    add("--groups", type=positive, default=2, help="groups in a training step (2)")
    add("--texts", type=positive, default=5, help="neutral, and toxic, texts of a group (5)")
    add("--pairs", type=positive, default=8, help="pairs in a step of dpo and simpo (8)")
    add("--threads", type=positive, default=machine.num_cores(), help="threads of both sides (all cores)")
    add("--data", nargs="+", default=DATA, help="contrast shards, seen from the repository's root (the demo's)")
    add("--growth-groups", nargs="+", type=positive, default=GROWTH_GROUPS, help="sizes of growth, in groups")
    add("--long-lengths", nargs="*", type=positive, default=LONG_LENGTHS, help="lengths of its long texts")
    add("--bin", default=defaults.bin, help="folder of cpx-train and cpx-eval-ppl")
    add("--python", default=defaults.python, help="the peers' Python")
    add("--held-to-avx2", action="store_true",
        help="both sides do without AVX-512, as on a machine that has none; needs the preset avx2")  # fmt: skip
    add("--preload", default="auto", help="allocator of the peers: a library, none, or auto (jemalloc, as cpx has it)")
    add("--llama-python", default=defaults.llama_python, help="the Python that has xllamacpp")
    add("--inputs", default=defaults.inputs, help="exported model and adapters; made if missing")
    add("--sources", default="build/study/sources", help="data and classifiers of choice and toxicity (README.md)")
    add("--gguf", default=GGUF, help="what they are made of")
    add("--scratch", default=defaults.scratch, help="run folders and texts")
    add("--results", default="benchmarks/results", help="folder of the pages")
    add("--label", default="", help="part of the pages' names after the theme, for instance that of the data")
    add("--hardware", help="hardware in the pages' names (of /proc/cpuinfo: epyc2-avx512)")
    add("--note", default="", help="a sentence for the pages, for instance on the state of the machine")
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("--steps: got 1, expected 2 or more: the first one is not timed.")
    return arguments


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {value}, expected 1 or more")
    return value


def place(given, default):
    """A path of the command line as programs see it that run in the root. Links stay: a venv's Python is one."""
    if given == default:
        return given
    path = os.path.abspath(given)
    return os.path.relpath(path, ROOT) if path.startswith(f"{ROOT}/") else path


def make_setting(arguments):
    names = ("bin", "python", "inputs", "scratch", "llama_python")
    defaults = sides.Places(shards=())
    found = {name: place(getattr(arguments, name), getattr(defaults, name)) for name in names}
    shards = inputs.expand(arguments.data, ROOT)
    gguf = place(arguments.gguf, GGUF)
    if arguments.held_to_avx2 and found["bin"] == defaults.bin:
        found["bin"] = sides.AVX2_BIN
    places = sides.Places(shards=tuple(shards), gguf=gguf, preload=preload(arguments.preload),
                          is_held_to_avx2=arguments.held_to_avx2, **found)  # fmt: skip
    records = inputs.read_records(shards, ROOT, arguments.texts)
    if arguments.steps * arguments.groups > len(records):
        raise processes.BenchmarkError(
            f"--steps {arguments.steps} x --groups {arguments.groups}: got {len(records)} records with "
            f"{arguments.texts} + {arguments.texts} texts, expected as many: a record is taken once."
        )
    check_programs(places)
    inputs.export(places, gguf, ROOT)
    return themes.Setting(
        root=str(ROOT),
        places=places,
        num_rounds=arguments.rounds,
        steps=arguments.steps,
        groups=arguments.groups,
        texts=arguments.texts,
        threads=arguments.threads,
        pairs=arguments.pairs,
        model=json.loads((ROOT / places.inputs / "model/config.json").read_text(encoding="utf-8")),
        records=records,
        growth_groups=tuple(arguments.growth_groups),
        long_lengths=tuple(arguments.long_lengths),
        sources=place(arguments.sources, "build/study/sources"),
    )


def preload(given):
    """The allocator's library, or nothing where the user wants the system's."""
    if given == "none":
        return None
    found = machine.find_jemalloc() if given == "auto" else given
    if found is None:
        raise processes.BenchmarkError(
            "--preload auto: no libjemalloc, which cpx's tools have in them: the peers would be slower for want of it. "
            "Install libjemalloc2, or give --preload none, which the pages then tell."
        )
    return found


def check_programs(places):
    preset = "avx2" if places.is_held_to_avx2 else "release"
    hints = {
        f"{places.bin}/cpx-train": f"Build the preset {preset}.",
        f"{places.bin}/cpx-eval-ppl": f"Build the preset {preset}.",
        places.python: "See benchmarks/peers/README.md.",
    }
    for program, hint in hints.items():
        if not os.access(ROOT / program, os.X_OK):
            raise processes.BenchmarkError(f"{program}: no such program. {hint}")


def own_command(name, arguments):
    """How to run this theme again; where programs and inputs lie is left out."""
    options = {"rounds": 5, "steps": 6, "groups": 2, "texts": 5, "pairs": 8, "threads": machine.num_cores()}
    words = ["python3 benchmarks/compare.py", name]
    words += [f"--{key} {getattr(arguments, key)}" for key in options if getattr(arguments, key) != options[key]]
    for key, default in (("data", DATA), ("growth_groups", GROWTH_GROUPS), ("long_lengths", LONG_LENGTHS)):
        given = getattr(arguments, key)
        if given != default:
            words.append(f"--{key.replace('_', '-')} {' '.join(map(repr, given))}")
    words += ["--held-to-avx2"] if arguments.held_to_avx2 else []
    words += [f"--label {arguments.label}"] if arguments.label else []
    return " ".join(words)


def facts(arguments, setting, plan):
    """What was measured on what, pairs."""
    places = setting.places
    millions = setting.num_weights / 1e6
    rounds_text = f"{plan.rounds}, in turns; before each the peak: the best product [480, 4096] x [4096, 4096] of two seconds"
    model = f"{Path(arguments.gguf).name} as a float32 Hugging Face folder: {setting.model['num_hidden_layers']} layers"
    pairs = [
        ("machine", machine.description(places.is_held_to_avx2)),
        ("date", datetime.date.today().isoformat()),
        ("cpx", machine.cpx_version(f"{places.bin}/cpx-train", ROOT)),
        ("peers", machine.peer_versions(places.python, ROOT)),
        ("allocator", machine.allocator(places.preload, ROOT / f"{places.bin}/cpx-train")),
        ("model", f"{model}, N = {millions:.1f} M weights in matrix products (head once, look-up not)"),
        ("data", f"{' '.join(f'`{p}`' for p in arguments.data)}: {len(setting.records)} records"),
        *plan.facts,
        ("config", f"`{plan.config}`; both sides float32, the same start, no dropout"),
        ("rounds", rounds_text),
        (page.SOURCES, machine.sources(ROOT)),
    ]
    return [*pairs, ("note", arguments.note)] if arguments.note else pairs


def tables_of(plan, measured):
    goals = [] if measured.faults else plan.goals(measured)
    tables = [page.goals_table(goals)] if goals else []
    if plan.has_results:
        tables.append(page.results_table(measured, plan.sides, plan.rate, plan.counted))
    tables += plan.tables(measured)
    if plan.has_rounds:
        tables.append(page.rounds_table(measured, plan.sides, plan.unit, plan.counted))
    if plan.compared and plan.has_values:
        tolerance = rounds.TOLERANCES[plan.compared]
        tables.append(page.values_table(measured, plan.sides, plan.compared, tolerance))
    return tables


def labelled(name, label):
    return f"{name}-{label}" if label else name


def run_theme(name, arguments, setting):
    """Measures a theme, writes its page, and tells whether the sides agree."""
    plan = THEMES[name](setting)
    pairs = facts(arguments, setting, plan)
    measured = rounds.run_rounds(name, plan, setting.places, ROOT)
    faults = measured.faults
    tables = tables_of(plan, measured)
    commands = [("all of it", own_command(name, arguments))]
    commands += [(side.name, sides.shown(side, arguments.data, setting.places)) for side in plan.sides if side.is_shown]
    text = page.render(f"{name}: {plan.title}", plan.about, pairs, tables, commands, faults)
    hardware = arguments.hardware or machine.page_hardware(arguments.held_to_avx2)
    path = Path(place(arguments.results, "benchmarks/results")) / f"{labelled(name, arguments.label)}_{hardware}_{datetime.date.today()}.md"
    page.write(text, ROOT / path)
    print(*page.warning(faults), *map(page.section, tables), f"written: {path}\n", sep="\n\n", flush=True)
    return not faults


def stop(*_):
    raise KeyboardInterrupt


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, stop)
    names = [n for n in THEMES if n not in NOT_IN_ALL] if "all" in arguments.theme else arguments.theme
    try:
        setting = make_setting(arguments)
        agreed = [run_theme(name, arguments, setting) for name in names]
    except processes.BenchmarkError as error:
        sys.exit(f"compare.py: {error}")
    except KeyboardInterrupt:
        sys.exit("compare.py: interrupted: no page was written for this theme.")
    if not all(agreed):
        sys.exit("compare.py: the sides do not agree; the pages say so.")


if __name__ == "__main__":
    main()
