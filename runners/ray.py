"""The Ray executor: every seat is an actor that owns a worker process on a node of the cluster."""

from __future__ import annotations

import logging
import math
import os
import queue
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from harness.errors import MissingPrerequisite
from harness.spec import Spec
from runners.executor import Executor, is_installed
from runners.process import Options, devices
from runners.queue import Job
from runners.seat import Death, LocalSeat, Observe

# Ray has no complete types, and is imported where it is used: nothing else needs it installed.
Library = Any
TAKEN_ALONG = ("PARETUNE_", "HF_", "TRANSFORMERS_", "TOKENIZERS_")
"""Beginnings of the variables that workers on other machines get from the scheduler's."""
STORE_BYTES = 80 << 20
"""Shared memory of a cluster that is started here: events are all that travels through it."""
CONNECT_SECONDS = 10.0
STARTS = 3
"""How often an actor may die before it is ready: a cluster on which none can live is no loss of a node."""


class Place:
    """What an actor is: a seat on its node."""

    def __init__(self, options: Options, variables: Mapping[str, str]) -> None:
        os.environ.update(variables)
        self._out = options.out
        self._seat = LocalSeat(options)

    def problem(self) -> str | None:
        """Return why nothing can run here; null where all is well."""
        if self._out.is_dir():
            return None
        return f"{self._out} is not on node {socket.gethostname()}; --out must lie on a disk that all nodes share"

    def execute(self, line: str) -> Iterator[Mapping[str, Any]]:
        """Run a job and yield its events, then how its worker died."""
        events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()

        def run() -> None:
            death: Death | None = Death("could not be started")
            try:
                death = self._seat.execute(Job.parse(line), events.put)
            finally:
                events.put({"type": "over", "death": asdict(death) if death else None})

        threading.Thread(target=run, daemon=True).start()
        while True:
            yield (event := _newest(events))
            if event["type"] == "over":
                return


class RaySeat:
    """An actor as the scheduler sees it."""

    def __init__(self, ray: Library, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def execute(self, job: Job, observe: Observe) -> Death | None:
        """Run one job; see ``runners.seat.Seat``."""
        events = self._actor.execute.options(num_returns="streaming").remote(job.line())
        while True:
            try:
                event = self._ray.get(next(events))
            except self._ray.exceptions.RayTaskError:  # a mistake of ours in the actor
                raise
            except self._ray.exceptions.RayError as error:
                return Death(f"was lost with its actor or node ({type(error).__name__})", seat_lost=True)
            if event["type"] == "over":
                return Death(**event["death"]) if event["death"] else None
            observe(event)

    def kill(self) -> None:
        """End the actor, and with it the worker, whose pipes close."""
        self._ray.kill(self._actor)

    def close(self) -> None:
        """End the actor and its worker."""
        self._ray.kill(self._actor)


class RayExecutor(Executor):
    """Runs jobs on actors, which are replaced when their nodes are lost."""

    @classmethod
    def missing(cls, address: str | None) -> str | None:
        """Return what to install where Ray is not here, and what to do where its client would be between."""
        if not is_installed("ray"):
            return "--executor ray needs the library ray; install it with: pip install 'paretune[ray]'"
        if (address or "").startswith("ray://"):
            return (
                f"{address!r} is an address of Ray's client, which cannot follow a run's events; start the command on "
                f"a node of the cluster, such as its head, with --address auto"
            )
        return None

    def __enter__(self) -> RayExecutor:
        """Join the cluster, or start one on this machine.

        Raises:
            MissingPrerequisite: if there is none at the address.
        """
        self._ray = _library()
        if not self._ray.is_initialized():
            _start(self._ray, self.options)
            self.needs.callback(self._ray.shutdown)
        self._asked = demand(self.options, self._nodes())
        self._told = replace(self.options, device="cuda" if self._asked.get("num_gpus") else "cpu")
        return self

    def num_seats(self) -> int:
        """Return the workers asked for, or as many as the cluster serves now."""
        return self.options.workers or max(1, sum(served(node, self._asked) for node in self._nodes()))

    def doubts(self, specs: Sequence[Spec]) -> list[str]:
        """Return what no node offers now; a cluster that grows by demand may bring one."""
        nodes = self._nodes()
        if any(served(node, self._asked) for node in nodes):
            return []
        asked = ", ".join(f"{name} {value:g}" for name, value in _totals(self._asked).items())
        return [f"no node of the cluster offers what a worker asks for ({asked}); waiting for one. It has: {nodes}"]

    def seat(self, lane: int) -> RaySeat | None:
        """Return a seat once the cluster has placed it; null when nothing is left to run.

        Raises:
            MissingPrerequisite: if nothing can run where it was placed.
        """
        kind = self._ray.remote(Place).options(scheduling_strategy="SPREAD", **self._asked)
        for start in range(STARTS):
            actor = kind.remote(self._told, taken_along(os.environ))
            ready = actor.problem.remote()
            while not self._ray.wait([ready], timeout=1.0)[0]:
                if self.queue.is_over():
                    self._ray.kill(actor)
                    return None
            try:
                problem = self._ray.get(ready)
            except self._ray.exceptions.RayActorError as error:
                if start < STARTS - 1:
                    continue
                raise MissingPrerequisite(
                    f"{STARTS} workers in a row died on the cluster before they were ready; ray logs on its nodes, and "
                    f"paretune doctor there, say why ({str(error).partition(chr(10))[0]})"
                ) from error
            if problem:
                raise MissingPrerequisite(problem)
            return RaySeat(self._ray, actor)
        return None

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]


