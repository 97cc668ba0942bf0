"""The record: a file that is read back as it was written, refused when it is not one, and never replaced."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import record as records
from harness.record import (
    SCHEMA_VERSION,
    Cost,
    EpochMetrics,
    Failure,
    Record,
    UnreadableRecord,
    json_schema,
    read_record,
    run_id,
    uncollected,
    write_once,
)
from harness.registry import ROOT
from harness.spec import Spec

DATA = Path(__file__).parent / "data"
VALIDATOR = jsonschema.validators.validator_for(json_schema())(json_schema())


def make(**changes: Any) -> Record:
    spec = Spec(backbone="tiny:bert", method="base", train="embedded/agreement", score=("a", "b"), protocol="classify")
    content = {"status": "ok", "started": "2025-01-01T10:00:00+00:00", "ended": "2025-01-01T10:00:01+00:00"}
    return Record(**{"run_id": spec.run_id, "attempt": 1, "spec": spec, **content, **changes})


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "record.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_schema_in_the_tree_is_the_models() -> None:
    kept = json.loads((ROOT / "harness" / "record.schema.json").read_text(encoding="utf-8"))
    assert kept == json_schema(), (
        "the record's model changed; raise SCHEMA_VERSION with an upgrade if old records no longer fit, and write "
        "json_schema() to harness/record.schema.json"
    )


def test_the_collector_of_cycles_rests_while_many_records_are_read_and_works_again_after() -> None:
    def read(*, bad: bool = False) -> bool:
        with uncollected():
            if bad:
                raise ValueError("unreadable")
            return gc.isenabled()

    assert gc.isenabled()
    assert not read()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="unreadable"):
        read(bad=True)
    assert gc.isenabled()
    gc.disable()
    try:
        read()
        assert not gc.isenabled()  # nobody asked for it
    finally:
        gc.enable()


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_record_of_each_version_is_still_read(version: int) -> None:
    record = read_record(DATA / f"record_v{version}.json")
    assert record.schema_version == SCHEMA_VERSION
    assert record.run_id == record.spec.run_id
    assert record.status == "ok"
    assert record.counts is not None
    assert record.counts.trained == 317
    assert record.scores[0].metrics == {"accuracy": 0.46875}


def test_the_newest_fixture_fits_the_schema_and_is_written_back_equal() -> None:
    text = (DATA / f"record_v{SCHEMA_VERSION}.json").read_text(encoding="utf-8")
    jsonschema.validate(json.loads(text), json_schema())
    assert Record.model_validate_json(text).to_json() == text
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(text), "colour": "red"}, json_schema())


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=30)
@given(
    loss=numbers,
    metrics=st.dictionaries(st.text(), numbers),
    message=st.text(),
    notes=st.lists(st.text()),
    peak=st.none() | st.integers(0, 2**63 - 1),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    loss: float | None,
    metrics: dict[str, float | None],
    message: str,
    notes: list[str],
    peak: int | None,
) -> None:
    record = make(
        validation=(EpochMetrics(epoch=1, train_loss=loss, validation_loss=None, metrics=metrics),),
        error=Failure(kind="ValueError", message=message, log_tail=tuple(notes)),
        notes=tuple(notes),
        cost=Cost(seconds={"fit": 0.1}, peak_bytes=peak),
    )
    text = record.to_json()
    assert text.isascii()
    back = read_record(write(tmp_path_factory.mktemp("record"), text))
    assert back == record
    assert back.to_json() == text
    VALIDATOR.validate(json.loads(text))


def test_a_number_that_json_has_not_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        make(cost=Cost(seconds={"fit": float("nan")})).to_json()


def edited(change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(make().to_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a record .*JSONDecodeError"),
        (make().to_json()[:-20], "not a record .*JSONDecodeError"),
        (make().to_json()[: len(make().to_json()) // 2], "not a record .*JSONDecodeError"),
        ("[]", "not a record .*TypeError"),
        ("null", "not a record .*TypeError"),
        ('"text"', "not a record .*TypeError"),
        ("{}", "not a record .*KeyError: 'schema_version'"),
        ('{"schema_version": 1}', "not a record .*run_id: Field required"),
        ("[" * 100_000, "not a record .*RecursionError"),
        (edited(lambda content: content.update(schema_version=999)), "schema version 999 is unknown; .* up to 1"),
        (edited(lambda content: content.update(schema_version=0)), "schema version 0 is unknown"),
        (edited(lambda content: content.update(schema_version=[1])), "not a record .*TypeError"),
        (edited(lambda content: content.update(colour="red")), "not a record .*colour: Extra inputs"),
        (edited(lambda content: content.update(status="fine")), "not a record .*status: Input should be"),
        (edited(lambda content: content["spec"].update(seed=7)), r"names run \w+, but its spec is \w+; it was edited"),
        (edited(lambda content: content.update(run_id="0" * 16)), "names run 0000000000000000, .* it was edited"),
        (edited(lambda content: content["cost"]["seconds"].update(fit=float("nan"))), "NaN stands where a finite"),
        (edited(lambda content: content).replace('"steps": null', '"steps": 1e999'), "1e999 stands where a finite"),
    ],
)
def test_what_is_no_record_is_named_and_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UnreadableRecord, match=reason) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["1e999", "1e+999", "-1E400", "NaN", "-Infinity"])
def test_no_number_of_a_record_is_infinite_however_it_is_written(tmp_path: Path, number: str) -> None:
    text = make().to_json()
    rates = ('"train_items_per_second": null', '"latency_seconds": null', '"plain_latency_seconds": null')
    for known in ('"steps": null', '"sparsity": null', *rates):
        assert known in text
        path = write(tmp_path, text.replace(known, known.replace("null", number)))
        with pytest.raises(UnreadableRecord, match="stands where a finite number or null must"):
            read_record(path)


@pytest.mark.parametrize("said", ["NaN", "Infinity", "1e+5", '"schema_version": 7'])
def test_what_a_record_says_in_words_does_not_matter_to_how_it_is_read(tmp_path: Path, said: str) -> None:
    record = make().model_copy(update={"notes": (said,)})
    assert read_record(write(tmp_path, record.to_json())) == record


def test_the_run_id_that_is_remembered_is_the_specs_own() -> None:
    spec = make().spec
    assert run_id(spec) == spec.run_id
    other = spec.model_copy(update={"seed": 99})
    assert run_id(other) == other.run_id != run_id(spec)


def test_a_binary_or_absent_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(b"\x93NUMPY\xff\x00")
    for path in (tmp_path / "record.json", tmp_path / "absent.json", tmp_path):
        with pytest.raises(UnreadableRecord, match=re.escape(str(path))):
            read_record(path)


def test_an_older_schema_is_upgraded_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {
        -1: lambda content: {**content, "schema_version": 0, "state": content["outcome"]},
        0: lambda content: {
            **{key: value for key, value in content.items() if key not in ("state", "outcome")},
            "schema_version": 1,
            "status": content["state"],
        },
    }
    monkeypatch.setattr(records, "UPGRADES", steps)
    content = json.loads(make().to_json())
    del content["status"]
    path = write(tmp_path, json.dumps({**content, "schema_version": -1, "outcome": "ok"}))
    assert read_record(path) == make()
    assert set(records.UPGRADES) == {-1, 0}


def test_every_older_version_has_its_step() -> None:
    assert sorted(records.UPGRADES) == list(range(1, SCHEMA_VERSION))


def test_a_record_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_once(path, "first")
    with pytest.raises(FileExistsError, match="records are never replaced; a new execution is a new attempt"):
        write_once(path, "second")
    assert path.read_text(encoding="utf-8") == "first"
    assert os.listdir(tmp_path) == ["record.json"]


def test_of_many_writers_one_wins_and_its_text_is_whole(tmp_path: Path) -> None:
    path, num_writers = tmp_path / "record.json", 4
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.record import write_once\n"
        "sys.stdin.read()\n"  # start together
        "try:\n    write_once(Path(sys.argv[1]), sys.argv[2] * 100_000)\nexcept FileExistsError:\n    sys.exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], stdin=subprocess.PIPE, env=environment)
        for n in range(num_writers)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    codes = [writer.wait() for writer in writers]
    assert sorted(codes) == [0] + [9] * (num_writers - 1)
    assert path.read_text(encoding="utf-8") == str(codes.index(0)) * 100_000
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_reader_sees_the_whole_text_or_no_file(tmp_path: Path) -> None:
    seen: set[int] = set()
    paths = [tmp_path / f"{number}.json" for number in range(50)]
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.update(path.stat().st_size for path in paths if path.exists())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for path in paths:
        write_once(path, "x" * 50_000)
    done.set()
    watcher.join()
    assert seen <= {50_000}


def test_a_disk_that_fails_leaves_no_partial_file(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom harness.record import write_once\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_once(Path(sys.argv[1]), 'x' * 100_000)\nexcept OSError as error:\n    print(error.errno)\n"
    )
    command = [sys.executable, "-B", "-c", code, str(tmp_path / "record.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["27"]  # "file too large", the nearest thing to a full disk
    assert os.listdir(tmp_path) == []


def test_a_file_system_without_hard_links_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_once(tmp_path / "record.json", "first")
    with pytest.raises(FileExistsError):
        write_once(tmp_path / "record.json", "second")
    assert (tmp_path / "record.json").read_text(encoding="utf-8") == "first"
    assert os.listdir(tmp_path) == ["record.json"]
