#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What benchmarks/compare.py computes and writes, on made-up figures; no tool and no peer is started but `sh`."""

import importlib.util
import json
import os
import re
import signal
import sys
import tempfile
import types
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from compare import busy, evaluation, figures, growth, inputs, machine, page, processes, rounds, sides, themes



def load_script():
    """compare.py, whose name its package has too."""
    file = Path(__file__).parents[2] / "benchmarks/compare.py"
    spec = importlib.util.spec_from_file_location("compare_script", file)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


script = load_script()

METRICS = """\
{"step":1,"tokens":100,"padded_tokens":4,"tokens_per_second":50.0,"cpu_seconds":9.0,"contrast":1.5}
{"step":1,"eval_loss":84.0}
{"step":2,"tokens":100,"padded_tokens":4,"tokens_per_second":100.0,"cpu_seconds":2.0,"contrast":1.25}
{"step":3,"tokens":200,"padded_tokens":4,"tokens_per_second":50.0,"cpu_seconds":4.0,"contrast":1.0}
"""
TABLE = """\
part                           calls  ms a step   share  in products   GFLOP/s
attention backward                30      23.10    1.4%           0%         -
attention                         30      10.66   10.6%           0%         -
linear                           150     469.86   27.8%          99%       151
"""
RECORDS = [
    {"paraphrases": ["a1", "a2"], "paraphrases_toxic": {"A1": 0.5, "A\\\\n2": 0.5}},
    {"paraphrases": ["b1"], "paraphrases_toxic": ["B1"]},
]


def run(speed=100.0, peak=1000.0, values=(1.0, 2.0), tokens=(10, 20), seconds=4.0, per_cpu=None):
    return sides.Run(seconds, peak, speed, per_cpu, tokens=list(tokens), values=list(values))


def two_sides():
    work = sides.Work()
    return [sides.cpx_train("cpx", work), sides.hf_train("hf", work, against="cpx")]


def one_round(cpx, hf, gflops=100.0):
    return rounds.Round({2: gflops}, {"cpx": cpx, "hf": hf})


def all_rounds(*measured):
    """Rounds of two_sides(), with what forbids to compare them."""
    return rounds.Measured(list(measured), rounds.disagreements(list(measured), two_sides(), 1e-5))


class Figures(unittest.TestCase):
    def test_metrics_are_read_without_evaluations(self):
        steps = figures.cpx_steps(METRICS)
        self.assertEqual([s.tokens for s in steps], [100, 100, 200])
        self.assertEqual([s.seconds for s in steps], [2.0, 1.0, 4.0])
        self.assertEqual([s.contrast for s in steps], [1.5, 1.25, 1.0])

    def test_pads_are_no_tokens_but_take_time(self):
        steps = figures.cpx_steps(METRICS, num_pads=1)
        self.assertEqual((steps[0].tokens, steps[0].seconds), (99, 2.0))

    def test_peer_steps_are_read_without_the_last_line(self):
        output = 'Loading\n{"step": 1, "tokens": 5, "seconds": 0.5, "contrast": 2.0}\n{"peak_memory_mib": 7}\n'
        self.assertEqual(figures.hf_steps(output), [figures.Step(5, 0.5, 2.0)])

    def test_rollouts_are_timed_without_the_first(self):
        lines = [
            '{"step": 1, "response_tokens": 30, "sampling_seconds": 9}',
            '{"step": 2, "loss": 1.0}',
            '{"step": 3, "response_tokens": 30, "sampling_seconds": 2}',
            '{"step": 5, "response_tokens": 28.5, "sampling_seconds": 1}',
        ]
        self.assertEqual(figures.cpx_rollouts("\n".join(lines), 20), (1170, 3))

    def test_step_seconds_leave_out_the_first(self):
        self.assertAlmostEqual(figures.step_seconds(METRICS), (1 + 4) / 2)

    def test_speed_leaves_out_the_first_step(self):
        self.assertAlmostEqual(figures.rate(figures.cpx_steps(METRICS)), 300 / 5)
        self.assertIsNone(figures.rate(figures.cpx_steps(METRICS)[:1]))

    def test_tokens_a_cpu_second_leave_out_the_first_step(self):
        self.assertAlmostEqual(figures.rate(figures.cpx_steps(METRICS), over="cpu_seconds"), 300 / 6)
        steps = figures.hf_steps('{"step": 1, "tokens": 5, "seconds": 1, "contrast": 2}\n' * 2)
        self.assertIsNone(figures.rate(steps, over="cpu_seconds"))

    def test_pairs_are_counted_beside_their_tokens(self):
        metrics = '{"step":1,"tokens":60,"tokens_per_second":30.0,"loss":0.7}\n' * 2
        steps = figures.cpx_steps(metrics, num_pairs=8)
        self.assertEqual((steps[0].tokens, steps[0].pairs, steps[0].contrast), (60, 8, 0.7))
        self.assertAlmostEqual(figures.rate(steps, "pairs"), 4.0)

    def test_differences_see_missing_steps_and_nan(self):
        self.assertAlmostEqual(figures.largest_difference([1.0, 2.0], [1.0, 2.5]), 0.5)
        self.assertEqual(figures.largest_difference([1.0], [1.0, 2.0]), float("inf"))
        self.assertEqual(figures.largest_difference([1.0, 1.0], [float("nan"), 1.0]), float("inf"))

    def test_weights_of_smollm2_are_counted(self):
        config = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49152,
                  "num_attention_heads": 9, "num_key_value_heads": 3}  # fmt: skip
        # 30 x (576 x (2 x 576 + 2 x 192) + 3 x 576 x 1536) + 49152 x 576
        self.assertEqual(figures.matmul_weights(config), 134479872)

    def test_lora_weights_of_smollm2_are_counted(self):
        config = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49152,
                  "num_attention_heads": 9, "num_key_value_heads": 3}  # fmt: skip
        adapter = {"r": 64, "target_modules": ["q_proj", "v_proj"]}
        # 30 x 64 x ((576 + 576) + (576 + 192))
        self.assertEqual(figures.lora_weights(config, adapter), 3686400)

    def test_slope_is_that_of_least_squares(self):
        self.assertAlmostEqual(figures.slope([(0, 1.0), (1, 4.0), (2, 5.0)]), 2.0)

    def test_attention_is_both_directions(self):
        self.assertAlmostEqual(figures.attention_share(TABLE), 0.12)
        self.assertEqual(figures.attention_share("finished at step 2"), 0.0)


