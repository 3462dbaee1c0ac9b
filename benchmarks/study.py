#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains one config under several settings and seeds, evaluates every adapter, and writes tables and a picture.

A study is a JSON file:

    config, model    what is trained
    data             patterns of files: when they change, runs are made anew
    evaluated        the same for evaluations
    seeds            of each setting that does not have its own
    settings         name -> overrides (key=@FILE: what stands in a file), or {"overrides": , "seeds": }
    evaluations      name -> {"tool": , "flags": }; {folder} in a flag: a folder that all settings share
    tables           a list of {"title": , "columns": [...]}; a column is {"title": , "evaluation": , "figure": , "show": }
    picture          {"title": , "x": , "y": }, each a column; both are shown over the base's

A figure is a path into the tool's report, such as sides/toxic/perplexity; in a list one goes on at the entry that has the next
part as its task, label or scorer. Several paths give the mean of their figures. Figures are shown as times or percent (over the
base's), share or number; a star stands behind a cell if the paired interval of every seed's difference excludes 0.

The base is evaluated first, each setting when its last seed is trained; a table has the settings that have all its figures.
The page is written anew but for its text above the line "<!-- table -->". What has been run already is not run again, and a run
that was stopped goes on from its checkpoint. Needs the release build; Python's standard library alone.
"""

import argparse
import datetime
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

from compare import machine, page

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT_STEPS = 50  # what is lost at most when a study is stopped
BASE = "base"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="JSON file")
    parser.add_argument("--bin", default="build/release/bin", help="folder of the tools")
    parser.add_argument("--scratch", type=Path, default=Path("build/study"), help="run folders and reports")
    parser.add_argument("--only", nargs="*", help="settings to run; the tables are of all that have been run")
    parser.add_argument("--seeds", nargs="*", type=int, help="seeds to train; a setting is evaluated when it has all of its own")
    parser.add_argument("--out", type=Path, help="where the page goes; its picture beside it, with .svg")
    parser.add_argument("--threads", default="0", help="threads of the tools (0: all cores)")
    return parser.parse_args()


def fail(text):
    print(f"study: {text}", file=sys.stderr)
    raise SystemExit(1)


def run_tool(arguments, command, log):
    """Runs a tool; its output goes to `log`."""
    if arguments.threads != "0":
        command = [*command, "--threads", arguments.threads]
    with open(log, "w", encoding="utf-8") as file:
        status = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if status != 0:
        fail(f"{' '.join(command[:3])} ... ended with {status}; see {log}")


def short_hash(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def files_key(patterns):
    """Changes when the files do."""
    digest = hashlib.sha256()
    for pattern in patterns:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def with_files(overrides):
    """key=@FILE becomes key=CONTENT."""
    whole = []
    for override in overrides:
        key, _, value = override.partition("=")
        whole.append(f"{key}={(ROOT / value[1:]).read_text(encoding='utf-8').strip()}" if value[:1] == "@" else override)
    return whole


class Study:
    """A study with its folder of runs and reports."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.plan = json.loads(arguments.study.read_text(encoding="utf-8"))
        self.scratch = ROOT / arguments.scratch
        self.data_key = files_key(self.plan["data"])
        self.evaluated_key = files_key(self.plan["evaluated"])
        lines = (ROOT / self.plan["config"]).read_text(encoding="utf-8").splitlines()
        self.config = "\n".join(line for line in lines if not line.startswith("#"))

    def overrides(self, setting):
        entry = self.plan["settings"][setting]
        return entry["overrides"] if isinstance(entry, dict) else entry

    def seeds(self, setting):
        entry = self.plan["settings"][setting]
        return entry["seeds"] if isinstance(entry, dict) else self.plan["seeds"]

    def is_asked_for(self, setting):
        return self.arguments.only is None or setting in self.arguments.only

    # ---- Training -----------------------------------------------------------------------------------

    def run_folder(self, setting, seed):
        """Another one when anything of the run changes, its data too; lines of comment are nothing."""
        return self.scratch / short_hash(self.config, self.overrides(setting), seed, self.data_key)

    def tokens_of(self, setting, seed):
        """The tokens of a run that has ended; None: it has not."""
        done = self.run_folder(setting, seed) / "tokens.json"
        return json.loads(done.read_text(encoding="utf-8")) if done.exists() else None

    def train(self, setting, seed):
        folder = self.run_folder(setting, seed)
        if (folder / "tokens.json").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{setting}, seed {seed}", file=sys.stderr, flush=True)
        begin = ["--resume", "auto"] if any(folder.glob("run/checkpoints/step-*")) else ["--overwrite"]
        command = [f"{self.arguments.bin}/cpx-train", "--config", self.plan["config"], *begin,
                   *with_files(self.overrides(setting)), f"training.seed={seed}",
                   f"training.output={folder.relative_to(ROOT)}/run", f"checkpoint.every_steps={CHECKPOINT_STEPS}",
                   "checkpoint.keep_last=1"]  # fmt: skip
        run_tool(self.arguments, command, folder / "train.log")
        lines = (folder / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
        write_json(folder / "tokens.json", sum(json.loads(line).get("tokens", 0) for line in lines))

    # ---- Evaluations --------------------------------------------------------------------------------

    def adapters(self, setting):
        if setting == BASE:
            return []
        folders = [self.run_folder(setting, seed) for seed in self.seeds(setting)]
        return [str((folder / "run/final").relative_to(ROOT)) for folder in folders]

    def report_file(self, setting, name):
        """Of the base, or of all seeds of a setting beside it."""
        evaluation = self.plan["evaluations"][name]
        key = short_hash(evaluation, self.plan["model"], self.evaluated_key, self.adapters(setting))
        return self.scratch / "reports" / f"{name}-{key}.json"

    def evaluate(self, setting, name):
        report = self.report_file(setting, name)
        if report.exists():
            return
        print(f"{setting}: {name}", file=sys.stderr, flush=True)
        shared = self.scratch / "evaluations" / name
        shared.mkdir(parents=True, exist_ok=True)
        report.parent.mkdir(parents=True, exist_ok=True)
        evaluation = self.plan["evaluations"][name]
        flags = [flag.replace("{folder}", str(shared.relative_to(ROOT))) for flag in evaluation["flags"]]
        command = [f"{self.arguments.bin}/{evaluation['tool']}", "--model", self.plan["model"], "--dtype", "float32",
                   *flags, "--report", str(report)]  # fmt: skip
        if setting != BASE:
            command += ["--compare", *self.adapters(setting)]
        run_tool(self.arguments, command, report.with_suffix(".log"))

    def is_trained(self, setting):
        return setting == BASE or all(self.tokens_of(setting, seed) is not None for seed in self.seeds(setting))

    def run(self, setting):
        if setting != BASE:
            for seed in self.seeds(setting):
                if self.arguments.seeds is None or seed in self.arguments.seeds:
                    self.train(setting, seed)
        if self.is_trained(setting):
            for name in self.plan["evaluations"]:
                self.evaluate(setting, name)

    def reports(self, setting):
        """name -> the report of each seed (of the base: one), of the evaluations that have been done."""
        if not self.is_trained(setting):
            return {}
        files = {name: self.report_file(setting, name) for name in self.plan["evaluations"]}
        found = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}
        return {name: of_models(report, setting == BASE) for name, report in found.items()}


def of_models(report, is_base):
    """The reports of the adapters, or of the base: rows that no model wrote (the copy of cpx-eval-rewrite) are left out."""
    reports = report if isinstance(report, list) else [report]
    return reports[:1] if is_base else [one for one in reports if one["adapter"]]


def write_json(path, value):
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    os.replace(part, path)


# ---- Figures ------------------------------------------------------------------------------------


def is_entry(entry, name):
    """True if an entry of a list goes by this name."""
    names = [entry.get(key) for key in ("task", "label", "scorer")]
    return name in names or any(Path(str(other)).name == name for other in names if other)


def looked_up(report, path):
    """What stands at a path of a report; None: nothing."""
    value = report
    for part in path.split("/"):
        if isinstance(value, list):
            value = next((entry for entry in value if is_entry(entry, part)), None)
        else:
            value = value.get(part)
        if value is None:
            return None
    return value


def paths_of(column):
    return column["figure"] if isinstance(column["figure"], list) else [column["figure"]]


def figure_of(column, report):
    values = [looked_up(report, path) for path in paths_of(column)]
    if None in values:
        fail(f"{column['evaluation']}: its report has no {paths_of(column)[values.index(None)]}")
    return statistics.mean(values)


def differs(column, report):
    """True if the interval of the paired difference excludes 0."""
    interval = looked_up(report, f"{paths_of(column)[0]}_difference_interval")
    return len(paths_of(column)) == 1 and interval is not None and not interval["low"] <= 0 <= interval["high"]


SHOWN = {
    "times": (lambda value, base: f"{value / base:.2f} x", lambda base: f"{base:.2f}"),
    "percent": (lambda value, base: f"{100 * (value / base - 1):+.1f} %", lambda base: f"{base:.2f}"),
    "share": (lambda value, _: f"{100 * value:.1f} %", lambda base: f"{100 * base:.1f} %"),
    "number": (lambda value, _: f"{value:.3f}", lambda base: f"{base:.3f}"),
}


def cell(column, reports, base):
    """The median of the seeds, with the least and the greatest."""
    show = SHOWN[column["show"]][0]
    of_base = figure_of(column, base[column["evaluation"]][0])
    mine = reports[column["evaluation"]]
    values = [figure_of(column, report) for report in mine]
    star = "*" if all(differs(column, report) for report in mine) else ""
    if len(values) == 1:
        return show(values[0], of_base) + star
    ends = f"{show(min(values), of_base)} to {show(max(values), of_base)}"
    return f"{show(statistics.median(values), of_base)}{star} ({ends})"


def base_cell(column, base):
    return SHOWN[column["show"]][1](figure_of(column, base[column["evaluation"]][0]))


# ---- The page -----------------------------------------------------------------------------------


def tokens_cell(study, setting):
    tokens = statistics.median([study.tokens_of(setting, seed) for seed in study.seeds(setting)])
    return f"{tokens / 1000:.0f} k"


def evaluated(measured, columns):
    """The settings that have all evaluations of some columns."""
    needed = {column["evaluation"] for column in columns}
    return {setting: reports for setting, reports in measured.items() if needed <= reports.keys()}


def table_text(study, table, measured, base):
    columns = table["columns"]
    rows = [[BASE, "", *(base_cell(column, base) for column in columns), ""]]
    for setting, reports in evaluated(measured, columns).items():
        cells = [cell(column, reports, base) for column in columns]
        rows.append([setting, str(len(study.seeds(setting))), *cells, tokens_cell(study, setting)])
    lines = page.table_text(["setting", "seeds", *(column["title"] for column in columns), "tokens"], rows)
    return f"## {table['title']}\n\n{lines}" if table.get("title") else lines


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
TICKS = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1, 1.05, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 300, 1000]


