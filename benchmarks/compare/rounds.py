# SPDX-License-Identifier: Apache-2.0
"""Rounds: every side once in each, after the machine's peak; and what is read off them."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import figures, processes
from .sides import environment_of, units_of

# By what is compared: of a loss without its constant, and of a perplexity's logarithm, in which the peer's float32
# softmax over the vocabulary is off by 1e-5. A log-likelihood is a sum over the tokens of an answer.
TOLERANCES = {"contrast": 1e-5, "perplexity": 5e-5, "log_likelihood": 1e-3}


@dataclass
class Round:
    """`gflops`: the machine's peak by number of threads; `runs`: by the side's name."""

    gflops: dict[int, float]
    runs: dict


@dataclass
class Measured:
    """All rounds of a theme. `faults`: why the sides must not be compared; there are no ratios then."""

    rounds: list[Round]
    faults: list[str] = field(default_factory=list)


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
    return figures.json_lines(processes.run(command, root, units_of(places)).stdout)[-1]["gflops"]


def run_side(side, places, root):
    with processes.busy(side.neighbours):
        finished = processes.run(side.command(places), root, environment_of(side, places))
    return side.read(finished, Path(root) / places.scratch)


def tell(text):
    print(text, end="", file=sys.stderr, flush=True)


def run_rounds(name, plan, places, root):
    """All rounds, told on standard error; a round that is not counted comes first where the plan wants it."""
    try:
        for side in plan.sides if plan.warm_up else []:
            tell(f"{name}: {side.name} once, to warm up\n")
            run_side(side, places, root)
        measured = [
            run_round(f"{name}: round {i + 1} of {plan.rounds}", plan, places, root) for i in range(plan.rounds)
        ]
    except BaseException:
        tell("\n")
        raise
    return Measured(measured, disagreements(measured, plan.sides, TOLERANCES.get(plan.compared)))


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
    speed = None if plan.unit == "seconds" else getattr(run, plan.unit)
    return f"{run.seconds:.1f} s" if speed is None else f"{speed:.3g} {plan.counted}/s"


def of_side(measured, name, field):
    """A figure of a side in every round; nothing where a round lacks it."""
    values = [getattr(r.runs[name], field) for r in measured.rounds]
    return None if None in values else values


def median_of(measured, name, field):
    values = of_side(measured, name, field)
    return values and figures.median(values)


def ratio(measured, name, other, field):
    """Median of the ratios within each round, since the machine's speed changes from round to round.

    Nothing where the sides did not do the same work: whoever writes a ratio takes it from here or from quotient().
    """
    return quotient(measured, [name], [other], field)


def quotient(measured, names, others, field):
    """The same of sums of several sides; `field` may be two, one above and one below."""
    above_field, below_field = field if isinstance(field, tuple) else (field, field)
    numerators = [of_side(measured, name, above_field) for name in names]
    denominators = [of_side(measured, name, below_field) for name in others]
    if measured.faults or None in numerators or None in denominators:
        return None
    return figures.median([sum(above) / sum(below) for above, below in zip(zip(*numerators), zip(*denominators))])


def peak_share(measured, side, flops, field="tokens_per_second"):
    """Median of the shares of each round's own peak; `flops`: those of one of what `field` counts a second."""
    rates = of_side(measured, side.name, field)
    if rates is None:
        return None
    peaks = [r.gflops[side.threads] for r in measured.rounds]
    return figures.median([rate * flops / (1e9 * peak) for rate, peak in zip(rates, peaks)])


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
    for side in (side for side in sides if side.against):
        difference = largest_differences(rounds, [side])[side.name]
        if not difference <= tolerance:
            faults.append(f"{side.name} differs from {side.against} by {difference:.1e} (allowed: {tolerance:.0e}).")
    return faults
