"""Templates to text."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from pydantic import JsonValue

from leaderboard.rendering import bytes_text, environment, flat, render, seconds


def test_values_are_escaped_and_undefined_ones_are_errors() -> None:
    template = environment().from_string("{{ value }}")
    assert template.render(value="<b>") == "&lt;b&gt;"
    with pytest.raises(UndefinedError):
        template.render()


def test_pages_below_a_folder_find_the_site() -> None:
    text = render("base.html", "runs/x.html")
    assert 'href="../static/style.css"' in text


@pytest.mark.parametrize(("value", "text"), [(None, "—"), (3.04, "3.0 s"), (600.0, "10.0 min")])
def test_durations(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "—"), (12, "12 bytes"), (5_000, "5.0 kB"), (3_200_000, "3.2 MB")])
def test_sizes(value: int | None, text: str) -> None:
    assert bytes_text(value) == text


def test_nested_values_become_dotted_names() -> None:
    values: dict[str, JsonValue] = {"b": {"y": 1, "x": None}, "a": ["p", "q"], "c": {}}
    assert flat(values) == [("a", "p, q"), ("b.x", "—"), ("b.y", "1"), ("c", "—")]