class Inputs(unittest.TestCase):
    def test_short_texts_take_turns(self):
        self.assertEqual(inputs.short_texts(RECORDS), ["a1", "A1", "b1", "B1", "a2", "A\n2"])
        self.assertEqual(inputs.short_texts(RECORDS, count=3), ["a1", "A1", "b1"])

    def test_prompts_are_inputs_and_go_round(self):
        records = [{"input": "a\\nb", "paraphrases": ["c"]}, {"input": "", "paraphrases": ["d"]}]
        lines = inputs.rollout_prompts(records, 3).splitlines()
        self.assertEqual([json.loads(line)["prompt"] for line in lines], ["a\nb", "d", "a\nb"])

    def test_growth_repeats_records_under_new_ids(self):
        made = inputs.growth_records(RECORDS, 1, 3)
        self.assertEqual([r["paraphrases_toxic"] for r in made], [["A1"], ["B1"], ["A1"]])
        self.assertEqual(len({r["id"] for r in made}), 3)

    def test_long_texts_have_more_than_the_tokens(self):
        made = inputs.long_records(RECORDS, 64, 2)
        self.assertEqual(len(made), 2)
        self.assertGreaterEqual(len(made[0]["paraphrases"][0]), 64 * inputs.CHARACTERS_A_TOKEN)

    def test_a_pattern_without_files_is_one_line(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(
            processes.BenchmarkError, r"--data no/\*\.json: no such file\."
        ):
            inputs.expand(["no/*.json"], folder)


class Rounds(unittest.TestCase):
    def test_ratios_are_taken_within_a_round(self):
        # The medians' ratio would be 300 / 90.
        measured = all_rounds(
            one_round(run(300.0), run(100.0)),
            one_round(run(200.0), run(90.0)),
            one_round(run(400.0), run(80.0)),
        )
        self.assertAlmostEqual(rounds.ratio(measured, "cpx", "hf", "tokens_per_second"), 3.0)

    def test_share_uses_the_round_s_own_peak(self):
        measured = all_rounds(*(one_round(run(100.0), run(), gflops) for gflops in (80.0, 160.0, 100.0)))
        self.assertAlmostEqual(rounds.peak_share(measured, two_sides()[0], 4 * 10**8), 0.4)

    def test_what_is_not_told_is_nothing(self):
        measured = all_rounds(one_round(run(None), run()))
        self.assertIsNone(rounds.ratio(measured, "cpx", "hf", "tokens_per_second"))
        self.assertEqual(rounds.Goal("speed", 2.0, None, True).verdict(), "not measured")

    def test_goals_know_their_direction(self):
        self.assertEqual(rounds.Goal("speed", 2.0, 2.5, True).verdict(), "met")
        self.assertEqual(rounds.Goal("speed", 2.0, 1.5, True).verdict(), "missed")
        self.assertEqual(rounds.Goal("memory", 0.3, 0.3, False).verdict(), "met")
        self.assertEqual(rounds.Goal("memory", 0.3, 0.4, False).verdict(), "missed")

    def test_every_round_must_agree(self):
        good = one_round(run(), run(values=(1.0, 2.000009)))
        bad = one_round(run(), run(values=(1.0, 2.00002)))
        self.assertEqual(rounds.disagreements([good], two_sides(), 1e-5), [])
        faults = rounds.disagreements([good, bad], two_sides(), 1e-5)
        self.assertEqual(faults, ["hf differs from cpx by 2.0e-05 (allowed: 1e-05)."])

    def test_tokens_must_agree(self):
        measured = [one_round(run(), run(tokens=(10, 21)))]
        self.assertEqual(
            rounds.disagreements(measured, two_sides(), 1e-5), ["hf and cpx do not count the same tokens."]
        )


class Pages(unittest.TestCase):
    def setUp(self):
        self.measured = all_rounds(one_round(run(300.0, 500.0), run(100.0, 2000.0)))
        self.sides = two_sides()

    def test_a_page_has_figures_and_commands_of_both_sides(self):
        goals = themes.goals_against(self.sides, self.measured, "tokens/s", "tokens_per_second", 2.6, True)
        tables = [
            page.goals_table(goals),
            page.results_table(self.measured, self.sides),
            page.rounds_table(self.measured, self.sides, "tokens_per_second"),
            page.values_table(self.measured, self.sides, "contrast", 1e-5),
        ]
        commands = [(side.name, sides.shown(side, ["data/*.json"])) for side in self.sides]
        text = page.render("speed", "About.", [("date", "today")], tables, commands, [])
        for line in (
            "| tokens/s, cpx / hf | at least 2.6 x | 3.00 x | met |",
            "| hf | 2 | 100.0 | 100 to 100 | 4.00 | 2000 | 3.00 | 1.00 | 0.25 |",
            "| 1 | 100 | 300.0 | 100.0 |",
            "| 2 | 20 | 2.00000000 | 2.00000000 |",
            "| date | today |",
        ):
            self.assertIn(line + "\n", text)
        self.assertRegex(text, r"# cpx\nbuild/release/bin/cpx-train .* 'data\.train=\[data/\*\.json\]' ")
        self.assertRegex(text, r"# hf\nbuild/peers/bin/python .* --shards data/\*\.json --steps 6 ")
        self.assertTrue(text.isascii())
        self.assertNotRegex(text, r"(?m)[ \t]+$")

    def test_a_disagreement_stands_before_all_else(self):
        text = page.render("speed", "About.", [("date", "today")], [], [], ["hf differs."])
        self.assertIn("do not agree", text.splitlines()[3])
        self.assertIn("hf differs.", text.splitlines()[3])

    def test_sides_that_disagree_get_no_ratio_and_no_goal(self):
        for other in (run(100.0, values=(1.0, 2.1)), run(100.0, tokens=(10, 21))):
            measured = all_rounds(one_round(run(300.0), other))
            self.assertIsNone(rounds.ratio(measured, "cpx", "hf", "tokens_per_second"))
            self.assertIsNone(rounds.quotient(measured, ["cpx"], ["hf", "hf"], "seconds"))
            table = page.results_table(measured, self.sides)
            self.assertEqual(table.header[-1], "peak memory, MiB")
            self.assertEqual(table.rows[1], ["hf", "2", "100.0", "100 to 100", "4.00", "1000"])
            plan = themes.Plan("Speed", "About.", self.sides, lambda _: self.fail("a goal of sides that disagree"), 1)
            text = page.render("speed", "About.", [], script.tables_of(plan, measured), [], measured.faults)
            self.assertNotRegex(text, r"\d x\b|\b3\.00\b|Goals")
            self.assertIn("**The sides do not agree, so their speeds must not be compared.**", text.splitlines()[3])

    def test_a_theme_whose_sides_disagree_says_so_and_tells_the_caller(self):
        with tempfile.TemporaryDirectory() as folder:
            arguments = types.SimpleNamespace(
                label="demo", held_to_avx2=False, hardware="x1", results=folder, data=["d"], rounds=1, steps=6, groups=2, texts=5, pairs=8, threads=2,
                growth_groups=script.GROWTH_GROUPS, long_lengths=script.LONG_LENGTHS,
            )  # fmt: skip
            plan = themes.Plan("Speed", "About.", self.sides, lambda _: [], 1)
            setting = types.SimpleNamespace(places=sides.Places(shards=()))
            for measured, agrees in (
                (all_rounds(one_round(run(), run())), True),
                (all_rounds(one_round(run(), run(tokens=(1, 2)))), False),
            ):
                with unittest.mock.patch.multiple(
                    script, THEMES={"speed": lambda _: plan}, facts=lambda *_: []
                ), unittest.mock.patch.object(rounds, "run_rounds", return_value=measured), unittest.mock.patch(
                    "sys.stdout"
                ):
                    self.assertEqual(script.run_theme("speed", arguments, setting), agrees)
                written = max(Path(folder).iterdir())
                self.assertRegex(written.name, r"^speed-demo_x1_\d{4}-\d\d-\d\d\.md$")
                self.assertEqual("do not agree" in written.read_text(encoding="utf-8"), not agrees)

    def test_the_table_of_the_peak_tells_what_pads_cost(self):
        cpx, hf = run(300.0), run(100.0)
        cpx.padded_per_second, cpx.head_per_second = 300.0, 300.0
        hf.padded_per_second, hf.head_per_second = 250.0, 90.0
        model = {"hidden_size": 10, "intermediate_size": 10, "num_hidden_layers": 0, "vocab_size": 10**6,
                 "num_attention_heads": 1}  # fmt: skip
        setting = types.SimpleNamespace(model=model, num_weights=5 * 10**7)  # of which the head 10^7
        table = themes.peak_table(setting, self.sides, all_rounds(one_round(cpx, hf)))
        self.assertEqual(table.rows[0], ["cpx", "300.0", "300.0", "1.00", "60 %", "60 %"])
        # 4 x (4 x 250 + 1 x 90) 10^7 = 43.6 GFLOP/s of 100
        self.assertEqual(table.rows[1], ["hf", "100.0", "250.0", "2.50", "20 %", "44 %"])

    def test_a_side_without_speed_is_shown_by_its_time(self):
        measured = all_rounds(one_round(run(None, seconds=3.0), run(100.0)))
        table = page.rounds_table(measured, self.sides, "tokens_per_second")
        self.assertEqual(table.header[2:], ["cpx, s", "hf, s"])
        self.assertEqual(table.rows, [["1", "100", "3.0", "4.0"]])

    def test_perplexities_are_shown_as_such(self):
        measured = all_rounds(one_round(run(values=[0.0], tokens=[7]), run(values=[0.0], tokens=[7])))
        table = page.values_table(measured, self.sides, "perplexity", 5e-5)
        self.assertEqual(table.rows, [["all", "7", "1.00000", "1.00000"]])

    def test_writing_leaves_only_the_page(self):
        with tempfile.TemporaryDirectory() as folder:
            page.write("text\n", Path(folder) / "new/speed.md")
            self.assertEqual([p.name for p in Path(folder, "new").iterdir()], ["speed.md"])

    def test_growth_s_goal_is_a_slope_by_layer(self):
        item = growth.size("1 group", sides.Work(), has_profile=False)
        more = growth.size("9 groups", sides.Work(), has_profile=False)
        runs = {item.timed.name: run(peak=600.0, tokens=(1000,)), more.timed.name: run(peak=720.0, tokens=(3000,))}
        goal = growth.memory_goal(rounds.Measured([rounds.Round({}, runs)]), [item, more], threads=2, num_layers=30)
        self.assertAlmostEqual(goal.measured, 2.0)


class Busy(unittest.TestCase):
    def measured(self):
        """Beside a busy process a core cpx has half its speed, wastes a tenth, and equals its one thread."""
        runs = {}
        for condition in busy.conditions(2):
            share = 0.5 if condition == busy.FULL else 1.0
            runs[f"cpx, {condition}"] = run(300.0 * share, per_cpu=150.0 * (0.9 if share < 1 else 1.0))
            runs[f"cpx-1, {condition}"] = run(150.0, per_cpu=150.0)
            runs[f"hf, {condition}"] = run(100.0 * share, per_cpu=None)
        return rounds.Measured([rounds.Round({1: 50.0, 2: 100.0}, runs)])

    def test_goals_are_of_a_busy_process_a_core(self):
        goals = busy.goals(self.measured())
        self.assertEqual([round(goal.measured, 6) for goal in goals], [0.9, 1.0])
        self.assertEqual([goal.verdict() for goal in goals], ["met", "met"])

    def test_tables_have_each_condition_beside_the_quiet_one(self):
        table = busy.table(self.measured(), busy.conditions(2), "tokens/s", "tokens_per_second")
        self.assertEqual(table.heading, "Tokens/s")
        self.assertEqual(
            table.rows[1],
            ["a busy process a core", "150.0", "150 to 150", "0.50", "150.0", "150 to 150", "1.00", "50.0", "50 to 50", "0.50"],
        )
        table = busy.table(self.measured(), busy.conditions(2), "tokens a CPU-second", "tokens_per_cpu_second")
        self.assertEqual(table.heading, "Tokens a CPU-second")
        self.assertEqual(table.rows[0][7:], ["-", "-", "-"])

    def test_neighbours_run_as_long_as_the_body_and_at_their_priority(self):
        neighbours = processes.Neighbours(processes=2, threads=3, nice=19)
        with processes.busy(neighbours) as started:
            self.assertEqual(len(started), 2)
            self.assertEqual([os.getpriority(os.PRIO_PROCESS, p.pid) for p in started], [19, 19])
            self.assertEqual([len(os.listdir(f"/proc/{p.pid}/task")) for p in started], [3, 3])
        self.assertEqual([p.returncode for p in started], [-signal.SIGKILL] * 2)

    def test_a_neighbour_that_was_ended_is_told(self):
        with self.assertRaisesRegex(processes.BenchmarkError, "^a busy neighbour ended before the side"):
            with processes.busy(processes.Neighbours(processes=1)) as started:
                started[0].kill()
                started[0].wait()

    def test_a_side_that_fails_ends_its_neighbours(self):
        with self.assertRaises(processes.BenchmarkError):
            with processes.busy(processes.Neighbours(processes=1)) as started:
                raise processes.BenchmarkError("x")
        self.assertIsNotNone(started[0].returncode)


class Machine(unittest.TestCase):
    def test_hardware_is_a_short_name(self):
        self.assertEqual(machine.hardware_name("AMD EPYC", 2), "epyc2")
        self.assertEqual(machine.hardware_name("AMD Ryzen 9 7950X 16-Core Processor", 32), "ryzen97950x32")
        self.assertEqual(machine.hardware_name("Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz", 8), "xeongold6248x8")

    def test_the_type_is_that_of_the_widest_units(self):
        self.assertEqual(machine.kind("flags : fma avx2 avx512f amx_tile"), "AMX")
        self.assertEqual(machine.kind("flags : fma avx2 avx512f"), "AVX-512")
        self.assertEqual(machine.kind("flags : fma avx2 xavx512f"), "AVX2")
        self.assertEqual(machine.kind("flags : sse4_2"), "without AVX2")
        text = "model name : AMD EPYC\nflags : avx2 avx512f\n"
        with unittest.mock.patch.object(machine, "cpuinfo", return_value=text):
            self.assertEqual(machine.page_hardware(), f"epyc{machine.num_cores()}-avx512")

    def test_peers_get_the_allocator_and_the_settings_of_the_tools(self):
        source = (Path(__file__).parents[2] / "tools/malloc_conf.cpp").read_text(encoding="utf-8")
        parts = re.findall(r'^ +"(.*)"[;,]?$', source, re.MULTILINE)
        self.assertEqual("".join(parts), machine.MALLOC_CONF)
        cpx, hf = two_sides()
        with_library = sides.Places(shards=(), preload="libjemalloc.so.2")
        self.assertEqual(sides.environment_of(cpx, with_library), {})
        self.assertEqual(sides.environment_of(hf, sides.Places(shards=())), {})
        self.assertRegex(sides.shown(hf, ["d"], with_library), "^LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=dirty_")
        finished = processes.run(["sh", "-c", "echo $MALLOC_CONF"], ".", {"MALLOC_CONF": "x:1"})
        self.assertEqual(finished.stdout, "x:1\n")

    def test_both_sides_are_held_to_avx2(self):
        held = sides.Places(shards=(), is_held_to_avx2=True)
        for side in two_sides():
            self.assertEqual(sides.environment_of(side, held), machine.AVX2_ONLY)
            self.assertRegex(sides.shown(side, ["d"], held), "^ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ")
        self.assertIn("build/avx2/bin/cpx-train", sides.shown(two_sides()[0], ["d"], held))
        self.assertRegex(machine.description(True), r"\*\*both sides held to AVX2\*\* \(`ATEN_CPU_CAPABILITY=avx2 ")
        self.assertTrue(machine.page_hardware(True).endswith("-held-to-avx2"))
        finished = processes.run(["sh", "-c", "echo $ATEN_CPU_CAPABILITY"], ".", sides.units_of(held))
        self.assertEqual(finished.stdout, "avx2\n")

    def test_different_allocators_are_told(self):
        with tempfile.NamedTemporaryFile() as tool:
            self.assertEqual(machine.allocator(None, tool.name), "the system's on both sides")
            tool.write(b"\0<jemalloc>: \0")
            tool.flush()
            self.assertEqual(
                machine.allocator(None, tool.name), "cpx jemalloc, the peers the system's: **not the same**"
            )
            self.assertEqual(
                machine.allocator("/lib/libjemalloc.so.2", tool.name),
                "jemalloc with the same settings on both sides, the peers by LD_PRELOAD (libjemalloc.so.2)",
            )

    def test_without_a_library_to_preload_there_is_one_line(self):
        with unittest.mock.patch.object(machine, "find_jemalloc", return_value=None):
            self.assertIsNone(script.preload("none"))
            self.assertEqual(script.preload("x.so"), "x.so")
            with self.assertRaisesRegex(processes.BenchmarkError, "^--preload auto: no libjemalloc, .* then tell\\.$"):
                script.preload("auto")

    def test_the_processor_is_found(self):
        self.assertEqual(machine.processor_name("flags : x\nmodel name\t: AMD EPYC\nmodel name\t: B\n"), "AMD EPYC")


class Processes(unittest.TestCase):
    def test_a_run_tells_output_and_memory(self):
        finished = processes.run(["sh", "-c", "echo out; echo err >&2"], ".")
        self.assertEqual((finished.stdout, finished.stderr), ("out\n", "err\n"))
        self.assertGreater(finished.peak_mib, 0.1)

    def test_a_failure_is_one_line(self):
        with self.assertRaisesRegex(processes.BenchmarkError, r"^sh -c \.\.\. ended with 3; .*\.$"):
            processes.run(["sh", "-c", "exit 3"], ".")

    def test_a_missing_program_is_one_line(self):
        with self.assertRaisesRegex(processes.BenchmarkError, "no-such-tool cannot be started"):
            processes.run(["./no-such-tool"], ".")


class Evaluation(unittest.TestCase):
    """The themes of the evaluation tools, on a folder of made-up data."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.scratch = self.root / "scratch"
        places = sides.Places(shards=(), scratch="scratch")
        self.setting = types.SimpleNamespace(root=folder.name, places=places, sources="data", threads=2, num_rounds=1)
        for task in ("hellaswag", "arc_easy", "boolq", "piqa"):
            self.write(f"data/eval/{task}.jsonl", [{"number": i} for i in range(300)])
        self.write("data/eval/mmlu.jsonl", [{"subject": f"s{i % 10}", "number": i} for i in range(30)])
        self.write("data/eval/rtp.jsonl", [{"prompt": {"text": f"p{i}", "toxicity": None}} for i in range(30)])
        self.write("data/minilm-a/config.json", [{}])

    def write(self, name, rows):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def read_side(self, side, stdout=""):
        return side.read(types.SimpleNamespace(seconds=9.0, peak_mib=50.0, stdout=stdout), self.scratch)

    def both(self, values):
        """Runs of the first task: cpx's with log-likelihoods -1 and -2, the harness's with `values`."""
        self.write("scratch/choice.json", [{"tasks": [{"documents": 2, "acc": 0.5}], "seconds": 0.5}])
        self.write("scratch/choice_items.jsonl", [{"document": 0, "log_likelihoods": [-1.0]},
                                                  {"document": 1, "log_likelihoods": [-2.0]}])  # fmt: skip
        told = {"documents": 2, "seconds": 4.0, "log_likelihoods": values, "correct": 1.0}
        plan = evaluation.choice(self.setting)
        cpx, peer = plan.sides[:2]
        runs = {cpx.name: self.read_side(cpx), peer.name: self.read_side(peer, "Loading\n" + json.dumps(told))}
        measured = [rounds.Round({2: 100.0}, runs)]
        tolerance = rounds.TOLERANCES[plan.compared]
        return rounds.Measured(measured, rounds.disagreements(measured, plan.sides[:2], tolerance)), plan.sides[:2]

    def test_speed_is_in_documents_of_scoring(self):
        measured, (cpx, peer) = self.both([-1.0, -2.0004])
        self.assertEqual(measured.faults, [])
        self.assertAlmostEqual(rounds.ratio(measured, cpx.name, peer.name, "documents_per_second"), 8.0)
        self.assertIn("| harness-hellaswag | 2 | 2 | 1 and 1 | 4.0e-04 |",
                      page.section(evaluation.agreement_table(measured, (cpx, peer))))  # fmt: skip

    def test_another_log_likelihood_forbids_a_ratio(self):
        measured, (cpx, peer) = self.both([-1.0, -2.002])
        self.assertEqual(measured.faults, ["harness-hellaswag differs from cpx-hellaswag by 2.0e-03 (allowed: 1e-03)."])
        self.assertIsNone(rounds.ratio(measured, cpx.name, peer.name, "documents_per_second"))

    def test_both_sides_read_the_same_documents(self):
        plan = evaluation.choice(self.setting)
        for cpx, peer in zip(plan.sides[::2], plan.sides[1::2]):
            name = cpx.name.removeprefix("cpx-")
            task = name.removesuffix("-subject")
            self.assertIn(f"{task}=scratch/{name}_documents.jsonl", cpx.command(self.setting.places))
            self.assertIn(f"scratch/{name}_documents.jsonl", peer.command(self.setting.places))
        documents = (self.scratch / "boolq_documents.jsonl").read_text(encoding="utf-8").splitlines()
        self.assertEqual([json.loads(line)["number"] for line in documents], list(range(100)))

    def test_documents_can_be_put_under_one_subject(self):
        evaluation.choice(self.setting)
        subjects = {}
        for name in ("mmlu", "mmlu-subject"):
            lines = (self.scratch / f"{name}_documents.jsonl").read_text(encoding="utf-8").splitlines()
            subjects[name] = [json.loads(line)["subject"] for line in lines]
        self.assertEqual(subjects["mmlu"], [f"s{i % 10}" for i in range(30)])
        self.assertEqual(subjects["mmlu-subject"], ["s0"] * 30)

    def test_subjects_are_compared_in_the_order_of_the_file(self):
        items = [{"subject": subject, "document": i} for subject in ("b", "a") for i in (0, 1)]
        documents = [{"subject": "a"}, {"subject": "a"}, {"subject": "b"}, {"subject": "b"}]
        self.assertEqual([(item["subject"], item["document"]) for item in evaluation.in_file_order(items, documents)],
                         [("a", 0), ("a", 1), ("b", 0), ("b", 1)])  # fmt: skip

    def test_prompts_a_second_include_scoring(self):
        plan = evaluation.toxicity(self.setting)
        self.assertEqual(len((self.scratch / evaluation.PROMPTS_FILE).read_text().splitlines()), 20)
        self.write("scratch/toxicity.json", [{"prompts": 20, "continuations": 500}])
        cpx = self.read_side(plan.sides[0])
        peer = self.read_side(plan.sides[1], json.dumps({"prompts": 20, "texts": 500, "seconds": 40.0}))
        self.assertEqual(cpx.tokens, peer.tokens)
        self.assertAlmostEqual(cpx.documents_per_second, 20 / 9)  # the whole process
        self.assertAlmostEqual(peer.documents_per_second, 0.5)

    def test_data_that_are_missing_are_named(self):
        (self.root / "data/eval/piqa.jsonl").unlink()
        with self.assertRaisesRegex(processes.BenchmarkError, "^data/eval/piqa.jsonl: no such file. It is no part of cpx; "
                                    "benchmarks/README.md says what it is, and --sources where it lies.$"):  # fmt: skip
            evaluation.choice(self.setting)


if __name__ == "__main__":
    unittest.main()
