"""Requests and tokens that were packed come back as they were, for every kind of request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import registry, tiny
from harness.data import DataSource
from harness.encoding import Encoding
from harness.packing import COLUMNS, pack, unpack
from harness.protocol import Examples, meet
from harness.splits import Part
from tests.tasks.lm_tasks import TASKS, write

TOKENIZER = tiny.tokenizer(closed=False)
FACTS = ("inputs", "item_ids", "cluster_ids", "references", "truncated", "notes", "num_bytes")


def equal(first: Examples, second: Examples) -> bool:
    """Return whether two encodings hold the same, requests included."""
    assert [getattr(first, name) for name in FACTS] == [getattr(second, name) for name in FACTS]
    np.testing.assert_array_equal(first.lengths, second.lengths)
    assert first.extra["encoded"] == second.extra["encoded"]
    assert first.extra["order"] == second.extra["order"]
    for one, other in zip(first.extra["asked"].items, second.extra["asked"].items, strict=True):
        assert (one.doc, one.row, one.num_choices, one.gold) == (other.doc, other.row, other.num_choices, other.gold)
        assert one.instances == other.instances
    return True


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("length", [96, 24])
def test_what_was_packed_comes_back_without_a_text_encoded(task: str, length: int, tmp_path: Path) -> None:
    toys = write(tmp_path, {task: TASKS[task]})
    protocol, part = toys.protocol(task), toys.part(task)
    examples = protocol.encode(part, TOKENIZER, length)
    packed = protocol.pack(examples)
    assert packed is not None
    pq.write_table(packed, tmp_path / "packed.parquet")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pairs", "windows", "prompt", "tok_encode"):
            patch.setattr(Encoding, name, lambda *args, **kwargs: pytest.fail("a text was encoded"))
        patch.setattr("harness.requests._asked_of", lambda *args: pytest.fail("a template was filled in"))
        again = protocol.unpack(part, TOKENIZER, length, pq.read_table(tmp_path / "packed.parquet"))
    assert equal(examples, again)


def test_rows_that_name_their_own_tasks_come_back_in_their_order(tmp_path: Path) -> None:
    rows: dict[str, list[Any]] = {
        "question": [f"{number}?" for number in range(6)],
        "subject": ["anatomy", "virology", "anatomy", "astronomy", "virology", "anatomy"],
        "choices": [list("wxyz")] * 6,
        "answer": [0, 1, 2, 3, 0, 1],
    }
    folder = tmp_path / "cais" / "mmlu" / "all"
    folder.mkdir(parents=True)
    for split in ("test", "dev"):
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    part = Part(registry.load_task("mmlu/all", "prompt"), "evaluation", DataSource(tmp_path))
    protocol = meet("prompt", part.task.card, {"num_fewshot": 1})
    examples = protocol.encode(part, TOKENIZER, 512)
    assert examples.extra["order"] == [0, 2, 5, 1, 4, 3]
    packed = protocol.pack(examples)
    assert packed is not None
    assert equal(examples, protocol.unpack(part, TOKENIZER, 512, packed))


def test_answers_share_the_tokens_of_their_context_in_memory(tmp_path: Path) -> None:
    toys = write(tmp_path, {"choice": TASKS["choice"]})
    examples = toys.encode("choice", TOKENIZER)
    packed = pack(*(examples.extra[name] for name in ("asked", "encoded", "order")))
    for documents in ([one.tokens for one in examples.extra["encoded"]], [one.tokens for one in unpack(packed)]):
        assert all(len({id(context) for context, _ in tokens.pairs}) == 1 for tokens in documents)


def test_a_request_with_more_than_text_is_not_packed(tmp_path: Path) -> None:
    toys = write(tmp_path, {"choice": TASKS["choice"]})
    extra = toys.encode("choice", TOKENIZER).extra
    extra["asked"].items[3].instances[0].arguments = ("a", "b", {"visual": [object()]})
    assert pack(extra["asked"], extra["encoded"], extra["order"]) is None


@pytest.mark.parametrize("table", [pa.table({"a": [1]}), pa.table({name: pa.array([]) for name in COLUMNS})])
def test_a_table_of_another_form_is_refused(table: pa.Table) -> None:
    with pytest.raises(ValueError, match="holds no requests"):
        unpack(table)
