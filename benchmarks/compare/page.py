# SPDX-License-Identifier: Apache-2.0
"""The page of a theme, as Markdown."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from . import figures, rounds


SOURCES = "sources"  # the row that check_pages.py reads


@dataclass
class Table:
    heading: str
    header: list[str]
    rows: list[list[str]]
    note: str = ""


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def count(value, noun):
    return f"{value} {noun}{'' if value == 1 else 's'}"


def table_text(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(table):
    parts = [f"## {table.heading}", table_text(table.header, table.rows)]
    return "\n\n".join(parts + [table.note] if table.note else parts)


def goals_table(goals):
    rows = [
        [goal.what, f"{'at least' if goal.at_least else 'at most'} {goal.limit:g} {goal.unit}",
         f"{number(goal.measured)} {goal.unit}", goal.verdict()]
        for goal in goals
    ]  # fmt: skip
    return Table("Goals", ["what", "goal", "measured", ""], rows)


def spread(values):
    if not values:
        return "-"
    digits = 2 if max(values) < 10 else 0
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def speed_text(values):
    return number(values and figures.median(values), 1 if not values or max(values) >= 10 else 2)


def results_table(measured, sides, unit="tokens_per_second", counted="tokens"):
    """Medians of each side, and cpx against it; no ratio where the sides did not do the same work."""
    rows = []
    for side in sides:
        speeds = rounds.of_side(measured, side.name, unit)
        row = [side.name, str(side.threads), speed_text(speeds), spread(speeds)]
        for field, digits in (("seconds", 2), ("peak_mib", 0)):
            row.append(number(rounds.median_of(measured, side.name, field), digits))
        if not measured.faults:
            for field in (unit, "seconds", "peak_mib"):
                row.append(number(rounds.ratio(measured, side.against, side.name, field)) if side.against else "")
        rows.append(row)
    header = ["side", "threads", f"{counted}/s", "lowest to highest", "whole process, s", "peak memory, MiB"]
    if measured.faults:
        return Table("Results", header, rows, "Without ratios: the sides did not do the same work.")
    note = "The last three columns are cpx's figure over the row's: the median of the ratios within each round."
    return Table("Results", [*header, "speed", "time", "memory"], rows, note)


def seconds_table(measured, sides):
    """Of sides that do different things: the time and memory of each."""
    rows = []
    for side in sides:
        row = [number(rounds.median_of(measured, side.name, "seconds")), spread(rounds.of_side(measured, side.name, "seconds"))]
        rows.append([side.name, str(side.threads), *row, number(rounds.median_of(measured, side.name, "peak_mib"), 0)])
    return Table("Results", ["", "threads", "s", "lowest to highest", "peak memory, MiB"], rows)


def rounds_table(measured, sides, unit, counted="tokens"):
    """Each round by itself: the machine's peak and every side."""
    threads = sorted(measured.rounds[0].gflops)
    if any(rounds.of_side(measured, side.name, unit) is None for side in sides):
        unit = "seconds"

    def show(value):
        return number(value, 1) if unit == "seconds" else speed_text([value])

    rows = [
        [str(i), *(f"{r.gflops[t]:.0f}" for t in threads),
         *(show(getattr(r.runs[side.name], unit)) for side in sides)]
        for i, r in enumerate(measured.rounds, 1)
    ]  # fmt: skip
    figure = "s" if unit == "seconds" else f"{counted}/s"
    header = ["round", *(f"peak GFLOP/s, {count(t, 'thread')}" for t in threads)]
    return Table("Rounds", [*header, *(f"{side.name}, {figure}" for side in sides)], rows)


def values_table(measured, sides, compared, tolerance):
    """What must agree, of the first round, and how far it does in all of them."""
    runs = [measured.rounds[0].runs[side.name] for side in sides]
    is_perplexity = compared == "perplexity"
    rows = []
    for i, tokens in enumerate(runs[0].tokens):
        values = [run.values[i] for run in runs if i < len(run.values)]
        texts = [f"{math.exp(v):.5f}" if is_perplexity else f"{v:.8f}" for v in values]
        rows.append(["all" if is_perplexity else str(i + 1), str(tokens), *texts])
    differences = rounds.largest_differences(measured.rounds, sides)
    parts = [f"{name} {difference:.1e}" for name, difference in differences.items()]
    what = "logarithm of the perplexity" if is_perplexity else "loss (of contrastive perplexity without its constant)"
    note = f"Largest difference from cpx of the {what} in all rounds: {', '.join(parts)} (allowed: {tolerance:.0e})."
    heading = "Perplexities" if is_perplexity else "Losses"
    return Table(heading, ["" if is_perplexity else "step", "tokens", *(side.name for side in sides)], rows, note)


def warning(faults):
    """The first lines of a page whose sides did not do the same work."""
    if not faults:
        return []
    return [f"**The sides do not agree, so their speeds must not be compared.** {' '.join(faults)}"]


def render(title, about, facts, tables, commands, faults):
    """The page. `facts` and `commands` are pairs: a name, and a text or a command."""
    parts = ["<!-- SPDX-License-Identifier: Apache-2.0 -->\n# " + title, *warning(faults), about]
    parts.append(table_text(["", ""], [list(fact) for fact in facts]))
    parts += [section(table) for table in tables]
    lines = "\n\n".join(f"# {name}\n{command}" for name, command in commands)
    parts.append(f"## Commands\n\n```bash\n{lines}\n```")
    return "\n\n".join(parts) + "\n"


def write(text, path):
    """Writes the page as a whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
