from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.record import LOG_FILE
from runners.log import Log
from tests.runners.faulty import SECRET, printing_as_a_worker


def lines(folder: Path) -> list[str]:
    return (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()


def test_everything_printed_reaches_the_log_in_order_and_nothing_after_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with printing_as_a_worker(), Log(tmp_path):
        sys.stdout.write("by python\n")
        os.write(1, b"by C\n")
        os.write(2, b"to the error stream\n")
        subprocess.run(["echo", "by a child"], check=True)
        os.write(1, b"no end of line")
    assert lines(tmp_path) == ["by python", "by C", "to the error stream", "by a child", "no end of line"]
    assert capfd.readouterr().out == ""


def test_lines_are_masked_before_they_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", SECRET)
    with Log(tmp_path):
        for part in (f"in two writes {SECRET[:7]}", f"{SECRET[7:]} of one line\n"):
            os.write(1, part.encode())
            time.sleep(0.05)
        os.write(2, f"at the end {SECRET}".encode())
    assert lines(tmp_path) == ["in two writes <masked> of one line", "at the end <masked>"]


def test_a_line_is_on_the_disk_while_the_attempt_still_runs(tmp_path: Path) -> None:
    with Log(tmp_path):
        os.write(1, b"step 1\n")
        end = time.monotonic() + 10
        while not lines(tmp_path) and time.monotonic() < end:
            time.sleep(0.01)
        assert lines(tmp_path) == ["step 1"]


def test_progress_bars_and_bytes_that_are_no_text_become_lines(tmp_path: Path) -> None:
    with Log(tmp_path):
        os.write(1, b"10%\r20%\r\nbroken \xff\n" + "é".encode()[:1])
        time.sleep(0.05)
        os.write(1, "é".encode()[1:] + b"\n")
    assert lines(tmp_path) == ["10%", "20%", "broken \ufffd", "é"]


def test_a_child_that_stays_does_not_hold_the_attempt_up(tmp_path: Path) -> None:
    began = time.monotonic()
    with Log(tmp_path):
        child = subprocess.Popen(["sleep", "60"])
        os.write(1, b"started a child\n")
    assert time.monotonic() - began < 20
    assert child.poll() is None
    child.kill()
    child.wait()
    assert lines(tmp_path) == ["started a child"]


def test_a_full_disk_does_not_block_who_prints(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / LOG_FILE).symlink_to("/dev/full")
    with Log(tmp_path):
        for _ in range(50):
            os.write(1, b"x" * 10_000 + b"\n")  # in all, more than a pipe holds


def test_our_own_words_begin_a_line_after_what_was_printed_also_where_a_method_closed_the_streams(
    tmp_path: Path,
) -> None:
    with printing_as_a_worker(), Log(tmp_path) as log:
        sys.stdout.write("not flushed")
        log.add("ours \udc80\n")
        sys.stderr.close()
        log.add("after that\n")
    assert lines(tmp_path) == ["not flushed", "ours ?", "after that"]
