"""Execute: one spec becomes what a record holds, inside a worker whose backbone is left bit by bit as it was found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pydantic import JsonValue

from harness import data, provenance, registry
from harness.backbone import Backbone, BackboneFiles, locate
from harness.data import DataSource, Part
from harness.errors import NotApplicable
from harness.method import Method, Plan
from harness.protocol import Examples, Protocol, load_protocol
from harness.random import Streams
from harness.record import Cost, Counts, Digests, EpochMetrics, TaskScore
from harness.spec import Spec
from harness.targets import backbone_parameters, resolve
from runners.fit import Fitted, Report, Trainer
from runners.score import Evaluator, score

KEPT_BACKBONES = 2
KEPT_SHARE = 0.05
"""Trained parts of finals are kept when they are under this share of N."""


@dataclass
class Outcome:
    """What is known of a run so far; a run that fails leaves it half filled, and that much goes into its record."""

    counts: Counts | None = None
    method_config: dict[str, JsonValue] = field(default_factory=dict)
    validation: tuple[EpochMetrics, ...] = ()
    best_epoch: int | None = None
    scores: tuple[TaskScore, ...] = ()
    items: pa.Table | None = None
    state: dict[str, torch.Tensor] | None = None
    """The trained part, where the keep policy wants it."""
    sparsity: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    fitted: Fitted | None = None
    peak_bytes: int | None = None
    digests: Digests = field(default_factory=Digests)
    notes: tuple[str, ...] = ()
    reusable: bool = False
    """Whether the backbone was restored bit by bit; if not, the worker must be replaced."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def cost(self) -> Cost:
        """Return the cost block of the record."""
        fitted = self.fitted
        return Cost(
            seconds={name: round(spent, 4) for name, spent in self.seconds.items()},
            train_items_per_second=fitted.items_per_second if fitted else None,
            train_tokens_per_second=fitted.tokens_per_second if fitted else None,
            peak_bytes=self.peak_bytes,
            trained_part_bytes=sum(t.numel() * t.element_size() for t in fitted.state.values()) if fitted else None,
            steps=fitted.steps if fitted else None,
        )


@dataclass
class Warm:
    """What a worker keeps between runs: loaded backbones (the last few) and encoded rows."""

    source: DataSource
    device: str
    backbones: dict[str, Backbone] = field(default_factory=dict)
    examples: dict[str, Examples] = field(default_factory=dict)
    files: dict[str, BackboneFiles] = field(default_factory=dict)

    def locate(self, reference: str) -> BackboneFiles:
        """Return the backbone's files; their digest is taken once per worker."""
        if reference not in self.files:
            self.files[reference] = locate(reference)
        return self.files[reference]

    def backbone(self, spec: Spec, protocol: Protocol) -> tuple[str, Backbone]:
        """Return a loaded backbone with a head for the spec's task, and its key."""
        files, card = self.locate(spec.backbone), registry.load_task(spec.train).card
        shape = f"regression{card.label_range}" if card.label_range else str(len(card.labels))
        key = f"{files.digest}/{spec.protocol}/{shape}/{frozen_dtype(spec, self.device)}"
        if key not in self.backbones:
            while len(self.backbones) >= KEPT_BACKBONES:
                del self.backbones[next(iter(self.backbones))]
            loaded = protocol.load(files, card)
            loaded.place(self.device, frozen_dtype(spec, self.device))
            self.backbones[key] = loaded
        return key, self.backbones[key]

    def encoded(self, part: Part, protocol: Protocol, backbone: Backbone, spec: Spec) -> Examples:
        """Return the encoded rows of a part."""
        if part.sealed:
            part.raw()  # raises: a cache must not unseal what a trial may not read
        length = _max_length(spec, backbone)
        task = f"{part.task.card.name}@{part.task.card.version}"
        key = f"{task}/{part.key()}/{backbone.files.digest}/{spec.protocol}/{length}"
        if key not in self.examples:
            self.examples[key] = protocol.encode(part, backbone.tokenizer, length)
        return self.examples[key]


