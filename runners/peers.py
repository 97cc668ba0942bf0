"""Peers: the other processes of a worker whose runs are trained by several ranks.

The worker is rank 0: it alone opens attempts, scores and writes records. Its peers execute every job in step with it
and write nothing. One that fails alone ends its process, which the others notice at their next exchange of gradients;
the worker's attempt then fails, and the worker is replaced together with its peers.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.environment import limit_threads
from harness.errors import Diverged, MissingPrerequisite, NotApplicable
from harness.spec import Spec

if TYPE_CHECKING:
    from runners.ranks import Ranks

TOGETHER = (Diverged, MissingPrerequisite, NotApplicable)
"""What every rank meets at the same point: all go on with the next job."""


class Peers:
    """The other ranks of this process, which sends them its jobs.

    Raises:
        RuntimeError: if they cannot be started.
    """

    def __init__(self, count: int, device: str, threads: int, mirror: str | None, sharded: bool = False) -> None:
        os.environ |= _meeting_point(count)
        command = [sys.executable, "-m", "runners.peers", "--device", device, "--threads", str(threads)]
        command += ["--mirror", mirror] if mirror else []
        command += ["--sharded"] if sharded else []
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=_place(rank))
            for rank in range(1, count)
        ]
        os.environ |= _place(0)
        self.ranks = joined(device, sharded)

    def send(self, spec: Spec) -> None:
        """Let every peer execute a job."""
        for process in self._processes:
            assert process.stdin is not None
            with suppress(OSError):  # one that is gone is noticed when gradients are exchanged
                process.stdin.write(spec.model_dump_json() + "\n")
                process.stdin.flush()

    def killed(self) -> bool:
        """Return whether a peer was killed, as opposed to one that failed as this process did."""
        return any((process.poll() or 0) < 0 for process in self._processes)


def _meeting_point(count: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def _place(rank: int) -> Mapping[str, str]:
    return {**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank)}


def device_of(device: str, rank: int) -> str:
    """Return a rank's own device: each has a GPU for itself, and all share a CPU."""
    return f"cuda:{rank}" if device.startswith("cuda") else device


def joined(device: str, sharded: bool) -> Ranks:
    """Join the other ranks; see ``runners.ranks.join``."""
    from runners.ranks import join
    from runners.shards import Shards

    ranks = join(device)
    return Shards(ranks.index, ranks.count) if sharded else ranks


def home_of(sharded: bool) -> str | None:
    """Return where a rank's backbones wait, if not on its device: one that is to be divided must not go there whole."""
    return "cpu" if sharded else None


def main() -> NoReturn:
    """Execute what rank 0 sends, until it closes standard input."""
    options = _arguments()
    limit_threads(options.threads)
    import torch

    from harness.data import DataSource
    from runners.execute import Outcome, execute
    from runners.warm import Warm

    torch.set_num_threads(options.threads)
    ranks = joined(options.device, options.sharded)
    device = device_of(options.device, ranks.index)
    warm = Warm(DataSource.of(options.mirror), device, home_of(options.sharded))
    for line in sys.stdin:
        with suppress(*TOGETHER):  # another error ends this process, and the group with it
            execute(Spec.model_validate_json(line), warm, Outcome(), "none", ranks=ranks)
    sys.stdout.flush()
    os._exit(0)  # rank 0 is gone, and with it the group that an orderly end would wait for


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m runners.peers", description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--sharded", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
