"""A matrix seen by the person who started it, on a terminal, and by one at another terminal while it runs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyte
import pytest

from harness.api import run_suite
from harness.record import LOG_FILE
from tests.end_to_end.watching import PATIENCE, until
from tests.harness.commands import Called, call
from tests.runners.faulty import GATE, contents, write_suite

COLUMNS, LINES = 72, 30


class Terminal:
    """A command on a pseudo-terminal, and what stands on its screen."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self._screen = pyte.HistoryScreen(COLUMNS, LINES, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.cli", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=environment | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )
        os.close(theirs)
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        os.close(self._ours)

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def everything(self) -> list[str]:
        """Return what has scrolled away as well."""
        with self._lock:
            above = ["".join(line[column].data for column in range(COLUMNS)) for line in self._screen.history.top]
            return [line.rstrip() for line in (*above, *self._screen.display)]

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._ours, 1 << 16)
            except OSError:  # the last process on the other side is gone
                return
            with self._lock:
                self._stream.feed(chunk)


@dataclass
class Seen:
    """What was seen of one matrix: two cells that are done, one that fails, one that runs."""

    out: Path
    suite: Path
    screen: list[str] = field(default_factory=list)
    """While the first run of the last cell stood still."""
    status: Called | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    changed: bool = True
    """Whether looking changed any file of a run."""
    code: int | None = None
    end: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def seen(plugins: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder, gate = tmp_path_factory.mktemp("seen"), Path(os.environ[GATE])
    suite = write_suite(folder / "day.yaml", ["head_only", "in_hook", "waiting_late"], seeds=[0, 1])
    seen = Seen(folder / "out", suite)
    gate.touch()
    words = ["run", "day.yaml", "--out", "out", "--workers", "1", "--device", "cpu", "--set", "data_seed=3"]
    with Terminal(words, folder) as terminal:
        try:
            until(lambda: any("step 8/16" in line for line in terminal.lines()), "the eighth step")
            until(lambda: steps(seen.out), "the note of that step")
            before = contents(seen.out)
            seen.status = call("status", seen.out)
            seen.facts = json.loads(call("status", seen.out, "--json").out)
            seen.changed = contents(seen.out) != before
            seen.screen = terminal.lines()
        finally:
            gate.unlink()
        seen.code = terminal.end()
        seen.end = terminal.everything()
    return seen


def test_an_interrupt_at_the_terminal_finishes_what_runs_under_the_live_view(
    plugins: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = Path(os.environ[GATE])
    write_suite(tmp_path / "day.yaml", ["waiting_late"], seeds=[0, 1])
    gate.touch()
    words = ["run", "day.yaml", "--out", "out", "--workers", "1", "--device", "cpu"]
    with Terminal(words, tmp_path) as terminal:
        try:
            until(lambda: any("step 8/16" in line for line in terminal.lines()), "the eighth step")
            os.killpg(terminal.process.pid, signal.SIGINT)
            until(lambda: any("finishing what runs" in line for line in terminal.lines()), "the answer to Ctrl-C")
            status = json.loads(until(lambda: drained(tmp_path / "out"), "the note of it"))
        finally:
            gate.unlink()
        assert terminal.end() == 130
        text = "".join(terminal.everything())
    assert "interrupted: the running attempts are finished, nothing more starts; again to stop now" in text
    assert "1 of 2 runs ended" in text
    assert "interrupted; the rest is run by: paretune run day.yaml --out out --workers 1" in text
    assert status["progress"]["draining"] is True
    assert json.loads(call("status", tmp_path / "out", "--json").out)["runs"] == {"ok": 1}


def drained(out: Path) -> str | None:
    text = call("status", out, "--json").out
    progress = json.loads(text)["progress"]
    return text if progress and progress["draining"] else None


def steps(out: Path) -> bool:
    running = json.loads(call("status", out, "--json").out)["running"]
    return bool(running and running[0]["step"])


def test_the_terminal_shows_every_cell_what_runs_what_failed_and_the_tally(seen: Seen) -> None:
    rows = {line.split()[0]: line.split()[1:] for line in seen.screen if line}
    assert rows["head_only"] == ["●●"]
    assert rows["in_hook"] == ["✗✗"]
    assert rows["waiting_late"][0] in ("▸·", "embedded/polarity")
    text = "\n".join(seen.screen)
    assert re.search(r"^waiting_late +▸·$", text, re.MULTILINE)
    assert re.search(r"^waiting_late embedded/polarity seed 0  step 8/16  loss \d\.\d{3}  \d+ s$", text, re.MULTILINE)
    assert re.search(r"^failed: in_hook embedded/polarity seed 1: ", text, re.MULTILINE)
    assert "▸ 1 running  ✗ 2 failed  · 1 todo  ● 2 ok" in text
    assert re.search(r"^4 of 6 runs ended, \d+ s, about \d+ s left$", text, re.MULTILINE)


def test_another_terminal_is_told_what_runs_and_since_when(seen: Seen) -> None:
    assert seen.status is not None
    assert seen.status.code == 0
    assert re.search(r"^failed +2$", seen.status.out, re.MULTILINE)
    assert re.search(r"^unfinished +1 ", seen.status.out, re.MULTILINE)
    assert re.search(
        r"waiting_late embedded/polarity seed 0  running for \d+ s, since 20.*, step 8/16", seen.status.out
    )
    assert re.search(r"holds this folder: 4 of 6 runs ended, about \d+ s left$", seen.status.out, re.MULTILINE)
    assert not seen.changed


def test_json_tells_machines_the_same(seen: Seen) -> None:
    facts = seen.facts
    assert facts["runs"] == {"ok": 2, "failed": 2}
    (running,) = facts["running"]
    assert (running["method"], running["seed"], running["state"]) == ("waiting_late", 0, "running")
    assert (running["step"], running["steps"], running["attempt"]) == (8, 16, 1)
    assert facts["scheduler"]["here"] is True
    assert facts["progress"] == {"suite": "faults", "ended": 4, "total": 6, "draining": False}
    assert facts["seconds_left"] >= 0


def test_the_end_has_failures_first_their_logs_the_table_and_the_command(seen: Seen) -> None:
    assert seen.code == 1
    text = "".join(line.ljust(COLUMNS) if len(line) == COLUMNS else f"{line}\n" for line in seen.end)
    failed, table, again = (
        text.index(word) for word in ("failed: 2 runs: KeyError", "Test scores", "try what is not ok")
    )
    assert failed < table < again
    logs = re.findall(r"(\S+/log\.txt)", text[failed:table])
    assert len(logs) == 2
    assert all("a hook went wrong" in Path(log).read_text(encoding="utf-8") for log in logs)
    command = "paretune run day.yaml --out out --workers 1 --device cpu --set data_seed=3 --retry failed"
    assert command in text[again:]
    assert "4 ok" in text


def test_the_command_that_reruns_does_and_tells_machines_each_event(seen: Seen) -> None:
    words = ["run", seen.suite, "--out", seen.out, "--workers", "1", "--device", "cpu", "--set", "data_seed=3"]
    called = call(*words, "--retry", "failed", "--json")
    assert called.code == 1
    events = [json.loads(line) for line in called.out.splitlines()]
    assert events[0]["counts"] == {"done": 4, "todo": 2, "stale": 0, "not_applicable": 0}
    assert [event["type"] for event in events[1:-1]] == ["started", "ended"] * 2
    assert [(event["status"], event["again"]) for event in events if event["type"] == "ended"] == [
        ("failed", False)
    ] * 2
    assert all((Path(event["folder"]) / LOG_FILE).is_file() for event in events if event["type"] == "ended")
    (failure,) = events[-1]["failures"]
    assert (failure["status"], failure["kind"], len(failure["runs"])) == ("failed", "KeyError", 2)
    assert events[-1]["again"][-2:] == ["failed", "--json"]
    assert events[-1]["statuses"] == {"ok": 4, "failed": 2}
    assert not list(seen.out.glob(".progress.json*"))


def test_a_run_that_is_reproduced_is_seen_on_a_terminal_and_its_prints_are_not(
    plugins: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = Path(os.environ[GATE])
    suite = write_suite(tmp_path / "one.yaml", ["waiting_late"])
    run = run_suite(suite, out=tmp_path / "out", workers=1, device="cpu")
    (record,) = run.records
    gate.touch()
    words = ["reproduce", record.run_id, "--out", "out", "--into", "new", "--device", "cpu"]
    with Terminal(words, tmp_path) as terminal:
        try:
            until(lambda: any("step 8/16" in line for line in terminal.lines()), "the eighth step")
            screen = terminal.lines()
        finally:
            gate.unlink()
        assert terminal.end() == 0
        end = terminal.everything()
    assert any("0 of 1 runs ended" in line for line in screen)
    assert not [line for line in end if "stands after" in line]
    assert "stands after step 8" in (tmp_path / "new" / record.run_id / "001" / LOG_FILE).read_text(encoding="utf-8")
    assert any(line.endswith(": equal") for line in end)