def over_base(column, reports, base):
    of_base = figure_of(column, base[column["evaluation"]][0])
    return [figure_of(column, report) / of_base for report in reports[column["evaluation"]]]


def picture(plan, measured, base):
    """Two figures over the base's, on logarithmic axes; one dot a run."""
    x_of, y_of = plan["x"], plan["y"]
    points = {
        setting: list(zip(over_base(x_of, reports, base), over_base(y_of, reports, base)))
        for setting, reports in evaluated(measured, [x_of, y_of]).items()
    }
    every = [p for runs in points.values() for p in runs] + [(1.0, 1.0)]
    least = 1e-3  # of a share that may be 0
    every = [(max(x, least), max(y, least)) for x, y in every]
    low_x, high_x = min(p[0] for p in every) / 1.1, max(p[0] for p in every) * 1.1
    low_y, high_y = min(p[1] for p in every) / 1.1, max(p[1] for p in every) * 1.1

    def place(x, y):
        across = math.log(max(x, least) / low_x) / math.log(high_x / low_x)
        up = math.log(max(y, least) / low_y) / math.log(high_y / low_y)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    def text(x, y, words, more=""):
        return f'<text x="{x:.0f}" y="{y:.0f}" font-size="12" {more}>{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f"<title>{plan['title']}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} {TOP} V{HEIGHT - BOTTOM} H{WIDTH - RIGHT}" fill="none" stroke="black"/>',
        text(LEFT + 120, HEIGHT - 12, f"{x_of['title']} / base's"),
        text(16, HEIGHT - 130, f"{y_of['title']} / base's", f'transform="rotate(-90 16 {HEIGHT - 130})"'),
    ]
    for tick in (t for t in TICKS if low_x <= t <= high_x):
        x, _ = place(tick, low_y)
        parts.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM} v5" stroke="black"/>')
        parts.append(text(x, HEIGHT - BOTTOM + 18, f"{tick:g}", 'text-anchor="middle"'))
    for tick in (t for t in TICKS if low_y <= t <= high_y):
        _, y = place(low_x, tick)
        parts.append(f'<path d="M{LEFT} {y:.1f} h-5" stroke="black"/>')
        parts.append(text(LEFT - 8, y + 4, f"{tick:g}", 'text-anchor="end"'))
    for number, (setting, runs) in enumerate(points.items()):
        color = f"hsl({number * 360 // max(1, len(points))}, 70%, 42%)"
        for x, y in runs:
            across, up = place(x, y)
            parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{color}"/>')
        legend = TOP + 12 + 16 * number
        parts.append(f'<circle cx="{WIDTH - RIGHT + 18}" cy="{legend - 4}" r="4" fill="{color}"/>')
        parts.append(text(WIDTH - RIGHT + 28, legend, setting))
    across, up = place(1.0, 1.0)
    parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="5" fill="none" stroke="black"/>')
    parts.append(text(across + 8, up - 6, BASE))
    return "\n".join([*parts, "</svg>"]) + "\n"


