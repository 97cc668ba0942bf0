"""What a suite asks of methods and cannot have is refused by name before any training, or ends as what it is."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from harness.api import plan_suite, run_suite
from harness.record import ITEMS_FILE, STARTED_FILE, Record, read_record
from harness.suite import parse
from tests.harness.commands import call, no_mirror, record_paths, write_suite
from tests.methods.attaching import backbone

__all__ = ["no_mirror"]

SIZES = {"train": 24, "validation": 12, "test": 12}
TRAINING = {"epochs": 2, "batch_size": 8, "max_length": 32, "lr": 0.01}
MASKS = ("random_mask", "fish", "gradient_mask", "magnitude_mask")


def content(method: Any, **changes: Any) -> dict[str, Any]:
    return {
        "name": "bad",
        "backbones": ["tiny:bert"],
        "methods": [method],
        "tasks": ["embedded/agreement"],
        "sizes": SIZES,
        "seeds": [0],
        "training": TRAINING,
        **changes,
    }


CELLS: list[tuple[Any, dict[str, Any], str]] = [
    # a budget that nothing can meet
    ({"lora": {"budget": 1}}, {}, r"smallest is 896 \(rank 1 on targets linear\)"),
    ({"lora": {"budget": "100%"}}, {}, r"largest is 28672 \(rank 32 on targets linear\)"),
    ({"adapter": {"budget": 1}}, {}, r"smallest is 388 \(rank 1 "),
    ({"adapter": {"budget": "100%"}}, {}, r"largest is 8448 \(rank 32 "),
    *(({name: {"budget": "100%"}}, {}, "largest is 16384 on targets linear") for name in MASKS),
    ({"fish": {"budget": 1, "charge_head": True}}, {}, r"smallest is 67, 66 of them the head's \(1 asked\)"),
    # a rank above the smallest side
    ({"lora": {"rank": 33}}, {}, "rank 33 is over 32, the smallest side of a targeted weight"),
    # no target in this architecture: its query, key and value are one layer
    (
        "lora",
        {"backbones": ["tiny:gpt2"], "targets": "query_value"},
        r"no layer of GPT2\w+ matches targets 'query_value'",
    ),
    *(
        (
            {name: {"budget": "1%"}},
            {"targets": ["*.nothing"]},
            r"no layer of Bert\w+ matches targets '\*.nothing'; its ",
        )
        for name in (*MASKS, "lora")
    ),
    ({"bitfit": {}}, {"backbones": ["tiny:llama"]}, r"Llama\w+ has no biases outside its head"),
]


@pytest.mark.parametrize(("method", "changes", "message"), CELLS)
def test_a_cell_that_cannot_be_is_not_applicable_while_it_is_planned(
    tmp_path: Path, method: Any, changes: dict[str, Any], message: str
) -> None:
    (run,) = plan_suite(parse(content(method, **changes)), out=tmp_path / "out").runs
    assert run.state == "not_applicable"
    assert re.search(message, run.reason), run.reason
    assert not (tmp_path / "out").exists()


def test_running_such_a_cell_records_the_reason_and_trains_nothing(tmp_path: Path) -> None:
    result = run_suite(parse(content({"lora": {"rank": 33}})), out=tmp_path, device="cpu")
    (record,) = result.records
    assert (result.num_started, record.status) == (0, "not_applicable")
    assert record.error is not None
    assert "rank 33 is over 32" in record.error.message
    untrained(record)
    assert not list(tmp_path.rglob(ITEMS_FILE))


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    *(({name: {"density": 0}}, {}, f"method '{name}': density: .*greater than 0 .0 came") for name in MASKS),
    *(
        ({name: {"density": 1.5}}, {}, f"method '{name}': density: .*less than or equal to 1 .*1.5 came")
        for name in MASKS
    ),
    ({"fish": {"density": -0.1}}, {}, "method 'fish': density: .*greater than 0 .*-0.1 came"),
    ({"fish": {"density": math.nan}}, {}, r"density.*finite number \(nan came\)$"),
    *(
        ({name: {"density": 0.1, "ratio": 0.1}}, {}, f"method '{name}': density and ratio state the size twice")
        for name in MASKS
    ),
    *(({name: {"density": 0.1, "budget": "1%"}}, {}, "budget and density state the size twice") for name in MASKS),
    ({"fish": {"count": 5, "budget": "1%"}}, {}, "'fish' has a budget, which sets count; give one of the two"),
    ({"lora": {"rank": 4, "budget": "1%"}}, {}, "'lora' has a budget, which sets rank; give one of the two"),
    ({"goft": {"budget": "1%"}}, {}, "'goft' has one size and takes no budget"),
    ("lora", {"targets": "qeury_value"}, "unknown targets 'qeury_value' in bad; .*; did you mean query_value"),
    ({"fish": {"budget": "1%", "samples": 0}}, {}, "method 'fish': samples: .*greater than or equal to 1 .*0 came"),
]


@pytest.mark.parametrize(("method", "changes", "message"), REFUSED)
def test_a_value_that_makes_no_sense_is_refused_by_name_and_leaves_no_folder(
    tmp_path: Path, method: Any, changes: dict[str, Any], message: str
) -> None:
    called = call("run", write_suite(tmp_path, **content(method, **changes)), "--out", tmp_path / "out")
    assert called.code == 2, called
    assert called.err.startswith("error: ")
    assert re.search(message, called.err), called.err
    assert "Traceback" not in called.err
    assert not list(tmp_path.rglob(STARTED_FILE))
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def fisher(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """Return a FISH run by what is odd about it: more samples than rows, or a frozen weight that is no number."""
    folder = tmp_path_factory.mktemp("fisher")
    loaded = backbone("bert")
    loaded.model.get_parameter("bert.encoder.layer.1.output.dense.weight").data[0, 0] = math.nan
    loaded.model.base_model.save_pretrained(folder / "nan")  # type: ignore[union-attr,operator]
    loaded.tokenizer.save_pretrained(folder / "nan")
    backbones = ["tiny:bert", f"path:{folder / 'nan'}"]
    suite = parse(content({"fish": {"budget": "1%", "samples": 25}}, backbones=backbones))
    run_suite(suite, out=folder / "out", workers=1, device="cpu")
    records = [read_record(path) for path in record_paths(folder / "out")]
    assert len(records) == 2
    return {"many" if record.spec.backbone == "tiny:bert" else "nan": record for record in records}


def test_a_fisher_sample_larger_than_the_training_set_uses_all_of_it_and_says_so(fisher: dict[str, Record]) -> None:
    assert fisher["many"].status == "ok"
    assert "25 samples were asked for, the training set has 24: all were scored" in fisher["many"].notes


def test_fisher_scores_that_are_not_finite_end_the_attempt_as_diverged_before_training(
    fisher: dict[str, Record],
) -> None:
    record = fisher["nan"]
    assert record.status == "diverged"
    assert record.error is not None
    assert record.error.kind == "Diverged"
    assert re.search(r"the scores of bert\.encoder\.\S+\.weight are not finite", record.error.message)
    untrained(record)


def untrained(record: Record) -> None:
    assert record.cost.steps is None
    assert record.validation == ()
    assert record.scores == ()
    assert record.digests.items is None
