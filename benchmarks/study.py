#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains one config under several settings and seeds, evaluates every adapter, and writes a table and a picture.

A study is a JSON file: config, data (patterns of files: when they change, runs are made anew), seeds, settings (name -> overrides; key=@FILE: what stands in a file), evaluations
(name -> arguments of cpx-eval-ppl). The page is written anew but for its text above the line "<!-- table -->".
What has been run already is not run again, and a run that was stopped goes on from its checkpoint. Needs the release build; Python's standard library alone.
"""

import argparse
import datetime
import hashlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from compare import machine, page

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT_STEPS = 50  # what is lost at most when a study is stopped


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="JSON file")
    parser.add_argument("--bin", default="build/release/bin", help="folder of the tools")
    parser.add_argument("--scratch", type=Path, default=Path("build/study"), help="run folders and reports")
    parser.add_argument("--only", nargs="*", help="settings to run; the table is of all that have been run")
    parser.add_argument("--out", type=Path, help="where the page goes; its picture beside it, with .svg")
    parser.add_argument("--threads", default="0", help="threads of the tools (0: all cores)")
    return parser.parse_args()


def fail(text):
    print(f"study: {text}", file=sys.stderr)
    raise SystemExit(1)


def run(command, log):
    """Runs a tool; its output goes to `log`."""
    with open(log, "w", encoding="utf-8") as file:
        status = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if status != 0:
        fail(f"{' '.join(command[:3])} ... ended with {status}; see {log}")


def data_key(study):
    """Changes when the files of `data` do."""
    digest = hashlib.sha256()
    for pattern in study["data"]:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def key_of(study, overrides, seed):
    """Changes when anything of the run does, its data too; lines of comment are nothing."""
    lines = (ROOT / study["config"]).read_text(encoding="utf-8").splitlines()
    config = "\n".join(line for line in lines if not line.startswith("#"))
    text = json.dumps([config, overrides, seed, study["evaluations"], study["data_key"]])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def with_files(overrides):
    """key=@FILE becomes key=CONTENT."""
    whole = []
    for override in overrides:
        key, _, value = override.partition("=")
        whole.append(f"{key}={(ROOT / value[1:]).read_text(encoding='utf-8').strip()}" if value[:1] == "@" else override)
    return whole


def evaluate(arguments, study, adapter, folder):
    """Perplexities by evaluation and side."""
    results = {}
    for name, flags in study["evaluations"].items():
        report = folder / f"{name}.json"
        command = [f"{arguments.bin}/cpx-eval-ppl", "--model", study["model"], "--dtype", "float32", *flags,
                   "--report", str(report)]  # fmt: skip
        if adapter:
            command += ["--adapter", str(adapter)]
        if arguments.threads != "0":
            command += ["--threads", arguments.threads]
        run(command, folder / f"{name}.log")
        found = json.loads(report.read_text(encoding="utf-8"))
        sides = {side: values["perplexity"] for side, values in found["sides"].items() if values["texts"]}
        results[name] = {**sides, "separation": found.get("separation")}
    return results


def run_setting(arguments, study, name, seed):
    """One training run and its evaluations, from the scratch folder where they are there."""
    overrides = study["settings"][name]
    folder = (ROOT / arguments.scratch / key_of(study, overrides, seed)).resolve()
    done = folder / "results.json"
    if done.exists():
        return json.loads(done.read_text(encoding="utf-8"))
    if arguments.only is not None and name not in arguments.only:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    adapter = None
    tokens = 0
    if overrides is not None:
        begin = ["--resume", "auto"] if any(folder.glob("run/checkpoints/step-*")) else ["--overwrite"]
        command = [f"{arguments.bin}/cpx-train", "--config", study["config"], *begin, *with_files(overrides),
                   f"training.seed={seed}", f"training.output={folder}/run",
                   f"checkpoint.every_steps={CHECKPOINT_STEPS}", "checkpoint.keep_last=1"]  # fmt: skip
        if arguments.threads != "0":
            command += ["--threads", arguments.threads]
        run(command, folder / "train.log")
        adapter = folder / "run/final"
        lines = (folder / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
        tokens = sum(json.loads(line).get("tokens", 0) for line in lines)
    results = {"evaluations": evaluate(arguments, study, adapter, folder), "tokens": tokens}
    part = done.with_suffix(".part")
    part.write_text(json.dumps(results), encoding="utf-8")
    os.replace(part, done)
    return results


# ---- The page -----------------------------------------------------------------------------------


def figures_of(runs, base, evaluation, side):
    """Perplexity of each run over the base's."""
    return [r["evaluations"][evaluation][side] / base["evaluations"][evaluation][side] for r in runs]


def spread(values, show):
    if len(values) == 1:
        return show(values[0])
    return f"{show(statistics.median(values))} ({show(min(values))} to {show(max(values))})"


def percent(ratio):
    return f"{100 * (ratio - 1):+.1f} %"


def times(ratio):
    return f"{ratio:.2f} x"


def columns_of(study):
    """(evaluation, side, title) of every perplexity that is told."""
    return [tuple(column) for column in study["columns"]]


def ratio_of(study, run):
    """Toxic over neutral perplexity."""
    found = run["evaluations"][study["separation"]]
    return found["toxic"] / found["neutral"]


def separation_of(study, run):
    return run["evaluations"][study["separation"]]["separation"]


