"""The Slurm executor: an array of workers, each of which serves the scheduler from a place of its own."""

from __future__ import annotations

import math
import shutil
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import MissingPrerequisite
from harness.spec import Spec
from runners.executor import Executor, is_installed
from runners.place import BEAT, Place, PlaceSeat, looks, write
from runners.process import Options, devices

FOLDER = ".slurm"
SILENCE = 90.0
"""Seconds until a pulse that does not change belongs to nobody: network disks lag."""
MINUTES = 12 * 60
"""How long a worker holds its place where the suite does not say; it comes again when that is over."""
REQUEUES = 1000
"""How often one may come again, in submitit's count."""
REPLACED = 4
"""How many workers a lane may use up that do not come again by themselves, on average."""
FAREWELL, SETTLED = 20.0, 3.0
"""Seconds that workers have to end by themselves before they are cancelled, and submitit to notice that they did."""


class SlurmExecutor(Executor):
    """Runs jobs on an array of workers; those that are pre-empted come again."""

    silence = SILENCE

    @classmethod
    def missing(cls, address: str | None) -> str | None:
        """Return what to install where submitit is not here, and where to go where Slurm is not."""
        if not is_installed("submitit"):
            return "--executor slurm needs the library submitit; install it with: pip install 'paretune[slurm]'"
        if address not in (None, "local"):
            return f"--address of slurm is local, for workers on this machine, or left out; {address!r} came"
        if address is None and shutil.which("sbatch") is None:
            return (
                "--executor slurm needs Slurm, but there is no sbatch on the path; run on a login node, or try it with "
                "--address local"
            )
        return None

    def __enter__(self) -> SlurmExecutor:
        """Ask for the array."""
        sessions = self.options.out / FOLDER
        shutil.rmtree(sessions, ignore_errors=True)  # what still serves a scheduler that is gone ends by itself
        self._session = sessions / f"session-{uuid.uuid4().hex}"
        self._session.mkdir(parents=True)
        self._taken: set[Path] = set()
        self._choice = threading.Lock()
        """Protects the set of places that have a lane."""
        self._ended = threading.Event()
        threading.Thread(target=self._live, daemon=True).start()
        self.needs.callback(self._ended.set)
        self._jobs = self._submit(self.num_seats())
        self.needs.callback(self._dismiss)
        return self

    def doubts(self, specs: Sequence[Spec]) -> list[str]:
        """Return that one worker is few, where nothing was said."""
        one = self.options.workers is None and len(specs) > 1
        return ["one worker runs everything; ask for an array of them with --workers"] if one else []

    def seat(self, lane: int) -> PlaceSeat | None:
        """Return a seat once a worker of the array made its place; null when nothing is left to run.

        Raises:
            MissingPrerequisite: if workers end again and again.
        """
        for _ in looks(lambda: not self.queue.is_over()):
            with self._choice:
                for hello in sorted(self._session.glob("place-*/hello.json")):
                    if hello.parent not in self._taken and not (hello.parent / "gone").exists():
                        self._taken.add(hello.parent)
                        return PlaceSeat(hello.parent, self.silence)
                self._replace()
        return None

    def _replace(self) -> None:
        """Ask for one more worker where every one that Slurm still has is at work, and this lane's is not."""
        if sum(not job.done() for job in self._jobs) > len(self._seats):
            return
        if len(self._jobs) >= REPLACED * self.num_seats():
            raise MissingPrerequisite(
                f"{len(self._jobs)} workers of the array have ended, more than can be accidents; what they wrote lies "
                f"in {self._session / 'jobs'}"
            )
        self._jobs += self._submit(1)

    def _submit(self, workers: int) -> list[Any]:  # Any: submitit's jobs
        from submitit import AutoExecutor

        cluster = self.options.address or "slurm"
        limits = {"slurm_max_num_timeout": REQUEUES} if cluster == "slurm" else {"local_max_num_timeout": REQUEUES}
        array = AutoExecutor(folder=self._session / "jobs", cluster=cluster, **limits)
        array.update_parameters(**parameters(self.options, workers))
        device = "cuda" if self.options.resources.gpus or self.options.device.startswith("cuda") else "cpu"
        place = Place(self._session, replace(self.options, device=device), self.silence)
        return list(array.submit_array([place] * workers))

    def _live(self) -> None:
        beats = 0
        while not self._ended.wait(min(BEAT, self.silence / 5) if beats else 0):
            beats += 1
            write(self._session / "pulse", beats)

    def _dismiss(self) -> None:
        """Let every worker end by itself, then cancel what has not, such as what never started."""
        write(self._session / "stop", {})
        for seconds, enough in ((FAREWELL, self._are_gone), (SETTLED, lambda: False)):
            end = time.monotonic() + seconds
            while time.monotonic() < end and not (enough() or all(job.done() for job in self._jobs)):
                time.sleep(0.1)
        for job in self._jobs:
            if not job.done():
                job.cancel(check=False)

    def _are_gone(self) -> bool:
        places = [hello.parent for hello in self._session.glob("place-*/hello.json")]
        return all((place / "gone").exists() for place in places)


def parameters(options: Options, workers: int) -> dict[str, Any]:
    """Return what each worker of the array asks Slurm for, as submitit's own keywords.

    Raises:
        MissingPrerequisite: for a share of a device, which Slurm does not give.
    """
    asked = options.resources
    gpus = (devices(options) or 1) if asked.gpus or options.device.startswith("cuda") else 0
    if gpus != int(gpus) or options.runs_per_device > 1:
        raise MissingPrerequisite(
            f"slurm gives whole devices to a worker; {gpus:g} of one, {options.runs_per_device} runs on each, came; "
            f"use --executor ray to share devices"
        )
    found: dict[str, Any] = {
        "name": f"paretune-{options.suite or 'runs'}",
        "timeout_min": asked.minutes or MINUTES,
        "cpus_per_task": math.ceil(asked.cpus or options.threads * asked.ranks),
        "slurm_array_parallelism": workers,
        "slurm_additional_parameters": {"requeue": True},
    }
    if gpus and asked.accelerator:
        found["slurm_gres"] = f"gpu:{asked.accelerator}:{int(gpus)}"
    elif gpus:
        found["gpus_per_node"] = int(gpus)
    if asked.memory_gb:
        found["mem_gb"] = asked.memory_gb
    return found | ({"slurm_partition": asked.partition} if asked.partition else {})


EXECUTOR = SlurmExecutor
