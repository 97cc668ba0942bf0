"""A worker that runs nothing: it speaks and records as the real one does, in no time, and goes wrong where it is told.

``values`` of a spec may name what becomes of its run: ``{"ends": "raises"}``, ``dies``, ``hangs`` (before it begins),
``eats`` (memory without end, in the group of processes that GROUP names) or ``waits`` (until the file that GATE names
is gone).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.record import RECORD_FILE, Digests, Failure, Record, write_once
from harness.spec import Spec
from runners.attempt import now, open_attempt
from runners.process import Options
from runners.queue import Job
from runners.worker import _arguments, _take_pipes
from tests.runners.faulty import GATE

PROGRAM, GROUP = "tests.runners.idle", "PARETUNE_TEST_GROUP"


def main() -> None:
    options = _arguments()
    events, jobs = _take_pipes()

    def report(event: Mapping[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    report({"type": "ready"})
    while True:
        job = Job.parse(jobs.get())
        ends = job.spec.values.get("ends")
        if ends == "hangs":
            time.sleep(600)
        attempt = open_attempt(Path(options.out), job.spec, options.suite)
        report({"type": "started", "run_id": attempt.run_id, "attempt": attempt.number})
        if ends == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if ends == "eats":
            Path(os.environ[GROUP], "cgroup.procs").write_text(str(os.getpid()))
            eaten = []
            while True:
                eaten.append(bytearray(os.urandom(1 << 20)))
        while ends == "waits" and os.path.exists(os.environ[GATE]):
            time.sleep(0.02)
        message = f"run {job.spec.run_id} went wrong" if ends == "raises" else None
        record = Record(
            run_id=attempt.run_id,
            attempt=attempt.number,
            suite=options.suite,
            spec=job.spec,
            status="failed" if message else "ok",
            error=Failure(kind="RuntimeError", message=message) if message else None,
            started=now(),
            ended=now(),
            digests=Digests(),
            environment={"threads": options.threads, "pid": os.getpid()},
            search=job.search,
        )
        write_once(attempt.folder / RECORD_FILE, record.to_json())
        told = {"status": record.status, "folder": str(attempt.folder), "healthy": True, "message": message}
        report({"type": "ended", **told})


def idle(out: Path, **changes: Any) -> Options:
    """Return options whose workers run nothing."""
    return Options(out, "idle", **{"program": PROGRAM, **changes})


def specs(num: int, method: str = "base", first: int = 0, **values: Any) -> list[Spec]:
    """Return so many runs that differ in their seed."""
    base: dict[str, Any] = {"backbone": "tiny:bert", "train": "embedded/polarity", "protocol": "classify"}
    base |= {"score": ("embedded/polarity",), "method": method, "values": values}
    return [Spec.model_validate({**base, "seed": seed}) for seed in range(first, first + num)]


if __name__ == "__main__":
    main()
