"""Gate: what checks find, in four outcomes with an exit code each, and how a report reads for people and machines.

``regression`` and ``compare`` speak these words. A fail is a fail whatever else was found; without one, anything that
could not be looked at keeps a report from passing, and so does a report of nothing at all.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NoReturn
from xml.sax.saxutils import quoteattr

from pydantic import JsonValue

from harness.errors import UnwritableFolder
from harness.options import INCONCLUSIVE, NO_DATA, NOT_OK, OK

SHOWN = 40
"""Checks that a Markdown comment shows in full; code hosts cut comments that are too long."""


class Outcome(str, Enum):
    """What one check, or a whole report, comes to."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no data"

    @property
    def code(self) -> int:
        """Return the exit code."""
        return {Outcome.PASS: OK, Outcome.FAIL: NOT_OK, Outcome.INCONCLUSIVE: INCONCLUSIVE}.get(self, NO_DATA)


@dataclass(frozen=True)
class Check:
    """What was found of one thing."""

    group: str
    """What it belongs to, such as ``exact/metrics``."""
    name: str
    outcome: Outcome
    detail: str = ""
    """One line: what came and what was expected, or why there is nothing to look at."""
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    """The numbers behind it, for machines."""
    waived: str | None = None
    """Why this does not count although it did not pass; null where it counts."""
    blocks: bool = True
    """Whether, without data, it keeps the report from passing; false where nothing was promised."""

    @property
    def counted(self) -> Outcome | None:
        """Return what this adds to the report's outcome; null for what was not promised and not looked at."""
        if self.waived is not None:
            return Outcome.PASS
        return None if self.outcome is Outcome.NO_DATA and not self.blocks else self.outcome

    @property
    def mark(self) -> str:
        """Return the word that people read for it."""
        if self.waived is not None and self.outcome is not Outcome.PASS:
            return "waived"
        return self.outcome.value if self.counted else "not looked at"