def write_page(study, tables, measured, base):
    out = study.arguments.out
    drawn = study.plan["picture"]
    picture_file = out.with_suffix(".svg")
    picture_file.write_text(picture(drawn, measured, base), encoding="utf-8")
    lines = [f"- {setting}: `{' '.join(study.overrides(setting))}`" for setting in measured]
    old = out.read_text(encoding="utf-8") if out.exists() else ""
    head = old.partition(MARK)[0] if MARK in old else new_head(study.arguments)
    body = "\n".join([MARK, "", tables, "", f"![{drawn['title']}]({picture_file.name})", "", *lines])
    out.write_text(head + body + "\n", encoding="utf-8")


def main():
    study = Study(parse_arguments())
    settings = list(study.plan["settings"])
    for setting in [BASE, *settings]:
        if study.is_asked_for(setting):
            study.run(setting)
    base = study.reports(BASE)
    measured = {setting: study.reports(setting) for setting in settings}
    measured = {setting: reports for setting, reports in measured.items() if reports}
    shown = [table for table in study.plan["tables"] if evaluated({BASE: base}, table["columns"])]
    if not shown:
        fail("--only: the base has not been evaluated; name it too")
    tables = "\n\n".join(table_text(study, table, measured, base) for table in shown)
    print(tables)
    if study.arguments.out and measured:
        write_page(study, tables, measured, base)


if __name__ == "__main__":
    main()
