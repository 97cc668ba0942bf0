"""Claims about identities: every shipped suite and every field of a record is there."""

from __future__ import annotations

from harness.matrix import expand
from harness.record import Record
from harness.spec import Spec
from harness.suite import read, shipped
from runners.regression import identities


def test_every_run_of_every_shipped_suite_is_counted_once() -> None:
    found = identities.values()
    for name in shipped():
        counted = sum(int(str(value).partition(",")[0]) for key, value in found.items() if key.startswith(f"{name}: "))
        assert counted == len(expand(read(name)).first())
    assert len(shipped()) >= 8


def test_every_field_of_records_and_specs_is_there() -> None:
    found = identities.schema()
    for model in (Record, Spec):
        for field in model.model_fields:
            assert f"{model.__name__}.{field}" in found
    assert found["Record.run_id"] == "string, required"
    assert found["Record.counts"] == "Counts or null"
    assert found["Training.schedule"] == "one of constant, linear, cosine"
    assert found["version"] == 1
