# SPDX-License-Identifier: Apache-2.0
"""DPO or SimPO with TRL: the work of `cpx-train` with `objective.name: dpo` or `simpo` and `shuffle: false`.

Reads JSON lines of prompt, chosen, rejected. Prints a line a step (loss, pairs, tokens, seconds), then the peak memory.
Tokens are counted in the batches that the model gets, as cpx counts them: a prompt once a pair, of each answer all but
the last; with pads they are all that goes through the layers.
"""

import inspect
import json
import tempfile
import time

import torch
from datasets import Dataset
from peft import PeftModel
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback

import hf_common


class Clock(TrainerCallback):
    """The seconds of each optimizer step."""

    def __init__(self):
        self.seconds = []

    def on_step_begin(self, *_, **__):
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.perf_counter() - self.start)


def counts_of(batch):
    """Of a batch of either trainer: tokens as cpx counts them, and with pads."""
    if "completion_mask" in batch:  # DPO: the chosen texts, then the rejected ones
        real, predicted = batch["attention_mask"], batch["completion_mask"]
        padded = batch["input_ids"].numel()
        num_pairs = len(real) // 2
    else:
        chosen, rejected = batch["chosen_attention_mask"], batch["rejected_attention_mask"]
        length = max(chosen.shape[1], rejected.shape[1])
        real = torch.cat([torch.nn.functional.pad(mask, (0, length - mask.shape[1])) for mask in (chosen, rejected)])
        labels = (batch["chosen_labels"], batch["rejected_labels"])
        predicted = torch.cat([torch.nn.functional.pad(ids != -100, (0, length - ids.shape[1])) for ids in labels])
        padded = real.numel()
        num_pairs = len(chosen)
    answers, prompts = predicted.sum(1), (real - predicted.to(real.dtype)).sum(1)
    return {"tokens": int(prompts[:num_pairs].sum() + (answers - 1).sum()), "padded_tokens": padded, "pairs": num_pairs}


def with_counts(trainer):
    """The trainer, and a list that gets the counts of each step's batch."""
    counts = []
    step = trainer.training_step

    def counted(model, inputs, *rest, **named):
        counts.append(counts_of(inputs))
        return step(model, inputs, *rest, **named)

    trainer.training_step = counted
    return trainer, counts


def in_file_order(trainer):
    """The trainer with its pairs in the order of the file."""
    trainer._get_train_sampler = lambda *_: SequentialSampler(trainer.train_dataset)
    return trainer


def known(config, **settings):
    """`settings` without those that the installed version does not have."""
    names = inspect.signature(config).parameters
    return config(**{name: value for name, value in settings.items() if name in names})


def common_settings(arguments, folder):
    return {
        "output_dir": folder, "max_steps": arguments.steps, "per_device_train_batch_size": arguments.pairs,
        "gradient_checkpointing": arguments.checkpointing, "learning_rate": 2e-4, "lr_scheduler_type": "constant",
        "weight_decay": 0.001, "max_grad_norm": 0.3, "optim": "adamw_torch_fused", "logging_steps": 1,
        "report_to": "none", "save_strategy": "no", "use_cpu": True, "bf16": False, "fp16": False, "seed": 1,
        "disable_tqdm": True, "remove_unused_columns": False, "dataloader_num_workers": 0,
        "max_length": 512, "disable_dropout": True,
    }  # fmt: skip


def make_trainer(arguments, model, tokenizer, dataset, folder):
    clock = Clock()
    settings = common_settings(arguments, folder)
    if arguments.loss == "dpo":
        from trl import DPOConfig, DPOTrainer

        config = known(DPOConfig, **settings, beta=0.1, loss_type=["sigmoid"],
                       precompute_ref_log_probs=arguments.precompute)  # fmt: skip
        trainer = DPOTrainer(model, args=config, train_dataset=dataset, processing_class=tokenizer, callbacks=[clock])
    else:
        from trl.experimental.cpo import CPOConfig, CPOTrainer

        config = known(CPOConfig, **settings, beta=2.0, loss_type="simpo", simpo_gamma=0.5, cpo_alpha=0.0)
        trainer = CPOTrainer(model, args=config, train_dataset=dataset, processing_class=tokenizer, callbacks=[clock])
    return in_file_order(trainer), clock


def main():
    parser = hf_common.parser(__doc__)
    parser.add_argument("--adapter", required=True, help="PEFT folder to start from; its B matrices are zero")
    parser.add_argument("--data", required=True, help="JSON lines of pairs")
    parser.add_argument("--loss", choices=["dpo", "simpo"], default="dpo")
    parser.add_argument("--pairs", type=int, default=8, help="of a step")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--checkpointing", action="store_true", help="TRL's default: blocks are computed twice")
    parser.add_argument("--precompute", action="store_true", help="the reference's log-probabilities before the steps")
    arguments = parser.parse_args()

    model, tokenizer = hf_common.load(arguments.model, arguments.threads)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if arguments.loss == "simpo":
        # CPOTrainer puts a BOS before every prompt where the tokenizer has one, though this tokenizer itself puts none:
        # cpx, DPOTrainer and generate() see the texts without it.
        tokenizer.bos_token = None
    model = PeftModel.from_pretrained(model, arguments.adapter, is_trainable=True)
    with open(arguments.data, encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file]
    dataset = Dataset.from_list(pairs)
    with tempfile.TemporaryDirectory() as folder:
        trainer, clock = make_trainer(arguments, model, tokenizer, dataset, folder)
        trainer, counts = with_counts(trainer)
        torch.set_num_threads(arguments.threads)
        trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    for step, (loss, seconds, count) in enumerate(zip(losses, clock.seconds, counts)):
        hf_common.emit(step=step + 1, loss=loss, contrast=loss, **count, seconds=seconds)
    hf_common.emit(peak_memory_mib=hf_common.peak_memory_mib())


if __name__ == "__main__":
    main()
