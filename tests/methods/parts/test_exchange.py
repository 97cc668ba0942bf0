"""The exchange: what a rank tells the others arrives, and is counted; one that is alone tells nobody anything."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from methods.parts.exchange import Exchange
from tests.methods.together import together

NUMBERS = torch.tensor([1.0, 2.0, 4.0])


def exchange(index: int) -> dict[str, Any]:
    """Say something in every way there is; return what came back."""
    exchange = Exchange(2)
    mine = NUMBERS * (index + 1)
    found = {
        "total": exchange.total(mine),
        "gather": exchange.gather(mine),
        "agree": exchange.agree(mine),
        "mine": mine,
    }
    return {**found, "index": exchange.index, "sent": exchange.sent_bytes, "other size": Exchange(3).together()}


def main(index: int, folder: str) -> None:
    """Take part as one of two processes."""
    Path(folder, str(index)).write_bytes(pickle.dumps(exchange(index)))


def test_two_ranks_hear_each_other_and_count_what_they_said(tmp_path: Path) -> None:
    together("tests.methods.parts.test_exchange", str(tmp_path))
    for index in (0, 1):
        found = pickle.loads((tmp_path / str(index)).read_bytes())
        assert found["index"] == index
        assert torch.equal(found["total"], 3 * NUMBERS)
        assert [one.tolist() for one in found["gather"]] == [NUMBERS.tolist(), (2 * NUMBERS).tolist()]
        assert torch.equal(found["agree"], NUMBERS)
        assert torch.equal(found["mine"], NUMBERS * (index + 1)), "what a rank holds is changed by nobody else"
        assert found["sent"] == (3 if index == 0 else 2) * 12, "only the first rank speaks where all are to agree"
        assert not found["other size"], "a group of two is no exchange of three"


def test_a_rank_alone_hears_itself_and_sends_nothing() -> None:
    for exchange in (Exchange(1), Exchange(2)):
        assert (exchange.index, exchange.together()) == (0, False)
        assert exchange.total(NUMBERS) is NUMBERS
        assert exchange.agree(NUMBERS) is NUMBERS
        assert exchange.gather(NUMBERS) == [NUMBERS]
        assert exchange.sent_bytes == 0


if __name__ == "__main__":
    from tests.methods.together import take_part

    take_part(main)
