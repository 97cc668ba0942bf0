"""Claims about the command: its exit codes, its files, and what it says of bad input."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.harness.commands import call as paretune


def test_a_pass_ends_with_0_and_writes_what_was_asked_for(tmp_path: Path) -> None:
    files = ["--junit", str(tmp_path / "j.xml"), "--markdown", str(tmp_path / "m.md")]
    done = paretune("regression", "--only", "exact/streams", "--json", *files)
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["outcome"], said["exit_code"], said["counts"]["pass"]) == ("pass", 0, 10)
    assert ElementTree.parse(tmp_path / "j.xml").getroot().attrib["tests"] == "10"
    assert (tmp_path / "m.md").read_text().startswith("### regression: pass")


def test_a_fail_ends_with_1_and_names_both_values(tmp_path: Path) -> None:
    accepted = paretune("regression", "--only", "exact/streams", "--accept", "--values", str(tmp_path))
    assert accepted.code == 0
    assert "exact/streams: + integer, seed 0: " in accepted.out
    path = tmp_path / "exact" / "streams.json"
    path.write_text(path.read_text().replace('"integer, seed 0": "', '"integer, seed 0": "1'))
    done = paretune("regression", "--only", "exact/streams", "--values", str(tmp_path))
    assert done.code == 1
    assert "FAIL           integer, seed 0: 1" in done.out
    assert done.out.endswith("regression: FAIL (9 pass, 1 fail)\n")


def test_nothing_to_compare_with_ends_with_4(tmp_path: Path) -> None:
    done = paretune("regression", "--only", "exact/streams", "--values", str(tmp_path))
    assert done.code == 4
    assert "no committed values" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "exakt"), "did you mean exact"),
        (("--method", "lorra"), "did you mean lora"),
        (("--method", "lora", "--accept"), "give one of the two"),
    ],
)
def test_bad_input_ends_with_2(arguments: tuple[str, ...], said: str) -> None:
    done = paretune("regression", *arguments)
    assert done.code == 2
    assert said in done.err
    assert not done.out
