"""Times the board of ten thousand synthetic records, ranked, run pages included, and the same board built once more.

Usage: python -m tests.benchmarks.board [RECORDS]
RECORDS is a folder of records to build from; without one they are made in a scratch folder. On an idle machine only;
what was written before is waited for to reach the disk.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.leaderboard.synthetic import Size, write

SIZE = Size(entries=166, tasks=20, seeds=3)
BUILD = "import sys; from pathlib import Path; from leaderboard.page import build_board as build; "
BUILD += "print(build([Path(sys.argv[1])], Path(sys.argv[2])).num_records, 'records')"
"""Without a judge: tasks that are not registered would be stale, and what is stale is not ranked."""


def built(records: Path, site: Path) -> float:
    """Build a site in a process of its own; return its seconds."""
    os.sync()
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BUILD, str(records), str(site)], check=True)
    return time.perf_counter() - began


def main(records: Path | None) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch:
        if records is None:
            records = Path(scratch, "records")
            write(records, SIZE)
        site = Path(scratch, "site")
        for called in ("built", "unchanged"):
            say(f"{called} in {built(records, site):.1f} s")
        files = [path.stat().st_size for path in site.rglob("*") if path.is_file()]
        say(f"{len(files):,} files, {sum(files) / 2**20:,.0f} MiB; index.html {_mib(site / 'index.html'):.2f} MiB")
        say(f"largest process {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10:,.0f} MiB")


def _mib(path: Path) -> float:
    return path.stat().st_size / 2**20


def say(line: str) -> None:
    """Print a line with the time, so that a log tells what stood beside it."""
    print(f"{datetime.now():%H:%M:%S}  {line}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