def execute(spec: Spec, warm: Warm, outcome: Outcome, keep: str = "final", report: Report = lambda event: None) -> None:
    """Run ``spec`` and fill ``outcome``.

    Raises:
        Diverged, NotApplicable, MissingPrerequisite, torch.OutOfMemoryError, and whatever a method or the data raises.
    """
    _reset_peak(warm.device)
    torch.use_deterministic_algorithms(spec.training.deterministic or warm.device == "cpu")
    # Nothing here reads uninitialised memory, and filling it costs a tenth of a step of full fine-tuning.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    protocol, task = load_protocol(spec.protocol), registry.load_task(spec.train)
    with outcome.phase("load"):
        key, backbone = warm.backbone(spec, protocol)
        outcome.digests = _digests(spec, warm)
    with outcome.phase("data"):
        splits = _splits(spec, warm.source)
        train = warm.encoded(splits.train, protocol, backbone, spec)
        validation = warm.encoded(splits.validation, protocol, backbone, spec)
        outcome.notes += tuple(
            f"{rows.truncated} of {len(rows)} {name} texts were cut at {_max_length(spec, backbone)} tokens"
            for name, rows in (("training", train), ("validation", validation))
            if rows.truncated
        )
    evaluator = Evaluator(protocol, backbone.tokenizer, torch.device(warm.device), frozen_dtype(spec, warm.device))
    try:
        with outcome.phase("attach"):
            method, plan = _attach(spec, backbone, len(train))
            outcome.method_config = method.config.model_dump(mode="json")
            outcome.counts = _counts(method, backbone)
            assert outcome.counts.trained == method.count(backbone.model, plan), "count differs from the formula"
        if spec.training.gradient_checkpointing:
            backbone.model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
        trainer = Trainer(backbone.model, method, task.card, evaluator, spec.training, Streams(spec.seed), report)
        with outcome.phase("calibrate"):
            method.calibrate(backbone.model, ())
        fitted = outcome.fitted = trainer.fit(train, validation)
        outcome.seconds |= {"fit": fitted.train_seconds, "validate": fitted.validate_seconds}
        outcome.validation, outcome.best_epoch = tuple(fitted.validation), fitted.best_epoch
        method.finalize(backbone.model)
        zeros = method.zeros()
        outcome.sparsity = zeros[0] / zeros[1] if zeros else None
        if spec.purpose == "final":
            with outcome.phase("score"):
                _score(spec, warm, splits.tests, protocol, backbone, evaluator, outcome)
        small = outcome.counts.trained < KEPT_SHARE * outcome.counts.total
        if keep == "all" or (keep == "final" and spec.purpose == "final" and small):
            outcome.state = {name: tensor.cpu() for name, tensor in fitted.state.items()}
        outcome.peak_bytes = _peak(warm.device)
        with outcome.phase("restore"):
            method.detach(backbone.model, backbone.pristine)
            backbone.model.eval()
            outcome.reusable = not backbone.changed()
    finally:
        if spec.training.gradient_checkpointing:
            backbone.model.activation_checkpointing_disable()  # type: ignore[operator]
        if not outcome.reusable:
            warm.backbones.pop(key, None)


def applicable(spec: Spec, files: BackboneFiles) -> None:
    """Find out, from shapes alone, that a spec makes sense, before any work is done.

    Raises:
        NotApplicable: with the reason.
        ValueError: for values that the method refuses, by name.
    """
    task = registry.load_task(spec.train)
    model, head = _shapes(files, spec.protocol, spec.train)
    for name in spec.score:
        hidden = registry.load_task(name).card.hidden_labels
        if hidden and spec.purpose == "final":
            raise NotApplicable(f"{name} cannot be scored here: {hidden}")
    targets = resolve(model, spec.targets, head)
    if spec.targets not in ("all", "none") and task.card.name and not targets.tensors:
        raise NotApplicable(f"targets {spec.targets!r} name nothing in {spec.backbone}")
    method, plan = _configured(spec, model, head)
    method.count(model, plan)


def frozen_dtype(spec: Spec, device: str) -> torch.dtype:
    """Return the type of the frozen weights: bf16 on a GPU and fp32 elsewhere, unless the spec says."""
    if spec.training.dtype == "auto":
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    return torch.bfloat16 if spec.training.dtype == "bfloat16" else torch.float32


