"""Docstrings as HTML: paragraphs, lists, definitions such as Args, and code; and the docstrings of attributes."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from functools import cache
from textwrap import dedent
from types import ModuleType

from markupsafe import Markup, escape

_CODE = re.compile(r"``(.+?)``", re.DOTALL)
_ITEM = re.compile(r"(?:[-*]|\d+\.) +(.*)", re.DOTALL)
_TERM = re.compile(r"([\w*., ]+): +(.*)", re.DOTALL)
_HEADS = ("Args:", "Returns:", "Yields:", "Raises:")


def to_html(text: str) -> Markup:
    """Return a docstring, as ``inspect.getdoc`` gives it, as HTML; everything in it is text but code between backticks.

    Blank lines part paragraphs. Lines that begin with ``-`` or ``1.`` are items of a list, lines below ``Args:`` and
    its like are definitions, and a paragraph that stands indented is shown as it is. An indented line goes on with
    what the line above began.
    """
    blocks = [block for block in re.split(r"\n\s*\n", text.strip("\n")) if block.strip()]
    return Markup("\n").join(_block(block) for block in blocks)


def _block(block: str) -> Markup:
    lines = block.splitlines()
    if lines[0].strip() in _HEADS:
        return _definitions(lines[0].strip().rstrip(":"), _entries(dedent("\n".join(lines[1:])).splitlines()))
    if lines[0].startswith("    "):
        return Markup("<pre>{}</pre>").format(dedent(block))
    first = next((number for number, line in enumerate(lines) if _ITEM.match(line)), None)
    if first is None:
        return Markup("<p>{}</p>").format(inline(_joined(lines)))
    before = Markup("<p>{}</p>").format(inline(_joined(lines[:first]))) if first else Markup("")
    return before + _list(_entries(lines[first:]))


def _list(entries: Sequence[str]) -> Markup:
    kind = "ol" if entries[0][0].isdigit() else "ul"
    found = (_ITEM.match(entry) for entry in entries)
    items = [Markup("<li>{}</li>").format(inline(item[1])) for item in found if item]
    return Markup("<{0}>{1}</{0}>").format(kind, Markup("").join(items))


def _definitions(head: str, entries: Sequence[str]) -> Markup:
    rows = []
    for entry in entries:
        found = _TERM.match(entry)
        term, words = (found[1], found[2]) if found else ("", entry)
        rows.append(
            Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(Markup("<code>{}</code>").format(term), inline(words))
        )
    return Markup('<p class="args">{}</p><dl class="args">{}</dl>').format(head, Markup("").join(rows))


def _entries(lines: Sequence[str]) -> list[str]:
    """Join each line that stands indented, or begins no item, with the entry it goes on with."""
    entries: list[list[str]] = []
    items = any(_ITEM.match(line) for line in lines)
    for line in lines:
        begins = bool(_ITEM.match(line)) if items else not line.startswith(" ")
        if begins or not entries:
            entries.append([line])
        else:
            entries[-1].append(line)
    return [_joined(entry) for entry in entries]


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


def inline(text: str) -> Markup:
    """Return text with its ``code`` marked, and everything escaped."""
    parts = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def attributes(owner: ModuleType | type) -> dict[str, str]:
    """Return the assigned or annotated names of a module or class, each with the docstring below it, or none."""
    return dict(_attributes(_tree(inspect.getsource(owner)), isinstance(owner, type)))


@cache
def _tree(source: str) -> ast.Module:
    return ast.parse(dedent(source))


def _attributes(tree: ast.Module, of_class: bool) -> Iterator[tuple[str, str]]:
    first = tree.body[0]
    body = first.body if of_class and isinstance(first, ast.ClassDef) else tree.body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        targets = (
            statement.targets
            if isinstance(statement, ast.Assign)
            else [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else []
        )
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name):
                    yield name.id, _docstring(following)


def _docstring(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return inspect.cleandoc(str(statement.value.value))
    return ""
