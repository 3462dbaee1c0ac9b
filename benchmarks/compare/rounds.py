# SPDX-License-Identifier: Apache-2.0
"""Rounds: every side once in each, after the machine's peak; and what is read off them."""

import sys
from dataclasses import dataclass
from pathlib import Path

from . import figures, processes

# By what is compared: of a loss without its constant, and of a perplexity's logarithm, in which the peer's float32
# softmax over the vocabulary is off by 1e-5.
TOLERANCES = {"contrast": 1e-5, "perplexity": 5e-5}


@dataclass
class Round:
    """`gflops`: the machine's peak by number of threads; `runs`: by the side's name."""

    gflops: dict[int, float]
    runs: dict


@dataclass(frozen=True)
class Goal:
    """`measured` is nothing where a figure is missing."""

    what: str
    limit: float
    measured: float | None
    at_least: bool
    unit: str = "x"

    def verdict(self):
        if self.measured is None:
            return "not measured"
        return "met" if (self.measured >= self.limit) == self.at_least or self.measured == self.limit else "missed"


def measure_peak(places, threads, root):
    command = [places.python, "benchmarks/peers/matmul_peak.py", "--threads", str(threads)]
    return figures.json_lines(processes.run(command, root).stdout)[-1]["gflops"]


def run_side(side, places, root):
    with processes.busy(side.neighbours):
        finished = processes.run(side.command(places), root)
    return side.read(finished, Path(root) / places.scratch)


def tell(text):
    print(text, end="", file=sys.stderr, flush=True)


def run_rounds(name, plan, places, root):
    """All rounds, told on standard error; a round that is not counted comes first where the plan wants it."""
    try:
        for side in plan.sides if plan.warm_up else []:
            tell(f"{name}: {side.name} once, to warm up\n")
            run_side(side, places, root)
        return [run_round(f"{name}: round {i + 1} of {plan.rounds}", plan, places, root) for i in range(plan.rounds)]
    except BaseException:
        tell("\n")
        raise


def run_round(title, plan, places, root):
    threads = sorted({side.threads for side in plan.sides})
    gflops = {count: measure_peak(places, count, root) for count in threads}
    tell(f"{title}: peak {' and '.join(f'{value:.0f}' for value in gflops.values())} GFLOP/s")
    runs = {}
    for side in plan.sides:
        runs[side.name] = run_side(side, places, root)
        tell(f", {side.name} {progress_text(runs[side.name], plan)}")
    tell("\n")
    return Round(gflops, runs)


def progress_text(run, plan):
    speed = run.tokens_per_second if plan.unit == "tokens_per_second" else None
    return f"{run.seconds:.1f} s" if speed is None else f"{speed:.3g} {plan.counted}/s"


def of_side(rounds, name, field):
    """A figure of a side in every round; nothing where a round lacks it."""
    values = [getattr(r.runs[name], field) for r in rounds]
    return None if None in values else values


def ratio(rounds, name, other, field):
    """Median of the ratios within each round, since the machine's speed changes from round to round."""
    values, others = of_side(rounds, name, field), of_side(rounds, other, field)
    if values is None or others is None:
        return None
    return figures.median([a / b for a, b in zip(values, others)])


def peak_share(rounds, side, num_weights):
    """Median of the shares of each round's own peak."""
    speeds = of_side(rounds, side.name, "tokens_per_second")
    if speeds is None:
        return None
    peaks = [r.gflops[side.threads] for r in rounds]
    return figures.median([figures.share_of_peak(s, num_weights, p) for s, p in zip(speeds, peaks)])


def largest_differences(rounds, sides):
    """Of each side that is compared: name -> largest difference of its values in any round."""
    return {
        side.name: max(
            figures.largest_difference(r.runs[side.against].values, r.runs[side.name].values) for r in rounds
        )
        for side in sides
        if side.against
    }


def disagreements(rounds, sides, tolerance):
    """What forbids a comparison, a sentence each."""
    faults = []
    for side in (side for side in sides if side.against):
        if any(r.runs[side.against].tokens != r.runs[side.name].tokens for r in rounds):
            faults.append(f"{side.name} and {side.against} do not count the same tokens.")
    if tolerance is None:  # the sides' values are not of the same things
        return faults
    for name, difference in largest_differences(rounds, sides).items():
        if not difference <= tolerance:
            faults.append(f"{name} differs from cpx by {difference:.1e} (allowed: {tolerance:.0e}).")
    return faults
