"""Apart: ranks that take their own steps, each on its share of every batch, and merge when the method says so.

Between merges nothing crosses but each step's loss, which is reported. What is merged, and how, is the method's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from harness.errors import NotApplicable
from harness.method import Method
from harness.updates import SparseUpdates
from runners.ranks import Ranks
from runners.shards import Shards


@dataclass(frozen=True)
class Apart(Ranks):
    """Ranks of which each trains by its own gradients."""

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Leave gradients as they are: they are this rank's own."""


def ranks_for(method: Method, ranks: Ranks) -> Ranks:
    """Return how ``ranks`` train a method together: apart from each other where it asks for that.

    Raises:
        NotApplicable: if it asks for another number of ranks than there are, or for ranks in shares.
    """
    asked = method.ranks if isinstance(method, SparseUpdates) else 1
    if asked == 1:
        return ranks
    if isinstance(ranks, Shards):
        raise NotApplicable("its ranks train apart, each on a whole backbone; leave sharded out of resources")
    if ranks.count != asked:
        raise NotApplicable(
            f"asks for {asked} ranks and has {ranks.count}; give the suite resources: {{ranks: {asked}}}"
        )
    return Apart(ranks.index, ranks.count)
