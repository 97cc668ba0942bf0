"""A list of images gives its rows in order, and names every line that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import imagelists
from harness.errors import MissingPrerequisite
from tests.tasks.pictures import encoded, noise


def listed(folder: Path, text: str, names: tuple[str, ...] = ("images/a.png", "images/b c.png")) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(noise(4, 4, number)))
    (folder / "train800.txt").write_text(text, encoding="utf-8")
    return folder / "train800.txt"


def test_rows_come_in_the_order_of_the_list(tmp_path: Path) -> None:
    place = listed(tmp_path, "images/b c.png 7\n\nimages/a.png 0\n")
    rows = imagelists.read(place)
    assert rows["label"].to_pylist() == [7, 0]
    assert rows["image"].to_pylist() == [
        {"bytes": encoded(noise(4, 4, 1)), "path": "images/b c.png"},
        {"bytes": encoded(noise(4, 4, 0)), "path": "images/a.png"},
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/a.png", "line 2: 'images/a.png' is no image; write its path, a space, and the number of its class"),
        ("images/a.png cat", "line 2: 'images/a.png cat' is no image"),
        ("images/a.png -1", "line 2: 'images/a.png -1' is no image"),
        ("images/z.png 1", "names 1 images that are not there, such as images/z.png"),
        ("../a.png 1", "names '../a.png', which lies outside its folder"),
        ("/etc/hostname 1", "names '/etc/hostname', which lies outside its folder"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(MissingPrerequisite) as caught:
        imagelists.read(listed(tmp_path, f"images/a.png 0\n{line}\n"))
    assert message in str(caught.value)


def test_the_digest_follows_the_lines_and_the_content_and_not_the_place(tmp_path: Path) -> None:
    text = "images/a.png 0\nimages/b c.png 1\n"
    first, second = listed(tmp_path / "x", text), listed(tmp_path / "y", text)
    digest = imagelists.digest(first)
    assert digest == imagelists.digest(second)
    second.write_text("images/a.png 1\nimages/b c.png 1\n")
    assert imagelists.digest(second) != digest
    (first.parent / "images/a.png").write_bytes(encoded(noise(4, 5)))
    assert imagelists.digest(first) != digest
