"""The log: whatever a process prints while an attempt runs goes to the attempt's folder, secrets masked on the way."""

from __future__ import annotations

import codecs
import os
import re
import select
import sys
import threading
from contextlib import suppress
from pathlib import Path

from harness.environment import redact
from harness.record import LOG_FILE

OURS = "\x1e"
"""Stands before words of our own: they begin a line, also where a method left its last one open."""
POLL = 100
"""Milliseconds between looks at whether the attempt has ended."""


class Log:
    """Captures standard output and error from their descriptors, so that C libraries and children are masked as well.

    Lines reach the file as they come, whole and masked; a killed process loses no more than its last unfinished line.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG_FILE
        self._ended = threading.Event()

    def __enter__(self) -> Log:
        self._file = self._path.open("wb", buffering=0)
        _flush()
        self._saved = os.dup(1), os.dup(2)
        read_end, write_end = os.pipe()
        for descriptor in (1, 2):
            os.dup2(write_end, descriptor)
        os.close(write_end)
        self._thread = threading.Thread(target=self._copy, args=(read_end,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        _flush()
        for saved, descriptor in zip(self._saved, (1, 2), strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)
        self._ended.set()
        self._thread.join()

    def add(self, text: str) -> None:
        """Add text of our own on a line of its own, even where a method closed or replaced the streams."""
        _flush()
        with suppress(OSError), open(2, "wb", closefd=False) as stream:
            stream.write(f"{OURS}{text}".encode(errors="replace"))

    def _copy(self, read_end: int) -> None:
        decoder, rest, poll = codecs.getincrementaldecoder("utf-8")("replace"), "", select.poll()
        poll.register(read_end, select.POLLIN)
        with self._file:
            while True:
                ended = self._ended.is_set()  # asked before the look at the pipe: what was printed until then is there
                if not poll.poll(POLL):
                    if ended:  # a process that the run left behind may hold the pipe open for ever
                        break
                    continue
                chunk = os.read(read_end, 1 << 16)
                if not chunk:
                    break
                text = re.sub(rf"(^|[\r\n]){OURS}", r"\1", rest + decoder.decode(chunk))
                *lines, rest = re.split(rf"\r\n|\r|\n|{OURS}", text)
                self._write(lines)
            self._write([rest] if rest else [])
        os.close(read_end)

    def _write(self, lines: list[str]) -> None:
        for line in lines:
            with suppress(OSError):  # a full disk costs log lines; the pipe must still be emptied, or printing blocks
                self._file.write(f"{redact(line)}\n".encode(errors="replace"))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a method may have closed it
            stream.flush()