@dataclass(frozen=True)
class Report:
    """Every check of one gate."""

    title: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    """What a reader should know of all of them, such as the smallest drop that could have been seen."""

    @property
    def outcome(self) -> Outcome:
        """Return what all checks come to."""
        found = {check.counted for check in self.checks} - {None}
        for outcome in (Outcome.FAIL, Outcome.NO_DATA, Outcome.INCONCLUSIVE):
            if outcome in found:
                return outcome
        return Outcome.PASS if found else Outcome.NO_DATA

    @property
    def odd(self) -> tuple[Check, ...]:
        """Return the checks that a reader has to look at: all that did not pass."""
        return tuple(check for check in self.checks if check.outcome is not Outcome.PASS)

    def groups(self) -> dict[str, list[Check]]:
        """Return the checks by group, in their order."""
        found: dict[str, list[Check]] = {}
        for check in self.checks:
            found.setdefault(check.group, []).append(check)
        return found

    def tally(self) -> str:
        """Return how many checks came to what, most common first."""
        return _tally(self.checks) or "nothing was checked"

    def text(self) -> str:
        """Return the report for people."""
        return "\n".join(_clean(line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for group, checks in self.groups().items():
            yield f"{group}: {_tally(checks)}"
            for check in checks:
                if check in self.odd:
                    yield f"  {check.mark.upper():<13}  {check.name}: {_reason(check)}"
        yield from self.notes
        yield f"{self.title}: {self.outcome.value.upper()} ({self.tally()})"

    def json(self) -> str:
        """Return the report for machines."""
        return json.dumps(
            {
                "title": self.title,
                "outcome": self.outcome.value,
                "exit_code": self.outcome.code,
                "counts": {
                    outcome.value: sum(check.outcome is outcome for check in self.checks) for outcome in Outcome
                },
                "notes": list(self.notes),
                "checks": [
                    {
                        "group": check.group,
                        "name": check.name,
                        "outcome": check.outcome.value,
                        "detail": check.detail,
                        "facts": dict(check.facts),
                        "waived": check.waived,
                        "blocks": check.blocks,
                    }
                    for check in self.checks
                ],
            },
            indent=1,
        )

    def junit(self) -> str:
        """Return the report as JUnit XML: one suite per group; inconclusive and no data are errors, not failures."""
        suites = [_suite(group, checks) for group, checks in self.groups().items()]
        counts = _kinds(self.checks)
        return "\n".join(
            [
                '<?xml version="1.0" encoding="utf-8"?>',
                f"<testsuites name={_attribute(self.title)} {counts}>",
                *suites,
                "</testsuites>\n",
            ]
        )

    def markdown(self) -> str:
        """Return the report as a comment for a pull request: the outcome, what did not pass, and the groups."""
        lines = [f"### {_cell(self.title)}: {self.outcome.value}", "", self.tally()]
        lines += ["", *(_cell(note) for note in self.notes)] if self.notes else []
        if self.odd:
            lines += ["", "| outcome | check | why |", "|---|---|---|"]
            lines += [
                f"| {check.mark} | {_cell(check.group)}: {_cell(check.name)} | {_cell(_reason(check))} |"
                for check in self.odd[:SHOWN]
            ]
            if len(self.odd) > SHOWN:
                lines += ["", f"and {len(self.odd) - SHOWN} more"]
        lines += ["", "<details><summary>all groups</summary>", ""]
        lines += [f"- {_cell(group)}: {_tally(checks)}" for group, checks in self.groups().items()]
        return "\n".join([*lines, "", "</details>\n"])


def deliver(
    report: Report, *, as_json: bool, junit: Path | None = None, markdown: Path | None = None, text: str | None = None
) -> NoReturn:
    """Print a report, write the files that were asked for, and end the command with its exit code.

    Args:
        report: what was found.
        as_json: print it for machines.
        junit: file for it as JUnit XML.
        markdown: file for it as a comment.
        text: what people read instead of the report's own text.

    Raises:
        UnwritableFolder: if a file cannot be written.
    """
    import typer

    for path, option, content in ((junit, "--junit", report.junit()), (markdown, "--markdown", report.markdown())):
        if path is not None:
            try:
                path.write_text(content, encoding="utf-8")
            except OSError as error:
                raise UnwritableFolder(path, error, option) from error
    typer.echo(report.json() if as_json else report.text() if text is None else _clean(text))
    raise typer.Exit(report.outcome.code)


def _tally(checks: Sequence[Check]) -> str:
    counted = Counter(check.mark for check in checks)
    return ", ".join(f"{count} {mark}" for mark, count in counted.most_common())


def _reason(check: Check) -> str:
    if check.waived is None:
        return check.detail
    return f"{check.detail} (waived: {check.waived})" if check.detail else f"waived: {check.waived}"


def _kind(check: Check) -> str | None:
    """Return the element that JUnit has for what did not pass."""
    if check.outcome is Outcome.PASS:
        return None
    if check.waived is not None or check.counted is None:
        return "skipped"
    return "failure" if check.outcome is Outcome.FAIL else "error"


def _kinds(checks: Sequence[Check]) -> str:
    kinds = Counter(_kind(check) for check in checks)
    return f'tests="{len(checks)}" failures="{kinds["failure"]}" errors="{kinds["error"]}" skipped="{kinds["skipped"]}"'


def _suite(group: str, checks: Sequence[Check]) -> str:
    cases = []
    for check in checks:
        opening = f"    <testcase classname={_attribute(group)} name={_attribute(check.name)}"
        if (kind := _kind(check)) is None:
            cases.append(f"{opening}/>")
            continue
        named = "" if kind == "skipped" else f" type={_attribute(check.outcome.value)}"
        cases.append(f"{opening}><{kind}{named} message={_attribute(_reason(check))}/></testcase>")
    return "\n".join([f"  <testsuite name={_attribute(group)} {_kinds(checks)}>", *cases, "  </testsuite>"])


def _clean(text: str) -> str:
    """Return a text without what neither a terminal, nor XML, nor a file can hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _cell(text: str) -> str:
    """Return a text that is no markup in a Markdown table."""
    safe = _clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", " ".join(safe.split()))
