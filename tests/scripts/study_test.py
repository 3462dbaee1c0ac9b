#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What benchmarks/study.py runs, keeps and writes: on stand-ins of the tools that give made-up figures."""

import contextlib
import io
import json
import stat
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import study

# Stand-ins write down how they were called. "Training" writes the learning rate and the seed as the adapter; the
# figures of an adapter are made from both.
TRAIN = """\
#!/usr/bin/env python3
import json, pathlib, sys
flags = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
with open("calls", "a") as file:
    file.write("train " + flags["optimizer.lr"] + " " + flags["training.seed"] + (" on" if "auto" in sys.argv else "") + "\\n")
folder = pathlib.Path(flags["training.output"])
(folder / "checkpoints/step-1").mkdir(parents=True, exist_ok=True)
if pathlib.Path("stop").exists():
    sys.exit(3)
folder.joinpath("final").write_text(flags["optimizer.lr"] + " " + flags["training.seed"])
folder.joinpath("metrics.jsonl").write_text('{"tokens": 600}\\n{"eval_loss": 1}\\n{"tokens": 900}\\n')
"""
EVALUATE = """\
#!/usr/bin/env python3
import json, pathlib, sys
adapters = sys.argv[sys.argv.index("--compare") + 1 :] if "--compare" in sys.argv else []
with open("calls", "a") as file:
    file.write("evaluate %d\\n" % len(adapters))
def report(rate, seed, adapter=None):
    low, high = (-0.2, -0.1) if rate else (-0.1, 0.1)
    return {"adapter": adapter, "perplexity": 10.0 * (1 + rate * seed), "scorers": [
        {"scorer": "models/other", "share": 1.0},
        {"scorer": "models/judge", "share": 0.4 - rate * seed / 10,
         "share_difference_interval": {"low": low, "high": high}}],
        "tasks": [{"task": "a", "acc": 0.5}, {"task": "b", "acc": 0.7}]}
reports = [report(0.0, 0)]
for adapter in adapters:
    rate, seed = pathlib.Path(adapter).read_text().split()
    reports.append(report(float(rate), int(seed), adapter))
reports.append({"adapter": None, "name": "the copy"})
pathlib.Path(sys.argv[sys.argv.index("--report") + 1]).write_text(json.dumps(reports))
"""
PERPLEXITY = {"title": "ppl", "evaluation": "texts", "figure": "perplexity", "show": "times"}
SHARE = {"title": "toxic", "evaluation": "texts", "figure": "scorers/judge/share", "show": "share"}
MEAN = {"title": "mean", "evaluation": "texts", "figure": ["tasks/a/acc", "tasks/b/acc"], "show": "number"}
PLAN = {
    "config": "config.yaml",
    "model": "model",
    "data": ["data/*.json"],
    "evaluated": ["texts.json"],
    "seeds": [1, 2, 3],
    "settings": {
        "slow": ["optimizer.lr=0.0"],
        "fast": ["optimizer.lr=1.0"],
        "once": {"overrides": ["optimizer.lr=@rate"], "seeds": [2]},
    },
    "evaluations": {"texts": {"tool": "cpx-eval", "flags": ["--output", "{folder}"]}},
    "tables": [{"title": "All", "columns": [PERPLEXITY, SHARE, MEAN]}],
    "picture": {"title": "Both", "x": PERPLEXITY, "y": SHARE},
}
EVERYTHING = [
    "evaluate 0",
    *(f"train 0.0 {seed}" for seed in (1, 2, 3)), "evaluate 3",
    *(f"train 1.0 {seed}" for seed in (1, 2, 3)), "evaluate 3",
    "train 0.5 2", "evaluate 1",
]  # fmt: skip


class StudyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        for name, text in {"cpx-train": TRAIN, "cpx-eval": EVALUATE}.items():
            tool = self.write(f"bin/{name}", text)
            tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        self.write("config.yaml", "# comment\nversion: 1\n")
        self.write("data/a.json", "[]")
        self.write("texts.json", "[]")
        self.write("rate", "0.5\n")
        self.plan(PLAN)
        for target in (unittest.mock.patch.object(study, "ROOT", self.root),
                       unittest.mock.patch.object(study.machine, "cpx_version", return_value="0.1.0"),
                       unittest.mock.patch.object(study.machine, "sources", return_value="none")):  # fmt: skip
            target.start()
            self.addCleanup(target.stop)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def plan(self, plan):
        self.write("study.json", json.dumps(plan))

    def study(self, *flags):
        """The calls of the tools, and what was printed."""
        self.root.joinpath("calls").unlink(missing_ok=True)
        command = ["study.py", str(self.root / "study.json"), "--bin", "bin", *flags]
        out = io.StringIO()
        with unittest.mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):  # fmt: skip
            study.main()
        calls = self.root / "calls"
        return calls.read_text(encoding="utf-8").splitlines() if calls.exists() else [], out.getvalue()

    def test_cells_are_medians_with_their_ends_and_a_star_where_every_seed_differs(self):
        calls, out = self.study()
        self.assertEqual(calls, EVERYTHING)
        rows = [line for line in out.splitlines() if line.startswith("|")]
        self.assertEqual(rows[2:], [
            "| base |  | 10.00 | 40.0 % | 0.600 |  |",
            "| slow | 3 | 1.00 x (1.00 x to 1.00 x) | 40.0 % (40.0 % to 40.0 %) | 0.600 (0.600 to 0.600) | 2 k |",
            "| fast | 3 | 3.00 x (2.00 x to 4.00 x) | 20.0 %* (10.0 % to 30.0 %) | 0.600 (0.600 to 0.600) | 2 k |",
            "| once | 1 | 2.00 x | 30.0 %* | 0.600 | 2 k |",
        ])  # fmt: skip

    def test_nothing_runs_twice(self):
        self.study()
        self.assertEqual(self.study()[0], [])

    def test_other_data_is_trained_on_anew_and_other_texts_are_evaluated_anew(self):
        self.study()
        self.write("texts.json", "[1]")
        self.assertEqual(self.study()[0], [call for call in EVERYTHING if call.startswith("evaluate")])
        self.write("data/a.json", "[1]")
        self.assertEqual(self.study()[0], EVERYTHING[1:])

    def test_a_comment_in_the_config_changes_nothing_and_a_key_does(self):
        self.study()
        self.write("config.yaml", "# another\nversion: 1\n")
        self.assertEqual(self.study()[0], [])
        self.write("config.yaml", "version: 1\nmore: 2\n")
        self.assertEqual(self.study()[0], EVERYTHING[1:])

    def test_another_evaluation_trains_nothing(self):
        self.study()
        more = {"tool": "cpx-eval", "flags": ["--more"]}
        self.plan({**PLAN, "evaluations": {**PLAN["evaluations"], "more": more}})
        self.assertEqual(self.study()[0], ["evaluate 0", "evaluate 3", "evaluate 3", "evaluate 1"])

    def test_a_stopped_run_goes_on(self):
        self.write("stop", "")
        calls, out = self.study()
        self.assertEqual(calls, ["evaluate 0", "train 0.0 1"])
        self.assertIn("study: bin/cpx-train --config config.yaml ... ended with 3; see ", out)
        self.root.joinpath("stop").unlink()
        self.assertEqual(self.study()[0], ["train 0.0 1 on", *EVERYTHING[2:]])

    def test_only_runs_what_it_names_and_shows_what_there_is(self):
        calls, out = self.study("--only", "once")
        self.assertEqual(calls, ["train 0.5 2", "evaluate 1"])
        self.assertIn("study: --only: the base has not been evaluated; name it too\n", out)
        calls, out = self.study("--only", "base", "fast", "--seeds", "2")
        self.assertEqual(calls, ["evaluate 0", "train 1.0 2"])
        self.assertIn("| once | 1 |", out)
        self.assertNotIn("| fast |", out)

    def test_a_table_has_the_settings_that_have_its_figures(self):
        self.study()
        more = {"tool": "cpx-eval", "flags": ["--more"]}
        tables = [*PLAN["tables"], {"title": "More", "columns": [{**MEAN, "evaluation": "more"}]}]
        self.plan({**PLAN, "evaluations": {**PLAN["evaluations"], "more": more}, "tables": tables})
        out = self.study("--only", "base", "fast")[1]
        first, second = out.split("## More")
        self.assertIn("| slow | 3 |", first)
        self.assertIn("| fast | 3 |", second)
        self.assertNotIn("| slow |", second)

    def test_a_figure_that_is_not_there_is_named(self):
        wrong = {"title": "ppl", "evaluation": "texts", "figure": "scorers/juge/share", "show": "share"}
        self.plan({**PLAN, "tables": [{"columns": [wrong]}]})
        self.assertIn("study: texts: its report has no scorers/juge/share\n", self.study()[1])

    def test_a_page_is_written_anew_but_for_its_head(self):
        page = self.root / "page.md"
        self.study("--out", str(page))
        text = page.read_text(encoding="utf-8")
        self.assertIn("- fast: `optimizer.lr=1.0`\n", text)
        self.assertIn("<title>Both</title>", self.root.joinpath("page.svg").read_text(encoding="utf-8"))
        page.write_text("by hand\n" + text[text.index(study.MARK):].replace("| once |", "| other |"), encoding="utf-8")
        self.study("--out", str(page))
        self.assertEqual(page.read_text(encoding="utf-8"), "by hand\n" + text[text.index(study.MARK):])


if __name__ == "__main__":
    unittest.main()
