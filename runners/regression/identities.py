"""Identities: the run ids that shipped suites expand to, and the fields of a record and of a spec."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

from pydantic import JsonValue

from harness.matrix import expand
from harness.record import SCHEMA_VERSION, json_schema, run_id
from harness.suite import read, shipped

ABOUT = (
    "Suite, method, backbone and task to the number of runs that wait for nothing (finals, and first trials of a "
    "search) and a digest of their ids."
)
NEEDS: tuple[str, ...] = ()
SCHEMA_ABOUT = "Field of a record to what it holds: an older record must stay readable, so a change needs an upgrade."
SCHEMA_NEEDS: tuple[str, ...] = ()


def values() -> dict[str, JsonValue]:
    """Return numbers and digests of run ids."""
    found: dict[str, JsonValue] = {}
    for name in shipped():
        ids: dict[str, list[str]] = defaultdict(list)
        for spec in expand(read(name)).first():
            ids[f"{name}: {spec.method} on {spec.backbone}, {spec.train}"].append(run_id(spec))
        for key, several in ids.items():
            found[key] = f"{len(several)}, {hashlib.sha256(' '.join(sorted(several)).encode()).hexdigest()[:16]}"
    return found


def schema() -> dict[str, JsonValue]:
    """Return the fields of a record and of everything in it, with their types."""
    whole = json_schema()
    models = {"Record": whole, **whole["$defs"]}
    found: dict[str, JsonValue] = {"version": SCHEMA_VERSION}
    for model, described in models.items():
        needed = described.get("required", ())
        for field, facts in described.get("properties", {}).items():
            found[f"{model}.{field}"] = f"{_kind(facts)}{', required' if field in needed else ''}"
    return found


def _kind(facts: dict[str, Any]) -> str:  # Any: a JSON Schema document
    """Return a field's type in a few words."""
    if "$ref" in facts:
        return str(facts["$ref"]).rpartition("/")[2]
    if "anyOf" in facts:
        return " or ".join(sorted(_kind(one) for one in facts["anyOf"]))
    if "enum" in facts or "const" in facts:
        return f"one of {', '.join(map(str, facts.get('enum', [facts.get('const')])))}"
    kind = str(facts.get("type", "anything"))
    inner = facts.get("items", facts.get("additionalProperties"))
    return f"{kind} of {_kind(inner)}" if isinstance(inner, dict) and inner else kind
