"""The command ``compare``: four outcomes by exit code, and the same findings in every form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.errors import UserError
from leaderboard.releases import freeze
from tests.leaderboard.regressing import write


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def release(folder: Path, name: str, chance: float, trained: int) -> Path:
    """Return a release: hand-made records are not what today's code gives, so that a folder of them is stale."""
    return freeze([write(folder / name, chance, trained)], folder / "releases", name).folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return release(tmp_path, "base", 0.8, 0)


def test_each_outcome_has_its_exit_code(base: Path, tmp_path: Path) -> None:
    same, worse, like = (release(tmp_path, f"n{c}{t}", c, t) for c, t in ((0.8, 0), (0.4, 1), (0.8, 2)))
    (tmp_path / "empty").mkdir()
    cases = {same: 0, worse: 1, like: 3, tmp_path / "empty": 4, write(tmp_path / "stale", 0.9, 3): 4}
    found = {new: run(base, new) for new in cases}
    assert {new: done.exit_code for new, done in found.items()} == cases, [done.output for done in found.values()]
    assert "compare: FAIL (1 fail)" in found[worse].output
    assert "no data       stale (" in found[tmp_path / "stale"].output
    assert run(base, like, "--margin", "30").exit_code == 0


def test_bad_input_starts_nothing(base: Path, tmp_path: Path) -> None:
    for arguments in ((tmp_path / "none",), (base,), (tmp_path, "--margin", "0"), (tmp_path, "--waivers", "none.yaml")):
        assert isinstance(run(base, *arguments).exception, UserError)  # which ``main`` prints, and exits with 2
    assert run(base, tmp_path, "--today", "soon").exit_code == 2


def test_every_form_says_the_same(base: Path, tmp_path: Path) -> None:
    worse = release(tmp_path, "worse", 0.4, 1)
    junit, markdown = tmp_path / "found.xml", tmp_path / "found.md"
    done = run(base, worse, "--json", "--junit", junit, "--markdown", markdown)
    told = json.loads(done.output)
    assert (done.exit_code, told["exit_code"], told["outcome"]) == (1, 1, "fail")
    (check,) = told["checks"]
    facts = check["facts"]
    assert facts["drop"] == pytest.approx(facts["base"] - facts["new"])
    assert set(facts) == {"base", "new", "drop", "half_width", "margin", "seen_from", "p_value"}
    (failure,) = ElementTree.parse(junit).getroot().iter("failure")
    assert failure.get("message") == check["detail"]
    comment = markdown.read_text()
    assert comment.startswith("### compare: fail")
    assert f"a drop of {facts['seen_from']:.2f} would be seen" in comment


def test_no_tensor_library_is_loaded(base: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new", trained=1)
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "compare", str(base), str(new)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (4, "False"), done.stderr
    assert "stale (" in done.stdout


def test_waivers_hold_until_their_day_and_history_is_looked_at(base: Path, tmp_path: Path) -> None:
    worse = release(tmp_path, "worse", 0.4, 1)
    waivers = tmp_path / "waivers.yaml"
    waivers.write_text('- {cell: "small: *; glue/sst2, lora*", reason: known, owner: ada, expires: 2026-03-31}\n')
    assert run(base, worse, "--waivers", waivers, "--today", "2026-03-31").exit_code == 0
    late = run(base, worse, "--waivers", waivers, "--today", "2026-04-01")
    assert late.exit_code == 1
    assert "fail          waivers: small: *; glue/sst2, lora*: expired 2026-03-31" in late.output
    assert run(base, worse, "--waivers", waivers).exit_code == 1  # the clock is past that day
    write(tmp_path / "old", 0.8, 7)
    alone, helped = (
        json.loads(run(base, worse, "--json", *more).output) for more in ((), ("--history", tmp_path / "old"))
    )
    assert helped["checks"][0]["facts"]["seen_from"] < alone["checks"][0]["facts"]["seen_from"]
