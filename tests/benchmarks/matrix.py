"""Times 24 cells run by the harness, with one worker and with two, and the same cells written plainly.

Usage: python -m tests.benchmarks.matrix MIRROR [--plain]
Prints what architecture and issues promise: seconds of a warm run beside fit and score, the whole against the sum of
fit and score, two workers against one, and plain cells, one process each and one after the other: on one thread against
one worker, and on two against two, which is the whole of a machine of two cores for each. On an idle machine only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from harness.record import Record
from harness.suite import read
from leaderboard.load import load_records

SUITE = Path(__file__).parent / "matrix.yaml"
WORK = ("fit", "validate", "score")


def timed(*command: str) -> float:
    """Run a command to its good end; return its seconds."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def matrix(mirror: str, workers: int) -> tuple[float, list[Record]]:
    """Run the suite in a fresh folder; return its seconds and records."""
    with tempfile.TemporaryDirectory() as out:
        asked = ("run", str(SUITE), "--mirror", mirror, "--out", out, "--workers", str(workers), "--device", "cpu")
        seconds = timed(sys.executable, "-m", "harness.cli", *asked)
        records = [run.record for run in load_records([Path(out)]).runs]
    assert all(record.status == "ok" for record in records), [record.error for record in records]
    return seconds, sorted(records, key=lambda record: record.started)


def overhead(record: Record) -> float:
    """Return the seconds of a run beside data, fit, validation and scores."""
    whole = datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)
    return whole.total_seconds() - work(record) - record.cost.seconds.get("data", 0.0)


def work(record: Record) -> float:
    """Return the seconds of fit, validation and scores."""
    return sum(record.cost.seconds.get(phase, 0.0) for phase in WORK)


def plain(mirror: str, threads: int) -> float:
    """Return the seconds of all cells written plainly, one process after the other, each on so many threads."""
    suite = read(str(SUITE))
    cells = [
        (task.train, method.name, seed) for task in suite.tasks for method in suite.methods for seed in suite.seeds
    ]
    here = (sys.executable, "-m", "tests.benchmarks.plain", mirror)
    return sum(timed(*here, task, method, str(seed), str(threads)) for task, method, seed in cells)


def main(mirror: str, with_plain: bool) -> None:
    """Measure and print."""
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    one, records = matrix(mirror, 1)
    spent, scored = sum(map(work, records)), sum(record.cost.seconds.get("validate", 0.0) for record in records)
    warm = sorted(overhead(record) for record in records[1:])
    two, _ = matrix(mirror, 2)
    say(f"{len(records)} runs, fit, validation and score together {spent:.1f} s, {scored:.1f} s of them validation")
    say(f"(a) a warm run beside them: median {warm[len(warm) // 2]:.2f} s, largest {warm[-1]:.2f} s")
    say(f"(b) one worker {one:.1f} s, {one / spent:.2f} of that")
    say(f"    two workers {two:.1f} s, {two / one:.2f} of one, {two / spent:.2f} of that")
    if with_plain:
        for threads, ours, called in ((1, one, "one worker"), (2, two, "two workers")):
            plainly = plain(mirror, threads)
            say(f"(c) plainly, one process each, threads {threads}: {plainly:.1f} s, {plainly / ours:.2f} of {called}")


def say(line: str) -> None:
    """Print at once: a measurement takes minutes."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], "--plain" in sys.argv)
