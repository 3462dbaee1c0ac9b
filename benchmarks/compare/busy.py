# SPDX-License-Identifier: Apache-2.0
"""A training step on a machine that others use too."""

import dataclasses

from . import machine, page, rounds
from .processes import QUIET, Neighbours
from .sides import cpx_train, hf_train
from .themes import Plan

MIN_SHARE_OF_QUIET = 0.8
FULL = "a busy process a core"
FIGURES = (("tokens/s", "tokens_per_second"), ("tokens a CPU-second", "tokens_per_cpu_second"))


def conditions(cores):
    """What else the machine does, by name."""
    return {
        "quiet": QUIET,
        FULL: Neighbours(processes=cores),
        "one busy process": Neighbours(processes=1),
        "a low-priority process": Neighbours(processes=1, threads=cores, nice=19),
    }


def name_in(side, condition):
    return f"{side}, {condition}"


def sides_in(condition, neighbours, setting):
    """cpx with all threads and with one, and the peer with all, under one condition."""
    all_threads = setting.work()
    cpx = name_in("cpx", condition)
    made = [
        cpx_train(cpx, all_threads),
        cpx_train(name_in("cpx-1", condition), setting.work(threads=1)),
        hf_train(name_in("hf", condition), all_threads, against=cpx),
    ]
    return [dataclasses.replace(side, neighbours=neighbours, is_shown=condition == "quiet") for side in made]


def goals(measured):
    of_quiet = rounds.ratio(measured, name_in("cpx", FULL), name_in("cpx", "quiet"), "tokens_per_cpu_second")
    of_one_thread = rounds.ratio(measured, name_in("cpx", FULL), name_in("cpx-1", FULL), "tokens_per_second")
    return [
        rounds.Goal(f"tokens a CPU-second of cpx, {FULL} / quiet", MIN_SHARE_OF_QUIET, of_quiet, True),
        rounds.Goal(f"tokens/s, {FULL}, cpx / cpx-1", 1.0, of_one_thread, True),
    ]


def table(measured, names, what, field):
    """A figure of each side under each condition, and its ratio to the same side's quiet one."""
    rows = []
    for condition in names:
        row = [condition]
        for side in ("cpx", "cpx-1", "hf"):
            values = rounds.of_side(measured, name_in(side, condition), field)
            of_quiet = rounds.ratio(measured, name_in(side, condition), name_in(side, "quiet"), field)
            row += [page.number(rounds.median_of(measured, name_in(side, condition), field), 1), page.spread(values), page.number(of_quiet)]
        rows.append(row)
    header = ["", *(text for side in ("cpx", "cpx-1", "hf") for text in (f"{side}, {what}", "lowest to highest", "of quiet"))]
    return page.Table(f"{what[0].upper()}{what[1:]}", header, rows)


def busy(setting):
    cores = machine.num_cores()
    named = conditions(cores)
    sides = [side for name, neighbours in named.items() for side in sides_in(name, neighbours, setting)]

    def tables(measured):
        return [table(measured, named, what, field) for what, field in FIGURES]

    about = (
        f"Contrastive perplexity, LoRA on q and v. Beside a side run, as long as it runs: nothing (`quiet`); {cores} "
        f"processes of one thread that compute all the time, at its own priority (`{FULL}`); one of them (`one busy "
        f"process`); a process of {cores} such threads at nice 19 (`a low-priority process`). The neighbours stay in the "
        "cache: they take time, not memory's bandwidth. `cpx-1` is cpx with one thread, `hf` is transformers with PEFT. "
        "CPU-seconds are those of all of a side's threads, user and system, so tokens a CPU-second say what is wasted in "
        "waiting. The peak is measured on the quiet machine. Tokens are real ones; the first step warms up and is not "
        "counted, loading neither."
    )
    facts = [("neighbours", "`python3 benchmarks/compare/spin.py --threads N --nice N`: SHA-256 of 16 KiB, again and again")]
    return Plan("A training step on a busy machine", about, sides, goals, setting.num_rounds, tables, facts=facts)
