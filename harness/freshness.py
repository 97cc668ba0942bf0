"""Freshness: which results are what today's code and cards would give, and what that judgement hangs on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness import provenance, registry
from harness.errors import MissingPrerequisite, UnknownName
from harness.record import Record


class Freshness:
    """Judges results by code digests; the data are not looked at."""

    def stale(self, records: Iterable[Record]) -> dict[str, str]:
        """Return run id to reason for results whose code or cards are not today's."""
        reasons, codes = {}, provenance.Codes()
        for record in records:
            if record.status == "ok" and (reason := _reason(record, codes)):
                reasons[record.run_id] = reason
        return reasons

    def key(self) -> str:
        """Return a digest that changes whenever a judgement could: of every source file of ours and of plugins."""
        digest = hashlib.sha256(_version("peft").encode())  # its methods' cards come from the installed version
        for path in sorted(_sources()):
            digest.update(str(path).encode("utf-8", "surrogateescape") + path.read_bytes())
        return digest.hexdigest()


def _reason(record: Record, codes: provenance.Codes) -> str | None:
    try:
        same = record.digests.code == codes.digest(record.spec)
        return None if same else "the code or a card version changed since"
    except (UnknownName, MissingPrerequisite):
        missing = [record.spec.method] if record.spec.method not in registry.methods() else []
        missing += [name for name in (record.spec.train, *record.spec.score) if name not in registry.tasks()]
        return f"{', '.join(missing) or 'a part of it'} is not registered here"


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