def demand(options: Options, nodes: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return what each actor asks the cluster for, as keywords of Ray's own.

    Args:
        options: of the suite and the command line; ``auto`` takes a device where any node has one.
        nodes: the resources of each node.

    Raises:
        MissingPrerequisite: for devices that do not go with the ranks, or with runs that share them.
    """
    asked = options.resources
    wanted = options.device.startswith("cuda") or (options.device == "auto" and any(node.get("GPU") for node in nodes))
    found: dict[str, Any] = {"num_cpus": asked.cpus or options.threads * asked.ranks}
    if asked.gpus or wanted:
        found["num_gpus"] = devices(options) or 1 / options.runs_per_device
    elif options.runs_per_device > 1:
        raise MissingPrerequisite(
            f"runs share a GPU, and no worker is given one; {options.runs_per_device} runs on each came, so leave "
            f"--runs-per-device out"
        )
    if asked.memory_gb:
        found["memory"] = int(asked.memory_gb * 1e9)
    if asked.accelerator:
        found["accelerator_type"] = asked.accelerator
    return found


def served(node: Mapping[str, float], asked: Mapping[str, Any]) -> int:
    """Return how many actors a node has room for."""
    return int(min(node.get(name, 0) // value for name, value in _totals(asked).items()))


def taken_along(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change what a run does, and no secrets."""
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(TAKEN_ALONG) and not any(word in name for word in ("TOKEN_", "_TOKEN", "SECRET", "KEY"))
    }


def _totals(asked: Mapping[str, Any]) -> dict[str, float]:
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    found = {name: asked[key] for key, name in names.items() if asked.get(key)}
    kind = asked.get("accelerator_type")
    return found | ({f"accelerator_type:{kind}": 0.001} if kind else {})


def _library() -> Library:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a warning of what comes some day
    import ray

    return ray


def _start(ray: Library, options: Options) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _same_signals():
        if options.address:
            _check_address(options.address)
            try:
                ray.init(address=options.address, **quiet)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise _no_cluster(options.address, error) from error
            return
        cores = os.cpu_count() or 1
        cpus = max(cores, math.ceil((options.workers or 1) * (options.resources.cpus or options.threads)))
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            **quiet,
        )


def _check_address(address: str) -> None:
    """Find out at once whether anything is there, for which Ray itself would wait for minutes.

    Raises:
        MissingPrerequisite: if not.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit():  # such as auto
        return
    try:
        socket.create_connection((host.rpartition("/")[2], int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> MissingPrerequisite:
    return MissingPrerequisite(
        f"there is no Ray cluster at {address!r} ({error}); start one with ray start, or leave --address out to use "
        f"this machine"
    )


@contextmanager
def _same_signals() -> Iterator[None]:
    """Keep this process's own answer to SIGTERM, which Ray replaces by its own."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _newest(events: queue.SimpleQueue[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the next event, and of several steps that wait the last: each costs a message to another machine."""
    event = events.get()
    while event["type"] == "step" and not events.empty():
        event = events.get()
    return event


EXECUTOR = RayExecutor
