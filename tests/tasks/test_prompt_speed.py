"""On the requests alone, our scoring takes no more time than lm-eval's own, and says the same."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]

from harness.around import quiet
from harness.live import live, respond
from runners.specimen import start
from tests.tasks.lm_tasks import TASKS, backbone, write

ROUNDS, BATCH, LENGTH = 6, 8, 96


@pytest.mark.slow
@pytest.mark.parametrize("method", ["base", "lora"])
@pytest.mark.parametrize("task", ["choice", "text"])
def test_scoring_takes_no_more_processor_time_than_lm_evals_own(task: str, method: str, tmp_path: Path) -> None:
    """Processor time in turns, the least of each: another load on the machine slows some of them down."""
    toys, loaded = write(tmp_path, {task: TASKS[task]}, validation=32), backbone("tiny:llama@256x4")
    start(method, loaded, values={"rank": 8} if method == "lora" else {})
    loaded.model.eval()
    examples = toys.encode(task, loaded.tokenizer, LENGTH)
    asked = examples.extra["asked"]
    instances = [instance for item in asked.items for instance in item.instances]

    def ours() -> list[Any]:
        with live(loaded.model, loaded.tokenizer, BATCH, LENGTH) as scorer:
            respond(scorer, asked, examples.extra["encoded"])
        return [instance.resps[0] for instance in instances]

    def lm_evals() -> list[Any]:
        with quiet():
            scorer = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=BATCH, max_length=LENGTH)
            said: list[Any] = getattr(scorer, instances[0].request_type)(instances, disable_tqdm=True)
        return said

    spent: dict[Any, list[float]] = {ours: [], lm_evals: []}
    with torch.no_grad():
        assert ours() == lm_evals()  # a first round, which also warms up
        for turn in range(ROUNDS):
            for scoring in (ours, lm_evals)[:: 1 if turn % 2 else -1]:
                began = time.process_time()
                scoring()
                spent[scoring].append(time.process_time() - began)
    assert min(spent[ours]) < 1.05 * min(spent[lm_evals]), spent
