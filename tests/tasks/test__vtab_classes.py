"""The class names are as many as the tasks have classes, and those of the real rows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks import _vtab_classes as classes

COUNTS = {
    "CALTECH101": 102,
    "CIFAR100": 100,
    "DTD": 47,
    "FLOWERS102": 102,
    "PETS": 37,
    "SUN397": 397,
    "EUROSAT": 10,
    "RESISC45": 45,
}


@pytest.mark.parametrize("name", COUNTS)
def test_each_class_has_its_own_name(name: str) -> None:
    names = getattr(classes, name)
    assert len(set(names)) == len(names) == COUNTS[name]
    assert all(one == one.strip() and "\n" not in one for one in names)


@pytest.mark.parametrize("name", ["CALTECH101", "CIFAR100", "DTD", "RESISC45", "SUN397", "EUROSAT"])
def test_names_that_are_numbered_by_the_alphabet_stand_in_its_order(name: str) -> None:
    names = [one.replace("_", "~") if name == "SUN397" else one for one in getattr(classes, name)]
    assert name == "SUN397" or names == sorted(names)
    assert [one[0] for one in names] == sorted(one[0] for one in names)


@pytest.mark.data
@pytest.mark.parametrize("name", ["caltech101", "cifar100", "resisc45"])
def test_names_are_those_of_the_real_rows(name: str) -> None:
    schema = pq.read_schema(Path(os.environ["PARETUNE_MIRROR"], "vtab-1k", name, "test.parquet"))
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert tuple(features["label"]["names"]) == getattr(classes, name.upper())
