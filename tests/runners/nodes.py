"""Ray's own cluster for tests: several nodes on this machine, with cores and devices that are not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STORE = 80 << 20
"""Shared memory of a node; Ray takes no less than 75 MiB."""


@contextmanager
def nodes(count: int, devices: int = 1) -> Iterator[Any]:  # Any: Ray has no types
    """Yield a cluster of a head that runs nothing, and of nodes that each have so many cores and as many devices."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, "object_store_memory": STORE})
    try:
        for _ in range(count):
            add_node(made, devices)
        yield made
    finally:
        made.shutdown()


def add_node(cluster: Any, devices: int = 1) -> None:  # Any: as above
    """Add a node."""
    cluster.add_node(num_cpus=devices, num_gpus=devices, object_store_memory=STORE)
