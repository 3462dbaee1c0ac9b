# SPDX-License-Identifier: Apache-2.0
"""A choice task with lm-evaluation-harness on transformers: the work of `cpx-eval-choice`.

The harness is the real one, with its own tasks and prompts; only its data come from local files. Time is that of its
scoring, tokenizing included, loading and the making of prompts left out.
"""

import json
import os
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read where the libraries are imported: no network is asked

import datasets
import lm_eval.evaluator
import torch
from lm_eval.models.huggingface import HFLM

import hf_common

# What the harness asks the hub for: the evaluated split of a data set and configuration.
SPLITS = {
    ("Rowan/hellaswag", None): "validation",
    ("baber/piqa", None): "validation",
    ("allenai/ai2_arc", "ARC-Easy"): "test",
    ("allenai/openbookqa", "main"): "test",
    ("aps/super_glue", "boolq"): "validation",
}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def local_data(documents, examples):
    """What takes the place of datasets.load_dataset."""

    def load(path, name=None, **_):
        if path == "cais/mmlu":
            return datasets.DatasetDict(
                {
                    split: datasets.Dataset.from_list([row for row in rows if row["subject"] == name])
                    for split, rows in (("test", documents), ("dev", examples))
                }
            )
        rows = datasets.Dataset.from_list(documents)
        return datasets.DatasetDict({SPLITS[(path, name)]: rows, "train": rows})

    return load


class TimedModel(HFLM):
    """Adds up the seconds of scoring."""

    seconds = 0.0

    def loglikelihood(self, requests, **options):
        start = time.perf_counter()
        scores = super().loglikelihood(requests, **options)
        self.seconds += time.perf_counter() - start
        return scores


def main():
    parser = hf_common.parser(__doc__)
    parser.add_argument("--task", required=True, help="as the harness names it, or mmlu for the subjects of --data")
    parser.add_argument("--data", required=True, type=Path, help="JSONL with the fields of the Hugging Face data set")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--shots-from", type=Path, help="JSONL of MMLU's dev split")
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    documents = read(arguments.data)
    datasets.load_dataset = local_data(documents, read(arguments.shots_from) if arguments.shots_from else [])
    lm_eval.evaluator.add_env_info = lambda _: None  # asks pip
    model = TimedModel(
        pretrained=arguments.model,
        device="cpu",
        dtype="float32",
        batch_size=arguments.batch,
        softmax_dtype="float32",
    )
    names = [arguments.task]
    if arguments.task == "mmlu":
        names = [f"mmlu_{subject}" for subject in dict.fromkeys(row["subject"] for row in documents)]
    results = lm_eval.simple_evaluate(model=model, tasks=names, num_fewshot=arguments.shots, log_samples=True)
    samples = [
        sample
        for name in names
        for sample in sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
    ]
    hf_common.emit(
        documents=len(samples),
        seconds=model.seconds,
        log_likelihoods=[float(response[0][0]) for sample in samples for response in sample["resps"]],
        correct=sum(sample["acc"] for sample in samples),
        peak_memory_mib=hf_common.peak_memory_mib(),
    )


if __name__ == "__main__":
    main()
