"""Single runs: one spec gives a record, and what cannot be run is refused before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UnknownName, UnwritableFolder
from harness.record import RECORD_FILE
from harness.single import reproduce, run_spec
from harness.suite import BadSuite
from tests.harness.test_api import SPEC


def test_a_spec_gives_a_record_which_comes_back_when_it_is_run_again(tmp_path: Path) -> None:
    record, folder = run_spec(SPEC, tmp_path / "out", device="cpu")
    assert (record.status, folder) == ("ok", tmp_path / "out" / SPEC.run_id / "001")
    again = reproduce(SPEC.run_id[:6], [tmp_path / "out"], tmp_path / "again", device="cpu")
    assert again.now.scores == record.scores
    with pytest.raises(UnwritableFolder, match="it is not empty"):
        reproduce(SPEC.run_id, [tmp_path / "out"], tmp_path / "again", device="cpu")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"targets": "all"}, BadSuite, "method 'head_only' always has targets 'none'; 'all' came"),
        ({"protocol": "prompt"}, UnknownName, "unknown protocol 'prompt' in embedded/agreement"),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_work(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_spec(SPEC.model_copy(update=change), tmp_path / "out", device="cpu")
    assert not list(tmp_path.rglob(RECORD_FILE))
