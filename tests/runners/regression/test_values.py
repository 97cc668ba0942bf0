"""Claims about committed values: what counts as equal, what has no data, and what accepting writes and says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UnwritableFolder
from harness.gate import Outcome
from runners.regression.values import (
    MACHINE,
    Committed,
    Found,
    accept,
    compare,
    equal,
    other_versions,
    path_of,
    read,
    versions,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


def found(versions: dict[str, str | None] | None = None, **values: object) -> Found:
    return Found("exact/things", "Things.", versions or {}, values)  # type: ignore[arg-type]


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=5))
def test_what_was_accepted_is_equal(tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]) -> None:
    folder = tmp_path_factory.mktemp("values")
    now = found({"numpy": "1"}, **values)
    accept(now, folder)
    assert [check.outcome for check in compare(now, folder)] == [Outcome.PASS] * len(values)
    assert accept(now, folder) == []


def test_a_file_is_sorted_with_one_value_a_line(tmp_path: Path) -> None:
    accept(found({"numpy": "2"}, b=[1, 2.5], a="x"), tmp_path)
    lines = path_of(tmp_path, "exact/things").read_text().splitlines()
    assert lines[:4] == ["{", ' "about": "Things.",', ' "versions": {"numpy": "2"},', ' "values": {']
    assert lines[4:] == ['  "a": "x",', '  "b": [1, 2.5]', " }", "}"]


def test_each_difference_is_named_with_both_values(tmp_path: Path) -> None:
    accept(found(same=1, other=[1.0, 2.0], gone="here"), tmp_path)
    checks = {check.name: check for check in compare(found(same=1, other=[1.0, 2.1], new=3), tmp_path)}
    assert {name: check.outcome.value for name, check in checks.items()} == {
        "same": "pass",
        "other": "fail",
        "gone": "no data",
        "new": "no data",
    }
    assert checks["other"].detail == "[1.0, 2.0] committed, [1.0, 2.1] now"
    assert checks["other"].facts == {"committed": [1.0, 2.0], "now": [1.0, 2.1]}
    assert "--accept" in checks["new"].detail


def test_accepting_says_what_came_changed_and_went(tmp_path: Path) -> None:
    accept(found({"numpy": "1"}, same=1, other=1, gone=1), tmp_path)
    lines = accept(found({"numpy": "2"}, same=1, other=2, new=3), tmp_path)
    assert lines == [
        "versions: numpy 1 when committed, 2 here",
        "- gone: 1",
        "+ new: 3",
        "  other: 1 committed, 2 now",
    ]
    assert isinstance(read(tmp_path, "exact/things"), Committed)


def test_values_of_other_versions_are_named_and_block_nothing(tmp_path: Path) -> None:
    accept(found({"torch": "2.13.0"}, a=1), tmp_path)
    (check,) = compare(found({"torch": "2.12.0"}, a=2), tmp_path)
    assert check.outcome is Outcome.NO_DATA
    assert not check.blocks
    assert check.detail == "made with other versions: torch 2.13.0 when committed, 2.12.0 here"


@pytest.mark.parametrize(
    "text", [None, "", "[]", '{"about": "", "versions": {}, "values": {}}', '{"values": {"a": 1}}']
)
def test_a_file_that_holds_no_values_has_no_data(text: str | None, tmp_path: Path) -> None:
    path = path_of(tmp_path, "exact/things")
    path.parent.mkdir()
    if text is not None:
        path.write_text(text)
    (check,) = compare(found(a=1), tmp_path)
    assert check.outcome is Outcome.NO_DATA
    assert check.blocks
    assert str(path) in check.detail


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.0, 1.0 + 1e-12, True),
        (1.0, 1.001, False),
        (1, 1.0, True),
        (0.0, 1e-9, False),
        (True, 1, False),
        (True, 1.0, False),
        (None, 0, False),
        ("1", 1, False),
        ([1.0, 2.0], [1.0, 2.0 + 1e-12], True),
        ([1.0], [1.0, 1.0], False),
        ("a", "a", True),
    ],
)
def test_numbers_may_differ_by_rounding_and_nothing_else(one: object, other: object, same: bool) -> None:
    assert equal(one, other) is same  # type: ignore[arg-type]
    assert equal(other, one) is same  # type: ignore[arg-type]


def test_the_tolerance_is_relative() -> None:
    assert equal(100.0, 100.05, tolerance=1e-3)
    assert not equal(100.0, 100.2, tolerance=1e-3)


def test_versions_are_those_installed() -> None:
    here = versions(("numpy", "no-such-distribution", MACHINE))
    assert here["numpy"]
    assert here["no-such-distribution"] is None
    assert here[MACHINE]
    assert other_versions(Committed(about="", versions=here, values={}), here) == ""


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "exact").write_text("a file")
    with pytest.raises(UnwritableFolder, match="--values"):
        accept(found(a=1), tmp_path)


def test_values_are_json(tmp_path: Path) -> None:
    accept(found(a=None, b=[True, "\N{SNOWMAN}"]), tmp_path)
    assert json.loads(path_of(tmp_path, "exact/things").read_text())["values"] == {
        "a": None,
        "b": [True, "\N{SNOWMAN}"],
    }
