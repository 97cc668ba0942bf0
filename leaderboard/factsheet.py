"""Fact sheets: what a record states, as lists of name and text, and their markup, which equal lists share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import NamedTuple

from markupsafe import Markup

from harness.record import Counts, Record
from leaderboard.rendering import bytes_text, flat, milliseconds, seconds
from leaderboard.wording import NO_BREAK, count

Facts = tuple[tuple[str, str], ...]
"""Names and texts, in the order in which they are shown."""

SQUARE = '<rect x="2" y="2" width="10" height="10"/>'
BAR = 600.0
"""Width of the bar of seconds, in its own pixels."""


class Phases(NamedTuple):
    """Where the time of a run went, drawn and in words."""

    bar: Markup
    """Rectangles in a box of ``BAR`` by 14."""
    lines: Markup
    """Rows of a table: phase, time and share."""


@lru_cache(maxsize=4096)
def markup(facts: Facts) -> Markup:
    """Return a list of facts, escaped; a page has a hundred of them, and many pages have the same."""
    lines = [f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>\n" for name, text in facts]
    return Markup(f'<dl class="table">\n{"".join(lines)}</dl>')  # names and texts are escaped above


def sheets(record: Record) -> list[tuple[str, Facts]]:
    """Return the lists of facts of a record that has them, each with its title."""
    found = [
        ("Counts", counts(record.counts, record.sparsity) if record.counts else ()),
        ("Search", tuple(flat(record.search or {}))),
        ("Environment", tuple(flat(record.environment))),
        ("Digests", tuple(flat(record.digests.model_dump(mode="json")))),
    ]
    return [(title, facts) for title, facts in found if facts]


def counts(of: Counts, sparsity: float | None) -> Facts:
    """Return the four counts of a run, and what follows from them."""
    share = f"{100 * of.trained / of.total:.4f}{NO_BREAK}%" if of.total else "—"
    return (
        ("trained, without head", count(of.trained)),
        ("head", count(of.head) + ("" if of.head_trained else ", not trained")),
        ("backbone (N)", count(of.total)),
        ("trained share of N", share),
        ("stored bits, with indices", count(of.stored_bits)),
        ("extra at inference", count(of.extra_at_inference)),
        ("exact zeros in the result", "—" if sparsity is None else f"{100 * sparsity:.2f}{NO_BREAK}%"),
    )


def cost(record: Record) -> Facts:
    """Return what a run took beside its time."""
    of = record.cost
    rate = of.train_items_per_second
    where_known = {
        "one row, as trained": milliseconds(of.latency_seconds),
        "one row, through the backbone alone": milliseconds(of.plain_latency_seconds),
        "sent by one rank to the others": bytes_text(of.sent_bytes),
        "checkpoint of an epoch after the first": bytes_text(of.checkpoint_bytes),
    }
    return (
        ("train items per second", "—" if rate is None else f"{rate:.1f}"),
        ("train tokens per second", count(of.train_tokens_per_second)),
        ("steps", count(of.steps)),
        ("peak memory", bytes_text(of.peak_bytes)),
        ("size of the trained part", bytes_text(of.trained_part_bytes)),
        *((name, text) for name, text in where_known.items() if text != "—"),
    )


def phases(took: Mapping[str, float]) -> Phases | None:
    """Return where the time of a run went, None where nothing is known."""
    total = sum(took.values())
    bar, lines, start = [], [], 0.0
    for number, (name, value) in enumerate(took.items()):
        colour, share = f"line-{number % 8 + 1}", value / total if total > 0 else 0.0
        bar.append(f'<rect x="{start:.1f}" width="{share * BAR:.1f}" height="14" class="{colour}"/>')
        swatch = f'<svg class="swatch {colour}" viewBox="0 0 14 14" aria-hidden="true">{SQUARE}</svg>'
        cells = f'<td class="right">{seconds(value)}</td><td class="right">{100 * share:.0f}{NO_BREAK}%</td>'
        lines.append(f'<tr><th scope="row">{swatch} {escape(name)}</th>{cells}</tr>\n')
        start += share * BAR
    # Names are escaped above, the rest is ours.
    return Phases(Markup("".join(bar)), Markup("".join(lines))) if took else None
