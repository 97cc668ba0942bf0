"""Two processes that train together take the steps of one: real ones, over gloo on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from runners.course import Fitted
from runners.ranks import Ranks, join
from tests.runners.toy import examples, started, trainer

ROWS = 30
"""No multiple of the batch: the last batch of an epoch is smaller, and a rank may have none of it."""


def fitted(method: str, ranks: Ranks) -> Fitted:
    attached = started(method)
    for module in attached.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    job = replace(trainer(attached, epochs=2, batch_size=29, lr=1e-2), ranks=ranks)
    attached.method.calibrate(attached.model, job.samples(examples(ROWS)))
    return job.fit(examples(ROWS), examples(24, seed=1, offset=ROWS))


def main(method: str, folder: str) -> None:
    """Train as one of several ranks, and write what came out."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    ranks = join("cpu")
    found = fitted(method, ranks)
    losses = torch.tensor([epoch.train_loss or 0.0 for epoch in found.validation])
    save_file({**found.state, "losses": losses}, Path(folder, f"{ranks.index}.safetensors"))
    torch.distributed.destroy_process_group()


@given(count=st.integers(1, 5), rows=st.lists(st.integers(0, 99), max_size=40, unique=True))
def test_every_row_of_a_batch_is_some_ranks_and_shares_are_even(count: int, rows: list[int]) -> None:
    shares = [Ranks(index, count).share(np.array(rows, dtype=np.int64)).tolist() for index in range(count)]
    assert sorted(sum(shares, [])) == sorted(rows)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("method", ["full", "lora", "random_mask", "goft"])
def test_two_ranks_end_where_one_process_does(method: str, tmp_path: Path) -> None:
    alone = fitted(method, Ranks())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.runners.test_ranks", method, str(tmp_path)]
    both = [
        subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in (0, 1)
    ]
    assert [one.wait(120) for one in both] == [0, 0]
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first), "ranks drifted apart"
    losses = torch.tensor([epoch.train_loss or 0.0 for epoch in alone.validation])
    torch.testing.assert_close(first.pop("losses"), losses, atol=1e-6, rtol=1e-5)
    for name, tensor in alone.state.items():
        torch.testing.assert_close(first[name], tensor, atol=2e-5, rtol=1e-3)


if __name__ == "__main__":
    main(*sys.argv[1:])
