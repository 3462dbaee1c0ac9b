# SPDX-License-Identifier: Apache-2.0
"""DPO or SimPO with TRL: the work of `cpx-train` with `objective.name: dpo` or `simpo` and `shuffle: false`.

Reads JSON lines of prompt, chosen, rejected. Prints a line a step (loss, pairs, real tokens, seconds), then the
peak memory.
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
        "gradient_checkpointing": False, "learning_rate": 2e-4, "lr_scheduler_type": "constant",
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


def real_tokens(pairs, tokenizer):
    """Of both texts of each pair, the prompt in each, EOS at the end."""
    return sum(
        len(tokenizer(pair["prompt"] + pair[side]).input_ids) + 1 for pair in pairs for side in ("chosen", "rejected")
    )


def main():
    parser = hf_common.parser(__doc__)
    parser.add_argument("--adapter", required=True, help="PEFT folder to start from; its B matrices are zero")
    parser.add_argument("--data", required=True, help="JSON lines of pairs")
    parser.add_argument("--loss", choices=["dpo", "simpo"], default="dpo")
    parser.add_argument("--pairs", type=int, default=8, help="of a step")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--precompute", action="store_true", help="the reference's log-probabilities before the steps")
    arguments = parser.parse_args()

    model, tokenizer = hf_common.load(arguments.model, arguments.threads)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = PeftModel.from_pretrained(model, arguments.adapter, is_trainable=True)
    with open(arguments.data, encoding="utf-8") as file:
        pairs = [json.loads(line) for line in file]
    dataset = Dataset.from_list(pairs)
    with tempfile.TemporaryDirectory() as folder:
        trainer, clock = make_trainer(arguments, model, tokenizer, dataset, folder)
        torch.set_num_threads(arguments.threads)
        trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    for step, (loss, seconds) in enumerate(zip(losses, clock.seconds)):
        chosen = pairs[step * arguments.pairs : (step + 1) * arguments.pairs]
        hf_common.emit(step=step + 1, loss=loss, contrast=loss, tokens=len(chosen),
                       real_tokens=real_tokens(chosen, tokenizer), seconds=seconds)  # fmt: skip
    hf_common.emit(peak_memory_mib=hf_common.peak_memory_mib())


if __name__ == "__main__":
    main()
