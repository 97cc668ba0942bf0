"""Freshness: which results are what today's code and cards would give, and what that judgement hangs on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import JsonValue

from harness import provenance, registry
from harness.errors import MissingPrerequisite, UnknownName
from harness.record import Record
from harness.spec import Spec

WAYS = ("over", "sampler", "select", "share", "halving")
"""What of a bill says how its search goes about it; two that go about it otherwise are two answers."""


class Freshness:
    """Judges results by code digests, and finals by what their search chose last; the data are not looked at."""

    def stale(self, records: Iterable[Record]) -> dict[str, str]:
        """Return run id to reason for what is not today's result."""
        records = list(records)
        reasons, codes = _superseded(records), provenance.Codes()
        gone: dict[tuple[str, ...], str] = {}  # thousands of runs of a plugin that is not here are one question
        for record in records:
            if record.status != "ok":
                continue
            names = (record.spec.method, record.spec.train, *record.spec.score)
            try:
                same = names not in gone and record.digests.code == codes.digest(record.spec)
            except (UnknownName, MissingPrerequisite):
                same, gone[names] = False, _unregistered(names)
            if not same:
                reasons[record.run_id] = gone.get(names, "the code or a card version changed since")
        return reasons

    def key(self) -> str:
        """Return a digest that changes whenever a judgement could: of every source file of ours and of plugins."""
        digest = hashlib.sha256(_version("peft").encode())  # its methods' cards come from the installed version
        for path in sorted(_sources()):
            digest.update(str(path).encode("utf-8", "surrogateescape") + path.read_bytes())
        return digest.hexdigest()


def _unregistered(names: tuple[str, ...]) -> str:
    method, *tasks = names
    missing = [method] if method not in registry.methods() else []
    missing += [name for name in dict.fromkeys(tasks) if name not in registry.tasks()]
    return f"{', '.join(missing) or 'a part of it'} is not registered here"


def _superseded(records: Iterable[Record]) -> dict[str, str]:
    """Return run id to reason for finals whose search came to other values later: with new code, or with more trials.

    Where no trial gave values, that was an outcome too.
    """
    finals: dict[str, list[Record]] = {}
    for record in records:
        if record.spec.purpose == "final" and record.search and "chosen" in record.search:
            finals.setdefault(_question(record.spec, record.search), []).append(record)
    reasons: dict[str, str] = {}
    for asked in finals.values():
        newest = max(asked, key=lambda record: record.started)
        chosen = (newest.search or {}).get("chosen")
        words = ", ".join(f"{name} {value}" for name, value in chosen.items()) if isinstance(chosen, dict) else "none"
        old = [record for record in asked if (record.search or {}).get("chosen") != chosen]
        reasons |= {record.run_id: f"its search chose other values since ({words})" for record in old}
    return reasons


def _question(spec: Spec, bill: Mapping[str, JsonValue]) -> str:
    """Return what a final asks, without the values that its search finds and without its seed."""
    cell, over = spec.cell(), bill.get("over")
    for name in over if isinstance(over, list) else ():
        cell["training"].pop(name, None)
        cell["values"].pop(name, None)
    return json.dumps([cell, [bill.get(way) for way in WAYS]], sort_keys=True)


def _sources() -> Iterator[Path]:
    for package in registry.PACKAGES:
        yield from (registry.ROOT / package).rglob("*.py")
    for entry in (*registry.methods().values(), *registry.tasks().values()):
        if entry.origin != "built-in":
            yield entry.path
            yield from _package(entry).rglob("*.py")


def _package(entry: registry.Entry) -> Path:
    """Return the folder of a plugin's top-level package; a module of its own is in none, and leads to its file."""
    depth = entry.module.count(".") + (entry.path.name == "__init__.py")
    return entry.path.parents[depth - 1] if depth else entry.path


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