@cache
def _shapes(files: BackboneFiles, protocol: str, train: str) -> tuple[torch.nn.Module, frozenset[str]]:
    return load_protocol(protocol).build(files, registry.load_task(train).card, meta=True)


def _configured(
    spec: Spec, model: torch.nn.Module, head: frozenset[str], steps: Mapping[str, int] | None = None
) -> tuple[Method, Plan]:
    """Return the spec's method with its values validated and its budget solved, and the plan for ``attach``."""
    kind = registry.load_method(spec.method)
    total = sum(parameter.numel() for parameter in backbone_parameters(model, head).values())
    plan = Plan(
        targets=resolve(model, spec.targets, head),
        head=head,
        total=total,
        budget=spec.budget.scalars(total) if spec.budget else None,
        **(steps or {}),
    )
    method = kind(kind.Config.model_validate(spec.values))
    return (kind(method.solve(model, plan)) if spec.budget else method), plan


def _attach(spec: Spec, backbone: Backbone, num_rows: int) -> tuple[Method, Plan]:
    streams, training = Streams(spec.seed), spec.training
    backbone.initialise_head(streams.integer("init", "head"))
    steps = {
        "total_steps": training.epochs * -(-num_rows // training.batch_size),
        "epochs": training.epochs,
        "batch_size": training.batch_size,
    }
    method, plan = _configured(spec, backbone.model, backbone.head, steps)
    method.start(backbone.model, plan, streams)
    return method, plan


def _counts(method: Method, backbone: Backbone) -> Counts:
    return Counts(
        trained=sum(parameter.numel() for parameter in method.trained().values()),
        head=sum(parameter.numel() for parameter in method.head().values()),
        head_trained=method.trains_head,
        total=backbone.num_parameters,
        stored_bits=method.stored_bits(),
        extra_at_inference=method.extra_at_inference(),
    )


def _splits(spec: Spec, source: DataSource) -> data.Splits:
    return data.split(
        registry.load_task(spec.train),
        [registry.load_task(name) for name in spec.score],
        source,
        policy=spec.policy,
        sizes=spec.sizes,
        data_seed=spec.data_seed,
        sealed=spec.purpose == "trial",
    )


def _score(
    spec: Spec,
    warm: Warm,
    tests: Mapping[str, Part],
    protocol: Protocol,
    backbone: Backbone,
    evaluator: Evaluator,
    outcome: Outcome,
) -> None:
    tables = []
    for name in spec.score:
        examples = warm.encoded(tests[name], protocol, backbone, spec)
        block, items = score(evaluator, backbone.model, examples, registry.load_task(name).card)
        outcome.scores += (block,)
        tables.append(items)
    outcome.items = pa.concat_tables(tables, promote_options="default")


def _digests(spec: Spec, warm: Warm) -> Digests:
    files, rows = warm.locate(spec.backbone), provenance.data_digests(spec, warm.source)
    code = provenance.code_digest(spec)
    states = {spec.train: warm.source.state(registry.load_task(spec.train), "train")}
    for name in spec.score:
        state = warm.source.state(registry.load_task(name), "evaluation")
        states[name] = data.worst_state([state, states.get(name, state)])
    return Digests(
        data=rows,
        data_state=states,
        weights=files.digest,
        code=code,
        provenance=provenance.provenance_digest(spec, rows, files.digest, code),
    )


def _max_length(spec: Spec, backbone: Backbone) -> int:
    allowed = int(getattr(backbone.model.config, "max_position_embeddings", 10**9))
    for name, module in backbone.model.named_modules():
        if name.endswith("position_embeddings") and isinstance(getattr(module, "padding_idx", None), int):
            allowed -= module.padding_idx + 1  # RoBERTa counts positions from after padding
    return min(spec.training.max_length, allowed)


def _reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the highest resident set so far


def _peak(device: str) -> int | None:
    """Return the highest memory of this attempt in bytes; null where it cannot be told apart from earlier runs."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found: dict[str, Any] = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    high = found.get("VmHWM")
    return int(high.split()[0]) * 1024 if high else None
