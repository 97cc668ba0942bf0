"""Slow encodings are kept on disk under all that they follow from, and a damaged one is made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import cache, tiny
from harness.encoding import Encoding
from harness.protocol import Examples
from runners import encodings
from runners.encodings import FOLDER, encode, encoder_digest
from tests.tasks.lm_tasks import TASKS, Toys, write

TOKENIZER = tiny.tokenizer(closed=False)
DIGEST = encoder_digest(TOKENIZER)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep everything, however quick, in a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(encodings, "SLOW_SECONDS", 0.0)
    return tmp_path / "cache" / "paretune" / FOLDER


@pytest.fixture
def toys(tmp_path: Path) -> Toys:
    return write(tmp_path / "toys", {"choice": TASKS["choice"]})


def encoded(toys: Toys, length: int = 96, split: Any = "evaluation", **options: Any) -> Examples:
    return encode(toys.protocol("choice", **options), toys.part("choice", split), TOKENIZER, length, DIGEST)


def files(place: Path) -> list[Path]:
    return sorted(place.glob("*.parquet"))


def test_another_process_encodes_no_text_again(toys: Toys, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encoded(toys)
    assert len(files(place)) == 1
    monkeypatch.setattr(Encoding, "pairs", lambda *args: pytest.fail("a text was encoded"))
    again = encoded(toys)
    assert again.inputs == first.inputs
    assert again.extra["encoded"] == first.extra["encoded"]


def test_what_is_quick_is_not_kept(toys: Toys, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "SLOW_SECONDS", 60.0)
    encoded(toys)
    assert not place.exists()


def test_all_that_an_encoding_follows_from_is_in_its_name(
    toys: Toys, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded(toys)
    encoded(toys, length=95)
    encoded(toys, split="train")
    encoded(toys, num_fewshot=1)
    encode(toys.protocol("choice"), toys.part("choice"), TOKENIZER, 96, "another tokenizer")
    monkeypatch.setattr(encodings.provenance, "tree_digest", lambda path: "another code")
    encoded(toys)
    monkeypatch.setattr(encodings, "version", lambda library: "another version")
    encoded(toys)
    path = toys.folder / "choice.yaml"
    path.write_text(path.read_text().replace("Colour:", "Its colour:"))
    encoded(toys)
    assert len(files(place)) == 8
    encoded(toys)
    assert len(files(place)) == 8


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit"])
def test_a_damaged_file_is_made_anew(damage: str, toys: Toys, place: Path) -> None:
    first = encoded(toys)
    (path,) = files(place)
    whole = path.read_bytes()
    flipped = whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]
    path.write_bytes({"cut": whole[:-40], "empty": b"", "one bit": flipped}[damage])
    assert encoded(toys).inputs == first.inputs
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_no_run(
    toys: Toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache.folder().parent.is_file()
    assert len(encoded(toys)) == 13


def test_a_users_own_code_may_read_anything_and_is_not_kept(
    toys: Toys, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETUNE_ALLOW_CODE", "1")
    (toys.folder / "mine.py").write_text("def text(doc):\n    return doc['thing']\n")
    path = toys.folder / "choice.yaml"
    path.write_text(f"{path.read_text()}doc_to_text: !function mine.text\n")
    encoded(toys)
    assert not place.exists()


def test_tokenizers_that_encode_alike_have_one_digest_and_others_another() -> None:
    again = tiny.tokenizer(closed=False)
    again(["a", "bc"], padding=True, truncation=True, max_length=2)  # leaves its mark on the tokenizer
    assert encoder_digest(again) == DIGEST
    assert encoder_digest(tiny.tokenizer()) != DIGEST
    again.chat_template = "{{ messages }}"
    assert encoder_digest(again) != DIGEST
