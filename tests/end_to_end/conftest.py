"""Methods that misbehave, for this folder's tests and for the processes that they start."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.registry import ROOT
from tests.runners.faulty import GATE, SECRET, install, installed


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    folder = install(tmp_path_factory.mktemp("plugins"), ("leaky", "waiting", "waiting_late", "in_hook", "fills_disk"))
    with installed(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_API_TOKEN", SECRET)
        patch.setenv(GATE, str(folder / "gate"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(folder)]))
        yield patch
