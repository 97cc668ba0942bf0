"""Two processes that form a group over gloo on this machine, for the tests of what is trained together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import torch

SECONDS = 240


def together(module: str, *arguments: str) -> None:
    """Run a module as two ranks, each with its index before the arguments, to their good end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module, str(rank), *arguments],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    try:
        assert [one.wait(SECONDS) for one in both] == [0, 0]
    finally:
        for one in both:
            one.kill()


def take_part(main: Callable[..., None]) -> None:
    """Join the other rank, call ``main`` with this rank's index and the arguments, and leave."""
    from runners.ranks import join

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    join("cpu")
    main(int(sys.argv[1]), *sys.argv[2:])
    torch.distributed.destroy_process_group()
