"""The Slurm executor: an array of workers that the scheduler feeds through the disk they share.

Below ``OUT/.slurm/<session>`` each worker of the array makes a place of its own, and says so. The scheduler hands it
jobs there and follows their events. Both show that they live by a pulse, a number that changes: neither asks what time
it is on the other's machine. A worker that was pre-empted and comes again makes a new place; the old one falls silent,
and what ran in it is run again.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from harness.errors import MissingPrerequisite
from harness.spec import Spec
from runners.executor import Executor, is_installed
from runners.process import Options
from runners.queue import Job
from runners.seat import Death, LocalSeat, Observe

FOLDER = ".slurm"
SOON, LATER = 0.02, 0.5
"""Seconds between looks at the disk: at first, and after a while in which nothing came."""
BEAT, SILENCE = 2.0, 90.0
"""Seconds between changes of a pulse, and until one that does not change belongs to nobody: network disks lag."""
MINUTES = 12 * 60
"""How long a worker holds its place where the suite does not say; it comes again when that is over."""
REQUEUES = 1000
"""How often one may come again, in submitit's count."""
REPLACED = 4
"""How many workers a lane may use up that do not come again by themselves, on average."""
FAREWELL, SETTLED = 20.0, 3.0
"""Seconds that workers have to end by themselves before they are cancelled, and submitit to notice that they did."""


class Pulse:
    """A file that shows that somebody lives, as seen by somebody else."""

    def __init__(self, path: Path, silence: float) -> None:
        self._path, self._silence = path, silence
        self._last, self._heard = "", time.monotonic()

    def is_heard(self) -> bool:
        """Return whether it changed within the time of silence."""
        with suppress(OSError):
            if (now := self._path.read_text(encoding="utf-8")) != self._last:
                self._last, self._heard = now, time.monotonic()
        return time.monotonic() - self._heard < self._silence


@dataclass
class Place:
    """One worker of the array, as submitit starts it; it serves one scheduler until that goes."""

    session: Path
    options: Options
    silence: float

    def __call__(self) -> None:
        """Serve until the scheduler ends its session, or falls silent."""
        self._seat = LocalSeat(self.options)
        self._folder = self.session / f"place-{uuid.uuid4().hex}"
        try:
            if not (self.session / "pulse").exists():  # the scheduler went before this one's turn came
                return
            self._folder.mkdir()
            threading.Thread(target=self._live, daemon=True).start()
            _write(self._folder / "hello.json", {"host": socket.gethostname(), "pid": os.getpid()})
            self._serve()
        finally:
            self._leave()

    def checkpoint(self) -> Any:
        """Give the place up and ask to be started again; called by submitit before pre-emption and at the time limit.

        Returns:
            What submitit starts (Any: its own class).
        """
        from submitit.helpers import DelayedSubmission

        self._leave()
        return DelayedSubmission(Place(self.session, self.options, self.silence))

    def _serve(self) -> None:
        for number in itertools.count():
            job = self._folder / f"job-{number}.json"
            for _ in _looks(lambda: not self._is_over()):  # soon at first: most jobs follow one that just ended
                if job.exists():
                    break
            else:
                return
            with (self._folder / f"events-{number}.jsonl").open("a", encoding="utf-8") as events:

                def tell(event: Mapping[str, Any], events: IO[str] = events) -> None:
                    events.write(json.dumps(event) + "\n")
                    events.flush()

                death = self._seat.execute(Job.parse(job.read_text(encoding="utf-8")), tell)
                tell({"type": "over", "death": asdict(death) if death else None})

    def _live(self) -> None:
        """Beat, and end the worker where the scheduler says so or is gone; runs beside ``_serve``."""
        scheduler, beats = Pulse(self.session / "pulse", self.silence), 0
        while not self._is_over() and scheduler.is_heard():
            beats += 1
            _write(self._folder / "pulse", beats)
            time.sleep(min(BEAT, self.silence / 5))
        if (self._folder / "kill").exists() or not scheduler.is_heard():
            self._seat.kill()
            _write(self._folder / "stop", {})

    def _is_over(self) -> bool:
        return any(path.exists() for path in (self._folder / "stop", self._folder / "kill", self.session / "stop"))

    def _leave(self) -> None:
        self._seat.kill()
        if self._folder.is_dir():
            _write(self._folder / "gone", {})


class SlurmSeat:
    """A place as the scheduler sees it."""

    def __init__(self, folder: Path, silence: float) -> None:
        self._folder, self._number = folder, 0
        self._pulse = Pulse(folder / "pulse", silence)

    def execute(self, job: Job, observe: Observe) -> Death | None:
        """Run one job; see ``runners.seat.Seat``."""
        number, self._number = self._number, self._number + 1
        _write(self._folder / f"job-{number}.json", json.loads(job.line()))
        for event in _lines(self._folder / f"events-{number}.jsonl", self._is_there):
            if event["type"] == "over":
                return Death(**event["death"]) if event["death"] else None
            observe(event)
        return Death("was lost with its place in the array", seat_lost=True)

    def kill(self) -> None:
        """Have the worker killed."""
        _write(self._folder / "kill", {})

    def close(self) -> None:
        """Let the place go."""
        _write(self._folder / "stop", {})

    def _is_there(self) -> bool:
        gone = any((self._folder / name).exists() for name in ("gone", "kill"))
        return not gone and self._pulse.is_heard()


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

    def seat(self, lane: int) -> SlurmSeat | None:
        """Return a seat once a worker of the array made its place; null when nothing is left to run.

        Raises:
            MissingPrerequisite: if workers end again and again.
        """
        for _ in _looks(lambda: not self.queue.is_over()):
            with self._choice:
                for hello in sorted(self._session.glob("place-*/hello.json")):
                    if hello.parent not in self._taken and not (hello.parent / "gone").exists():
                        self._taken.add(hello.parent)
                        return SlurmSeat(hello.parent, self.silence)
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
            _write(self._session / "pulse", beats)

    def _dismiss(self) -> None:
        """Let every worker end by itself, then cancel what has not, such as what never started."""
        _write(self._session / "stop", {})
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
    gpus = asked.gpus or (1 if options.device.startswith("cuda") else 0)
    if gpus != int(gpus) or options.runs_per_device > 1:
        raise MissingPrerequisite(
            f"slurm gives whole devices to a worker; {gpus:g} of one, {options.runs_per_device} runs on each, came; "
            f"use --executor ray to share devices"
        )
    found: dict[str, Any] = {
        "name": f"paretune-{options.suite or 'runs'}",
        "timeout_min": asked.minutes or MINUTES,
        "cpus_per_task": math.ceil(asked.cpus or options.threads),
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


def _lines(path: Path, while_there: Callable[[], bool]) -> Iterator[Any]:  # Any: JSON
    """Yield each whole line that is written to a file, also those from before its writer went."""
    offset, rest, there, wait = 0, b"", True, SOON
    while there:
        there = while_there()  # asked before the look at the file: what was written until then is read
        with suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(offset)
            *lines, rest = (rest + (more := file.read())).split(b"\n")
            offset += len(more)
            for line in lines:
                yield json.loads(line)
        time.sleep(wait)
        wait = min(LATER, wait * 1.2)


def _looks(until: Callable[[], bool]) -> Iterator[None]:
    """Yield as long as a condition holds, soon at first and then less often."""
    wait = SOON
    while until():
        yield
        time.sleep(wait)
        wait = min(LATER, wait * 1.2)


def _write(path: Path, content: object) -> None:
    """Write a file that appears whole."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):  # the folder was cleared away by the next scheduler
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.rename(path)


EXECUTOR = SlurmExecutor
