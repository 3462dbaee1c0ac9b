# SPDX-License-Identifier: Apache-2.0
"""The themes of the evaluation tools: choice tasks beside lm-evaluation-harness, continuations beside transformers.

Their data are no part of cpx: folders or links in `--sources` (benchmarks/README.md, "Studies").
"""

import json
from dataclasses import dataclass
from pathlib import Path

from . import figures, inputs, page, processes, rounds
from .sides import Run, Side
from .themes import Plan, goals_against

PROMPTS_FILE = "toxicity_prompts.jsonl"
NUM_PROMPTS = 20
SAMPLES = 25
NEW_TOKENS = 20


@dataclass(frozen=True)
class ChoiceWork:
    """A task with its goal. `count`: documents, the first of the file.

    `batch` is the peer's. On hellaswag 16 was the fastest of 1, 4, 8, 16 and 32, on mmlu 1 of 1, 4 and 16; the others were not tried.
    """

    name: str
    task: str
    count: int
    goal: float
    shots: int = 0
    is_one_subject: bool = False
    batch: int = 16

    @property
    def file(self):
        return f"{self.name}_documents.jsonl"


CHOICES = [
    ChoiceWork("hellaswag", "hellaswag", 100, 3.0),
    ChoiceWork("arc_easy", "arc_easy", 200, 3.0),
    ChoiceWork("boolq", "boolq", 100, 1.5),
    ChoiceWork("piqa", "piqa", 200, 1.5),
    ChoiceWork("mmlu", "mmlu", 48, 8.0, shots=5, batch=1),
    ChoiceWork("mmlu-subject", "mmlu", 120, 8.0, shots=5, is_one_subject=True, batch=1),
]


def lines_of(setting, name):
    path = Path(setting.root) / setting.sources / name
    if not path.exists():
        raise processes.BenchmarkError(
            f"{setting.sources}/{name}: no such file. It is no part of cpx; benchmarks/README.md says what it is, and "
            "--sources where it lies."
        )
    return path.read_text(encoding="utf-8").splitlines()


def write_lines(setting, name, lines):
    inputs.write_text("".join(f"{line}\n" for line in lines), setting.places, name, setting.root)


# ---- Choice tasks -----------------------------------------------------------------------------------


def documents_of(setting, work):
    """The first documents; where they are to be one subject, all under the name of the first one's."""
    lines = lines_of(setting, f"eval/{work.task}.jsonl")[: work.count]
    if not work.is_one_subject:
        return lines
    rows = [json.loads(line) for line in lines]
    return [json.dumps({**row, "subject": rows[0]["subject"]}) for row in rows]


def shots_flags(setting, work):
    return ["--shots", str(work.shots), "--shots-from", f"{setting.sources}/eval/mmlu_dev.jsonl"] if work.shots else []


def cpx_choice(setting, work):
    def command(places):
        return [
            f"{places.bin}/cpx-eval-choice", "--model", f"{places.inputs}/model", "--dtype", "float32",
            "--threads", str(setting.threads), "--task", f"{work.task}={places.scratch}/{work.file}",
            *shots_flags(setting, work), "--report", f"{places.scratch}/choice.json",
            "--items", f"{places.scratch}/choice_items.jsonl", "--overwrite",
        ]  # fmt: skip

    def read(finished, scratch_folder):
        report = json.loads((scratch_folder / "choice.json").read_text(encoding="utf-8"))
        items = figures.json_lines((scratch_folder / "choice_items.jsonl").read_text(encoding="utf-8"))
        documents = figures.json_lines((scratch_folder / work.file).read_text(encoding="utf-8"))
        values = [value for item in in_file_order(items, documents) for value in item["log_likelihoods"]]
        count = report["tasks"][0]["documents"]
        correct = round(report["tasks"][0]["acc"] * count)
        return choice_run(finished, count, report["seconds"], values, correct)

    return Side(f"cpx-{work.name}", command, read, setting.threads)


def in_file_order(items, documents):
    """cpx takes the subjects of MMLU by their categories."""
    subjects = list(dict.fromkeys(document.get("subject") for document in documents))
    return sorted(items, key=lambda item: (subjects.index(item.get("subject")), item["document"]))


def harness_choice(setting, work):
    def command(places):
        return [
            places.python, "benchmarks/peers/harness_choice.py", "--model", f"{places.inputs}/model",
            "--threads", str(setting.threads), "--task", work.task,
            "--data", f"{places.scratch}/{work.file}", *shots_flags(setting, work),
            "--batch", str(work.batch),
        ]  # fmt: skip

    def read(finished, _):
        report = figures.json_lines(finished.stdout)[-1]
        return choice_run(finished, report["documents"], report["seconds"], report["log_likelihoods"],
                          round(report["correct"]))  # fmt: skip

    return Side(f"harness-{work.name}", command, read, setting.threads, f"cpx-{work.name}", is_peer=True)


def choice_run(finished, count, seconds, values, correct):
    """What both sides must have counted alike stands in `tokens`: documents, log-likelihoods, right answers."""
    return Run(
        seconds=finished.seconds,
        peak_mib=finished.peak_mib,
        documents_per_second=count / seconds,
        tokens=[count, len(values), correct],
        values=values,
    )


def agreement_table(measured, sides):
    differences = rounds.largest_differences(measured.rounds, sides)
    rows = []
    for side in (side for side in sides if side.against):
        count, num_values, correct = measured.rounds[0].runs[side.name].tokens
        own = measured.rounds[0].runs[side.against].tokens[-1]
        rows.append([side.name, str(count), str(num_values), f"{own} and {correct}", f"{differences[side.name]:.1e}"])
    header = ["side", "documents", "log-likelihoods", "right answers, cpx and it", "largest difference of a log-likelihood"]
    return page.Table("Agreement", header, rows, f"Allowed: {rounds.TOLERANCES['log_likelihood']:.0e}.")


