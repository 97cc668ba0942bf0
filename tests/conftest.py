"""Set-up of every test run: no network, one thread, and opt-in markers that say why they did not run.

A marked test runs where what it needs is there, and is skipped with a named reason elsewhere. Where the environment
variable ``PARETUNE_REQUIRE`` lists the marker (``PARETUNE_REQUIRE=data,browser``), an absence fails the test instead,
so that a continuous check cannot turn green by running nothing.
"""

from __future__ import annotations

import os

# Read by libraries when they are first imported, here and in the worker processes that inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# One thread: sums, and so the last bits of a loss, then do not depend on how many cores the machine has.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

CHROMIUM = ("chromium", "chromium-browser")

# The first example of a tensor test pays for loading torch, and machines are shared: a time per example says little.
settings.register_profile("paretune", settings.default, deadline=None)
settings.load_profile("paretune")


def _listed(variable: str) -> set[str]:
    return {word.strip() for word in os.environ.get(variable, "").split(",")} - {""}


def _no_gpu() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "torch sees no accelerator"


def _no_data() -> str | None:
    mirror = os.environ.get("PARETUNE_MIRROR")
    if not mirror:
        return "PARETUNE_MIRROR is not set; it names the folder of the local mirror"
    if not Path(mirror, "MANIFEST.json").is_file():
        return f"PARETUNE_MIRROR={mirror} has no MANIFEST.json"
    return None


def _no_browser() -> str | None:
    return None if any(map(shutil.which, CHROMIUM)) else f"none of {', '.join(CHROMIUM)} is on the path"


def _no_java() -> str | None:
    from harness.errors import MissingPrerequisite
    from harness.metrics.parts.meteor import jar

    try:
        jar()
    except MissingPrerequisite as error:
        return str(error)
    return None


def _not_asked_for(name: str) -> str | None:
    return None if name in _listed("PARETUNE_RUN") else f"not asked for; PARETUNE_RUN={name} does"


ABSENCES: dict[str, Callable[[], str | None]] = {
    "gpu": _no_gpu,
    "data": _no_data,
    "browser": _no_browser,
    "java": _no_java,
    "parity": lambda: _not_asked_for("parity"),
    "slow": lambda: _not_asked_for("slow"),
}
"""Marker to a function that returns why its tests cannot run here, or None if they can."""


@cache
def _absence(marker: str) -> str | None:
    return ABSENCES[marker]()


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to start where a variable lists a marker that does not exist: what it asks for would never be checked."""
    for variable, allowed in (("PARETUNE_REQUIRE", set(ABSENCES)), ("PARETUNE_RUN", {"parity", "slow"})):
        if unknown := _listed(variable) - allowed:
            came, known = ", ".join(sorted(unknown)), ", ".join(sorted(allowed))
            raise pytest.UsageError(f"{variable} lists {came}; allowed are {known}, separated by commas")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail where it is required, a marked test whose prerequisite is absent; before any fixture is built."""
    for marker in sorted(ABSENCES.keys() & {mark.name for mark in item.iter_markers()}):
        if reason := _absence(marker):
            if marker in _listed("PARETUNE_REQUIRE"):
                pytest.fail(f"PARETUNE_REQUIRE lists {marker}, but: {reason}", pytrace=False)
            pytest.skip(f"{marker}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped for each reason."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = Counter(str(longrepr[2]).removeprefix("Skipped: ") for longrepr in skipped if isinstance(longrepr, tuple))
    if reasons:
        terminalreporter.section("skipped", sep="-")
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count:5d}  {reason}")
