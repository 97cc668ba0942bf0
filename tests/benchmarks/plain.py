"""One cell as it is plainly written with transformers.Trainer and peft: what the harness is compared with.

Usage: python -m tests.benchmarks.plain MIRROR TASK METHOD SEED [THREADS]
Training values and rows are those of ``matrix.yaml``, with one thread if none are given; it trains, validates,
scores and prints the accuracy.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import registry
from harness.backbone import locate
from harness.suite import read

SUITE = read(str(Path(__file__).parent / "matrix.yaml"))


def main(mirror: str, task: str, method: str, seed: int, threads: int = 1) -> None:
    """Train and score one cell."""
    from datasets import load_dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    torch.set_num_threads(threads)
    values, sizes, card = SUITE.training, SUITE.sizes, registry.load_task(task).card
    source = Path(mirror, str(card.source.hub), str(card.source.config))
    files = {"train": str(source / "train.parquet"), "validation": str(source / "validation.parquet")}
    data: Any = load_dataset("parquet", data_files=files)  # Any: datasets has no types
    weights = locate(SUITE.backbones[0]).folder
    tokenizer = AutoTokenizer.from_pretrained(weights)
    texts = [card.columns[field] for field in ("text", "text_pair") if field in card.columns]

    def encode(rows: Any) -> Any:
        encoded = tokenizer(*(rows[text] for text in texts), truncation=True, max_length=values.max_length)
        return {**encoded, "labels": rows[card.columns["label"]]}

    columns = data["train"].column_names
    train = data["train"].shuffle(seed=0).select(range((sizes.train or 0) + (sizes.validation or 0)))
    train = train.map(encode, batched=True, remove_columns=columns)
    test = data["validation"].shuffle(seed=0).select(range(sizes.test or 0))
    test = test.map(encode, batched=True, remove_columns=columns)

    torch.manual_seed(seed)
    model: Any = AutoModelForSequenceClassification.from_pretrained(weights, num_labels=len(card.labels))
    if method == "lora":
        model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "value"]))
    if method == "head_only":
        for parameter in model.base_model.parameters():
            parameter.requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=values.batch_size,
            per_device_eval_batch_size=64,
            num_train_epochs=values.epochs,
            learning_rate=values.lr,
            warmup_steps=values.warmup,  # under 1: a share
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            seed=seed,
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=train.select(range(sizes.train or 0)),
            eval_dataset=train.select(range(sizes.train or 0, len(train))),
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda found: {"accuracy": float(np.mean(found[0].argmax(-1) == found[1]))},
        )
        trainer.train()
        print(task, method, seed, trainer.predict(test).metrics["test_accuracy"])  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))  # type: ignore[misc]  # three texts, one or two numbers
