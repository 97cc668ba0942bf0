"""Waivers: what somebody answers for although it did not pass, until a day.

- cell: "small: *, held_out*; glue/rte, lora *"   # as the report shows it; * stands for anything
  outcome: fail                                   # or inconclusive, or no data; fail where it is left out
  reason: the new tokenizer cuts long texts, see issue 12
  owner: ada
  expires: 2026-12-31                             # the last day on which it counts
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness.errors import UnknownName, UserError
from harness.gate import Check, Outcome

GROUP = "waivers"


class Waiver(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    cell: str = Field(min_length=1)
    outcome: Literal["fail", "inconclusive", "no data"] = "fail"
    reason: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    expires: date

    def covers(self, check: Check) -> bool:
        """Whether this is about a check, and about what was found of it."""
        pattern = ".*".join(map(re.escape, self.cell.split("*")))
        return check.outcome.value == self.outcome and bool(
            re.fullmatch(pattern, f"{check.group}; {check.name}", re.DOTALL)
        )


_WAIVERS = TypeAdapter(tuple[Waiver, ...])


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """Return the waivers of a file; an empty one has none.

    Raises:
        UserError: naming the entry and what is wrong with it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _WAIVERS.validate_python(content if content is not None else ())
    except OSError as error:
        raise UserError(f"the waivers {path} cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise UserError(f"the waivers {path} are not YAML ({str(error).splitlines()[0]})") from error
    except ValidationError as error:
        raise UserError(f"the waivers {path}: {_problem(error)}") from error


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return "must be a list of entries with cell, reason, owner and expires"
    number, *rest = first["loc"]
    entry = f"entry {int(number) + 1}"
    if first["type"] == "extra_forbidden":
        return str(UnknownName("key", str(rest[-1]), Waiver.model_fields, entry))
    where = f"{entry}, {'.'.join(map(str, rest)) or 'whole'}"
    if first["type"] == "missing":
        return f"{where}: {first['msg']}"
    wanted = "a day such as 2026-12-31" if rest == ["expires"] else first["msg"]
    return f"{where}: {wanted}; {first['input']!r} came"


def waive(checks: Iterable[Check], waivers: Sequence[Waiver], today: date) -> tuple[list[Check], list[str]]:
    """Return checks with those waived that a waiver in force covers, failures for expired ones, and unused ones.

    Args:
        checks: of cells; what tells of whole folders cannot be waived, so leave that out.
        waivers: in force until their last day has passed.
        today: the day.
    """
    valid = [waiver for waiver in waivers if waiver.expires >= today]
    used: set[int] = set()
    found: list[Check] = []
    for check in checks:
        number = next((place for place, waiver in enumerate(valid) if waiver.covers(check)), None)
        if number is not None:
            used.add(number)
            waiver = valid[number]
            check = replace(check, waived=f"{waiver.reason}; {waiver.owner}, until {waiver.expires}")
        found.append(check)
    found += [_expired(waiver, today) for waiver in waivers if waiver.expires < today]
    return found, [f"unused waiver: {waiver.cell} ({waiver.owner})" for n, waiver in enumerate(valid) if n not in used]


def _expired(waiver: Waiver, today: date) -> Check:
    days = (today - waiver.expires).days
    why = f"expired {waiver.expires}, {days} days ago: {waiver.owner} said {waiver.reason!r}; mend it, or renew it"
    return Check(GROUP, waiver.cell, Outcome.FAIL, why, {"owner": waiver.owner, "expires": str(waiver.expires)})