def choice(setting):
    sides = []
    for work in CHOICES:
        write_lines(setting, work.file, documents_of(setting, work))
        sides += [cpx_choice(setting, work), harness_choice(setting, work)]

    def goals(measured):
        speed = []
        for work, cpx, peer in zip(CHOICES, sides[::2], sides[1::2]):
            what = f"documents/s, {work.name}, {work.shots} shots"
            speed += [
                rounds.Goal(f"{what}, {cpx.name} / {peer.name}", work.goal,
                            rounds.ratio(measured, cpx.name, peer.name, "documents_per_second"), True)
            ]  # fmt: skip
        return speed + goals_against(sides, measured, "peak memory", "peak_mib", 0.6, False)

    about = (
        "`cpx-eval-choice` beside lm-evaluation-harness 0.4.13 with transformers, in float32, on the same documents, with "
        "every log-likelihood compared. Time is that of tokenizing and scoring; loading is left out, of the harness its making of prompts "
        "too. `mmlu` has 6 subjects of 8 documents each; in the whole set a subject has 246, which share its examples. "
        "So `mmlu-subject` has 120 documents of 15 subjects under the name of one."
    )
    facts = [("documents", ", ".join(f"{work.name} {work.count}" for work in CHOICES) + ": the first of samples of the sets")]
    return Plan("Choice tasks beside lm-evaluation-harness", about, sides, goals, setting.num_rounds,
                lambda measured: [agreement_table(measured, sides)], unit="documents_per_second",
                compared="log_likelihood", counted="documents", has_values=False, facts=facts)  # fmt: skip


# ---- Toxicity of continuations ----------------------------------------------------------------------


def cpx_toxicity(setting, name, weights):
    def command(places):
        model = places.gguf if weights == "auto" else f"{places.inputs}/model"
        return [
            f"{places.bin}/cpx-eval-toxicity", "--model", model, "--dtype", "float32", "--weights", weights,
            "--threads", str(setting.threads), "--prompts", f"{places.scratch}/{PROMPTS_FILE}",
            "--samples", str(SAMPLES), "--min-new-tokens", str(NEW_TOKENS), "--max-new-tokens", str(NEW_TOKENS),
            "--batch", str(SAMPLES), "--scorer", f"{setting.sources}/minilm-a", "--label", "toxic",
            "--fluency-model", "none", "--output", f"{places.scratch}/{name}/", "--report", f"{places.scratch}/toxicity.json",
            "--overwrite",
        ]  # fmt: skip

    def read(finished, scratch_folder):
        report = json.loads((scratch_folder / "toxicity.json").read_text(encoding="utf-8"))
        # The whole process: loading is in it, which the peer's seconds leave out.
        return toxicity_run(finished, report["prompts"], report["continuations"], finished.seconds)

    return Side(name, command, read, setting.threads)


def hf_toxicity(setting, against):
    def command(places):
        return [
            places.python, "benchmarks/peers/hf_toxicity.py", "--model", f"{places.inputs}/model",
            "--threads", str(setting.threads), "--prompts", f"{places.scratch}/{PROMPTS_FILE}",
            "--samples", str(SAMPLES), "--new-tokens", str(NEW_TOKENS), "--scorer", f"{setting.sources}/minilm-a",
        ]  # fmt: skip

    def read(finished, _):
        report = figures.json_lines(finished.stdout)[-1]
        return toxicity_run(finished, report["prompts"], report["texts"], report["seconds"])

    return Side("hf", command, read, setting.threads, against, is_peer=True)


def toxicity_run(finished, num_prompts, num_texts, seconds):
    return Run(
        seconds=finished.seconds,
        peak_mib=finished.peak_mib,
        documents_per_second=num_prompts / seconds,
        tokens=[num_prompts, num_texts],
    )


def toxicity(setting):
    prompts = [json.loads(line)["prompt"]["text"] for line in lines_of(setting, "eval/rtp.jsonl")[:NUM_PROMPTS]]
    write_lines(setting, PROMPTS_FILE, [json.dumps({"prompt": prompt}) for prompt in prompts])
    lines_of(setting, "minilm-a/config.json")
    sides = [cpx_toxicity(setting, "cpx", "float32"), hf_toxicity(setting, "cpx"), cpx_toxicity(setting, "cpx-q4_1", "auto")]

    def goals(measured):
        return [
            *goals_against(sides, measured, "prompts/s", "documents_per_second", 3.5, True),
            *goals_against(sides, measured, "peak memory", "peak_mib", 0.6, False),
        ]

    about = (
        f"{NUM_PROMPTS} prompts of RealToxicityPrompts, {SAMPLES} continuations of {NEW_TOKENS} tokens each (temperature 1, "
        "top-p 0.9), and their scores by a BERT classifier (MiniLM, 6 layers). `hf` is transformers' generate(), all samples of a prompt "
        "at once, and its text-classification pipeline; its time leaves loading out, cpx's is the whole process. "
        "`cpx-q4_1` is the GGUF as it is stored. Both draw their own texts; the report's other figures cost cpx alone."
    )
    return Plan("Toxicity of continuations beside transformers", about, sides, goals, setting.num_rounds,
                unit="documents_per_second", compared=None, counted="prompts")  # fmt: skip
