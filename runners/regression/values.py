"""Values: committed files of what must stay equal, how they are compared, and how they are written anew.

A file holds what it is about, the versions that its values hang on, and one value per name in sorted order, so that a
difference between two commits reads as a list of what changed.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from harness.errors import UnwritableFolder
from harness.gate import Check, Outcome

MACHINE = "machine"
"""Stands among versions for the kind of processor."""
ROUNDING = 1e-9
"""Relative difference of two sums of the same numbers that is none."""
LONGEST = 160
"""Characters of a value that a message shows."""
ACCEPT = "paretune regression --accept"


class Committed(BaseModel):
    """What one file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    versions: dict[str, str | None]
    values: dict[str, JsonValue]


@dataclass(frozen=True)
class Found:
    """What one group comes to now."""

    name: str
    """Also its file's, such as ``exact/metrics``."""
    about: str
    versions: Mapping[str, str | None]
    values: Mapping[str, JsonValue]

    def text(self) -> str:
        """Return the text of its file."""
        lines = [
            f'"about": {json.dumps(self.about)}',
            f'"versions": {json.dumps(dict(self.versions), sort_keys=True)}',
            '"values": {\n' + ",\n".join(_rows(self.values)) + "\n }",
        ]
        return "{\n " + ",\n ".join(lines) + "\n}\n"


def versions(names: Sequence[str]) -> dict[str, str | None]:
    """Return the installed version of each distribution; null for one that is not here."""
    return {name: platform.machine() if name == MACHINE else _version(name) for name in names}


def path_of(folder: Path, name: str) -> Path:
    """Return the file of a group's committed values."""
    return folder / f"{name}.json"


def read(folder: Path, name: str) -> Committed | str:
    """Return the committed values of a group, or why there are none."""
    path = path_of(folder, name)
    try:
        found = Committed.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"{path}: no committed values ({error.strerror or error}); run {ACCEPT} and commit them"
    except (ValidationError, UnicodeDecodeError) as error:
        what = f"{len(error.errors())} faults" if isinstance(error, ValidationError) else "no UTF-8"
        return f"{path}: no file of committed values ({what}); restore it, or run {ACCEPT} and look at the difference"
    return found if found.values else f"{path}: holds no values; restore it, or run {ACCEPT}"


def other_versions(committed: Committed, here: Mapping[str, str | None]) -> str:
    """Return how the versions that values hang on differ from those here; empty where they are the same."""
    names = sorted(committed.versions.keys() | here.keys())
    return ", ".join(
        f"{name} {committed.versions.get(name) or 'absent'} when committed, {here.get(name) or 'absent'} here"
        for name in names
        if committed.versions.get(name) != here.get(name)
    )


def compare(found: Found, folder: Path, tolerance: float = ROUNDING) -> Iterator[Check]:
    """Yield one check per value, or one that says why there is nothing to compare with.

    Values that hang on other versions were not promised to be equal: they are named, and block nothing.
    """
    committed = read(folder, found.name)
    if isinstance(committed, str):
        yield Check(found.name, "committed values", Outcome.NO_DATA, committed)
        return
    if other := other_versions(committed, found.versions):
        yield Check(found.name, "values", Outcome.NO_DATA, f"made with other versions: {other}", blocks=False)
        return
    yield from differences(found.name, committed.values, found.values, tolerance)


def differences(
    group: str, committed: Mapping[str, JsonValue], now: Mapping[str, JsonValue], tolerance: float = ROUNDING
) -> Iterator[Check]:
    """Yield one check per value that stands on either side; what stands on one side alone has no data."""
    for name in sorted(committed.keys() | now.keys()):
        if name not in now:
            yield Check(group, name, Outcome.NO_DATA, f"committed {_short(committed[name])}, but nothing is there now")
        elif name not in committed:
            detail = f"{_short(now[name])} has no committed value; look at it and run {ACCEPT}"
            yield Check(group, name, Outcome.NO_DATA, detail)
        elif equal(committed[name], now[name], tolerance):
            yield Check(group, name, Outcome.PASS)
        else:
            facts = {"committed": committed[name], "now": now[name]}
            yield Check(group, name, Outcome.FAIL, _difference(committed[name], now[name]), facts)


def equal(one: JsonValue, other: JsonValue, tolerance: float = ROUNDING) -> bool:
    """Return whether two values are the same; numbers with a fraction may differ by a relative ``tolerance``."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(equal(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) or isinstance(other, float):
        numbers = [value for value in (one, other) if isinstance(value, float | int) and not isinstance(value, bool)]
        return len(numbers) == 2 and math.isclose(*numbers, rel_tol=tolerance, abs_tol=tolerance * 1e-3)
    return type(one) is type(other) and one == other


def accept(found: Found, folder: Path) -> list[str]:
    """Write a group's values as they are now; return the lines that say what changed.

    Raises:
        UnwritableFolder: if that cannot be.
    """
    path, old = path_of(folder, found.name), read(folder, found.name)
    before = {} if isinstance(old, str) else old.values
    changed = [] if isinstance(old, str) else [other_versions(old, found.versions)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.text(), encoding="utf-8")
    except OSError as error:
        raise UnwritableFolder(path, error, "--values") from error
    lines = [f"versions: {one}" for one in changed if one]
    for name in sorted(before.keys() | found.values.keys()):
        if name not in found.values:
            lines.append(f"- {name}: {_short(before[name])}")
        elif name not in before:
            lines.append(f"+ {name}: {_short(found.values[name])}")
        elif before[name] != found.values[name]:
            lines.append(f"  {name}: {_difference(before[name], found.values[name])}")
    return lines


def _rows(values: Mapping[str, JsonValue]) -> list[str]:
    return [f"  {json.dumps(name)}: {json.dumps(values[name], allow_nan=False)}" for name in sorted(values)]


def _difference(committed: JsonValue, now: JsonValue) -> str:
    return f"{_short(committed)} committed, {_short(now)} now"


def _short(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