def row_of(study, name, runs, base):
    cells = [name, str(len(runs))]
    for evaluation, side, _ in columns_of(study):
        show = times if side == "toxic" else percent
        cells.append(spread(figures_of(runs, base, evaluation, side), show))
    for figure in (ratio_of, separation_of):
        cells.append(spread([figure(study, r) for r in runs], lambda v: f"{v:.3f}"))
    cells.append(f"{statistics.median([r['tokens'] for r in runs]) / 1000:.0f} k")
    return cells


def base_row(study, base):
    cells = ["base", ""]
    cells += [f"{base['evaluations'][evaluation][side]:.2f}" for evaluation, side, _ in columns_of(study)]
    return [*cells, f"{ratio_of(study, base):.3f}", f"{separation_of(study, base):.3f}", ""]


def table(study, measured, base):
    header = ["setting", "seeds", *(title for _, _, title in columns_of(study)), "ratio", "separation", "tokens"]
    rows = [base_row(study, base), *(row_of(study, name, runs, base) for name, runs in measured.items())]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def new_head(arguments):
    """What a page begins with that was not there: on what it was measured. What it says is written by hand."""
    facts = [
        ("machine", machine.description()),
        ("date", datetime.date.today().isoformat()),
        ("cpx", machine.cpx_version(f"{arguments.bin}/cpx-train", ROOT)),
        ("command", f"`python3 benchmarks/study.py {arguments.study}`, prepared by `benchmarks/studies/run.sh`"),
        (page.SOURCES, machine.sources(ROOT)),
    ]
    rows = page.table_text(["", ""], [list(fact) for fact in facts])
    return f"<!-- SPDX-License-Identifier: Apache-2.0 -->\n# {arguments.study.stem}\n\n{rows}\n\n"


MARK = "<!-- table -->"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860, 470, 70, 50, 20, 240


def picture(study, measured, base):
    """Toxic against neutral perplexity, both over the base's, on logarithmic axes; one dot a run."""
    import math

    x_of, y_of = study["picture"]["x"], study["picture"]["y"]
    points = {
        name: list(zip(figures_of(runs, base, *x_of), figures_of(runs, base, *y_of)))
        for name, runs in measured.items()
    }
    every = [p for runs in points.values() for p in runs] + [(1.0, 1.0)]
    low_x, high_x = min(p[0] for p in every) / 1.1, max(p[0] for p in every) * 1.1
    low_y, high_y = min(p[1] for p in every) / 1.1, max(p[1] for p in every) * 1.1

    def place(x, y):
        across = (math.log(x) - math.log(low_x)) / (math.log(high_x) - math.log(low_x))
        up = (math.log(y) - math.log(low_y)) / (math.log(high_y) - math.log(low_y))
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    def text(x, y, words, more=""):
        return f'<text x="{x:.0f}" y="{y:.0f}" font-size="12" {more}>{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f"<title>{study['picture']['title']}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} {TOP} V{HEIGHT - BOTTOM} H{WIDTH - RIGHT}" fill="none" stroke="black"/>',
        text(LEFT + 120, HEIGHT - 12, study["picture"]["x_title"]),
        text(16, HEIGHT - 130, study["picture"]["y_title"], f'transform="rotate(-90 16 {HEIGHT - 130})"'),
    ]
    ticks = [0.5, 0.7, 1, 1.05, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 300, 1000]
    for tick in (t for t in ticks if low_x <= t <= high_x):
        x, _ = place(tick, low_y)
        parts.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM} v5" stroke="black"/>')
        parts.append(text(x, HEIGHT - BOTTOM + 18, f"{tick:g}", 'text-anchor="middle"'))
    for tick in (t for t in ticks if low_y <= t <= high_y):
        _, y = place(low_x, tick)
        parts.append(f'<path d="M{LEFT} {y:.1f} h-5" stroke="black"/>')
        parts.append(text(LEFT - 8, y + 4, f"{tick:g}", 'text-anchor="end"'))
    for number, (name, runs) in enumerate(points.items()):
        color = f"hsl({number * 360 // max(1, len(points))}, 70%, 42%)"
        for x, y in runs:
            across, up = place(x, y)
            parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{color}"/>')
        legend = TOP + 12 + 16 * number
        parts.append(f'<circle cx="{WIDTH - RIGHT + 18}" cy="{legend - 4}" r="4" fill="{color}"/>')
        parts.append(text(WIDTH - RIGHT + 28, legend, name))
    across, up = place(1.0, 1.0)
    parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="5" fill="none" stroke="black"/>')
    parts.append(text(across + 8, up - 6, "base"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    arguments = parse_arguments()
    study = json.loads(arguments.study.read_text(encoding="utf-8"))
    study["settings"]["base"] = None
    study["data_key"] = data_key(study)
    base = run_setting(arguments, study, "base", 0)
    if base is None:
        fail("--only: the base has not been run; name it too")
    measured = {}
    for name in study["settings"]:
        runs = [run_setting(arguments, study, name, seed) for seed in study["seeds"]] if name != "base" else []
        runs = [r for r in runs if r is not None]
        if runs:
            measured[name] = runs
    text = table(study, measured, base)
    print(text)
    if arguments.out:
        picture_file = arguments.out.with_suffix(".svg")
        picture_file.write_text(picture(study, measured, base), encoding="utf-8")
        lines = [f"- {name}: `{' '.join(study['settings'][name])}`" for name in measured]
        old = arguments.out.read_text(encoding="utf-8") if arguments.out.exists() else ""
        head = old.partition(MARK)[0] if MARK in old else new_head(arguments)
        body = "\n".join([MARK, "", text, "", f"![{study['picture']['title']}]({picture_file.name})", "", *lines])
        arguments.out.write_text(head + body + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
