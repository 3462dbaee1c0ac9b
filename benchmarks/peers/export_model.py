# SPDX-License-Identifier: Apache-2.0
"""Writes what both sides load: a GGUF as a float32 Hugging Face folder, and starting adapters.

In OUT: model/, adapter-qv/ and adapter-all-linear/ (rank 64, alpha 16, both factors random: with B = 0
there would be no gradient for A in the first step), and adapter-fresh/ (all linear layers, B = 0: the start of
preference training, whose reference is the base model).
"""

import argparse
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

TARGETS = {
    "qv": ["q_proj", "v_proj"],
    "all-linear": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}


def export_tokenizer(gguf, out):
    """The GGUF says `smollm`: digits stand alone. transformers loses that step, so it is put back."""
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    backend = tokenizer.backend_tokenizer
    digits = pre_tokenizers.Digits(individual_digits=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])
    tokenizer.save_pretrained(out)


def export_model(gguf, out):
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    model.hf_quantizer = None  # the weights are plain float32 by now
    del model.config.quantization_config
    model.save_pretrained(out)


def export_adapter(model_folder, targets, out, is_fresh=False):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    config = LoraConfig(r=64, lora_alpha=16, lora_dropout=0.0, target_modules=targets)
    model = get_peft_model(model, config)
    for name, value in model.named_parameters():
        if "lora_B" in name and not is_fresh:
            torch.nn.init.normal_(value, std=0.01)
    model.save_pretrained(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model_folder = arguments.out / "model"
    export_model(arguments.gguf, model_folder)
    export_tokenizer(arguments.gguf, model_folder)
    for name, targets in TARGETS.items():
        export_adapter(model_folder, targets, arguments.out / f"adapter-{name}")
    export_adapter(model_folder, TARGETS["all-linear"], arguments.out / "adapter-fresh", is_fresh=True)


if __name__ == "__main__":
    main()
