"""Execute: one spec becomes what a record holds, inside a worker whose backbone is left bit by bit as it was found."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from pydantic import JsonValue

from harness import data, provenance, registry
from harness.backbone import Backbone
from harness.errors import MissingPrerequisite, NotApplicable
from harness.method import Method, Plan
from harness.protocol import Examples, Protocol
from harness.random import Streams
from harness.record import Cost, Counts, Digests, EpochMetrics, TaskScore
from harness.spec import Spec
from harness.splits import Part, Splits, num_shared
from harness.updates import SparseUpdates
from runners.apart import Apart, ranks_for
from runners.checkpoint import Facts, describe
from runners.course import Fitted
from runners.fit import Report, Trainer
from runners.latency import seconds_per_row
from runners.prepare import attach, frozen_dtype, max_length, protocol_of
from runners.prepare import splits as divide
from runners.ranks import Ranks
from runners.savepoint import Savepoints
from runners.score import EVALUATION_BATCH, Evaluator, measure, score
from runners.shards import ShardedTrainer, Shards
from runners.warm import Memory, Warm
from tasks.metrics.module import prepare as prepare_scoring

KEPT_SHARE = 0.05
"""Trained parts of finals are kept when they are under this share of N."""

PERFECT_IS_CHEAP = ("classify", "span", "generate", "image")
"""Protocols whose perfect predictions are at hand; ``prompt`` asks code of lm-eval's tasks for every item."""
CHECKED = 64
"""Items that metrics are tried on before training."""
PROCESSOR_BATCH = 16
"""Rows that a processor evaluates at once: more gain nothing there, and all are padded to the longest of them."""


@dataclass
class Outcome:
    """What is known of a run so far; a run that fails leaves it half filled, and that much goes into its record."""

    counts: Counts | None = None
    method_config: dict[str, JsonValue] = field(default_factory=dict)
    validation: tuple[EpochMetrics, ...] = ()
    best_epoch: int | None = None
    scores: tuple[TaskScore, ...] = ()
    items: pa.Table | None = None
    files: dict[str, str] = field(default_factory=dict)
    """What the scored tasks leave beside the record, name to content."""
    state: dict[str, torch.Tensor] | None = None
    """The trained part, where the keep policy wants it."""
    facts: Facts | None = None
    """What the trained part is of."""
    sparsity: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    fitted: Fitted | None = None
    peak_bytes: int | None = None
    sent_bytes: int | None = None
    checkpoint_bytes: int | None = None
    latency: float | None = None
    plain_latency: float | None = None
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

    def take(self, fitted: Fitted, batch_size: int, parts: int) -> None:
        """Take over what training gave.

        Args:
            fitted: what it gave.
            batch_size: rows of a step.
            parts: that a batch was to go through the model in.
        """
        self.fitted = fitted
        self.seconds |= {"fit": fitted.train_seconds, "validate": fitted.validate_seconds}
        self.validation, self.best_epoch = tuple(fitted.validation), fitted.best_epoch
        if fitted.parts > parts:
            rows = -(-batch_size // fitted.parts)
            self.notes += (
                f"memory ran out: batches of {batch_size} rows went through the model in parts of {rows} at equal "
                f"effective batch",
            )

    def charge(self, phase: str, memory: Memory) -> None:
        """Charge this run with what an earlier run of this worker computed for it."""
        if memory.saved_seconds:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + memory.saved_seconds
            self.notes += (
                f"{memory.saved_seconds:.3g} s of {phase} were spent by an earlier run on the same question",
            )

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
            sent_bytes=self.sent_bytes,
            checkpoint_bytes=self.checkpoint_bytes,
            latency_seconds=self.latency,
            plain_latency_seconds=self.plain_latency,
        )


def evaluator_for(spec: Spec, backbone: Backbone, device: str) -> Evaluator:
    """Return what evaluates a run's models: in batches that suit the device, as no number hangs on their size."""
    size = PROCESSOR_BATCH if device == "cpu" else EVALUATION_BATCH
    return Evaluator(backbone.tokenizer, torch.device(device), frozen_dtype(spec, device), size)


def execute(
    spec: Spec,
    warm: Warm,
    outcome: Outcome,
    keep: str = "final",
    report: Report = lambda event: None,
    savepoints: Savepoints | None = None,
    ranks: Ranks | None = None,
) -> None:
    """Run ``spec`` and fill ``outcome``; with savepoints, go on from what an attempt left that was killed.

    Of several ranks every one trains and validates, and the first alone scores; unless they hold the backbone in
    shares, with which no rank can score alone.

    Raises:
        Diverged, NotApplicable, MissingPrerequisite, torch.OutOfMemoryError, and whatever a method or the data raises.
    """
    if spec.purpose == "final":
        prepare_scoring()
    _reset_peak(warm.device)
    torch.use_deterministic_algorithms(spec.training.deterministic or warm.device == "cpu")
    # Nothing here reads uninitialised memory, and filling it costs a tenth of a step of full fine-tuning.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    protocol = protocol_of(spec)
    with outcome.phase("load"):
        key, backbone = warm.backbone(spec, protocol)
        outcome.digests = _digests(spec, warm)
    with outcome.phase("data"):
        splits = divide(spec, warm.source)
        train = warm.encoded(splits.train, protocol, backbone, spec)
        validation = warm.encoded(splits.validation, protocol, backbone, spec) if splits.validation else None
        if spec.purpose == "final":  # what cannot be read there is said before any training
            for name, part in splits.tests.items():
                met = protocol_of(spec, name)
                _check_metrics(spec.protocol, met, warm.encoded(part, met, backbone, spec))
        outcome.notes += _notes(spec, splits, train, validation, max_length(spec, backbone))
    evaluator = evaluator_for(spec, backbone, warm.device)
    try:
        with outcome.phase("attach"):
            method, plan = attach(spec, backbone, len(train))
            outcome.method_config = method.config.model_dump(mode="json")
        if spec.training.gradient_checkpointing:
            backbone.model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
        if savepoints:
            savepoints.provenance = outcome.digests.provenance
        memory, streams, ranks = warm.memory(spec), Streams(spec.seed), ranks_for(method, ranks or Ranks())
        if ranks.count > 1 and method.statistics_bits() and not isinstance(ranks, Apart):
            raise NotApplicable("its batch norms take statistics of each rank's own rows; train it on one device")
        sharded = ranks if isinstance(ranks, Shards) else None
        if sharded:
            with outcome.phase("shard"):
                outcome.notes += (sharded.shard(backbone.model, method, evaluator.device.type).note(),)
        trainer = (ShardedTrainer if sharded else Trainer)(
            backbone.model, method, protocol, evaluator, spec.training, streams, report, savepoints, memory, ranks
        )
        with outcome.phase("calibrate"):
            method.calibrate(backbone.model, trainer.samples(train))
        outcome.charge("calibrate", memory)
        outcome.counts = _counts(method, plan)
        _check_count(spec.method, outcome.counts.trained, method.count(backbone.model, plan))
        outcome.notes += method.notes()
        fitted = trainer.fit(train, validation)
        if sharded:
            fitted.state = sharded.whole(fitted.state)
        outcome.take(fitted, spec.training.batch_size, spec.training.accumulation)
        # Scalars may have moved beyond those that are trained at a time.
        stored = method.stored_bits() + method.statistics_bits()
        outcome.counts = outcome.counts.model_copy(update={"stored_bits": stored})
        if isinstance(method, SparseUpdates):
            outcome.sent_bytes, outcome.checkpoint_bytes = method.sent_bytes(), method.checkpoint_bytes()
        if savepoints and savepoints.continued_from:
            outcome.notes += (f"continued from the savepoint of attempt {savepoints.continued_from}",)
        method.finalize(backbone.model)
        zeros = method.zeros()
        outcome.sparsity = zeros[0] / zeros[1] if zeros else None
        if spec.purpose == "final" and (ranks.index == 0 or sharded):
            with outcome.phase("score"):
                _score(spec, warm, splits.tests, backbone, trainer, outcome)
        small = outcome.counts.trained < KEPT_SHARE * outcome.counts.total
        if outcome.fitted and (keep == "all" or (keep == "final" and spec.purpose == "final" and small)):
            outcome.state = {name: tensor.cpu() for name, tensor in outcome.fitted.state.items()}
            weights = warm.locate(spec.backbone).digest
            outcome.facts = describe(spec, method, plan, weights, outcome.state)
        outcome.peak_bytes = _peak(warm.device)
        timed = spec.purpose == "final" and ranks.index == 0 and not sharded
        if timed:
            with outcome.phase("latency"):
                outcome.latency = seconds_per_row(trainer, train)
        with outcome.phase("restore"):
            outcome.reusable = _let_go(warm, key) if sharded else _restore(backbone, method)
        if timed and outcome.reusable:
            with outcome.phase("latency"):
                outcome.plain_latency = seconds_per_row(trainer, train)
    finally:
        if spec.training.gradient_checkpointing:
            backbone.model.activation_checkpointing_disable()  # type: ignore[operator]
        if not outcome.reusable:
            warm.backbones.pop(key, None)


def _restore(backbone: Backbone, method: Method) -> bool:
    """Take a method off; return whether the backbone is bit by bit what it was."""
    method.detach(backbone.model, backbone.pristine)
    backbone.model.eval()
    return not backbone.changed()


def _let_go(warm: Warm, key: str) -> bool:
    """Forget a backbone that was divided: it cannot be put together in place, and the next run loads it anew."""
    del warm.backbones[key]
    return True


def _check_metrics(name: str, protocol: Protocol, examples: Examples) -> None:
    """Find out before training whether a task's metrics can score what is predicted of it.

    Raises:
        MissingPrerequisite: naming the metrics, and nothing of the rows.
    """
    if name not in PERFECT_IS_CHEAP:
        return
    card, items = protocol.card, slice(CHECKED)
    try:
        measure(card, protocol.perfect(examples)[items], examples.references[items])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Its words may quote rows, which belong into no record.
        raise MissingPrerequisite(
            f"{card.name}: its metrics ({', '.join((card.metric.name, *card.also))}) cannot score even perfect answers "
            f"of {name} ({type(error).__name__}); name metrics that take what {name} predicts"
        ) from None


def _notes(spec: Spec, splits: Splits, train: Examples, validation: Examples | None, tokens: int) -> tuple[str, ...]:
    """Return what a reader of the record should know of the data: texts that were cut, rows that occur twice."""
    read = [("training", train), *([("validation", validation)] if validation is not None else [])]
    notes = [
        f"{rows.truncated} of {len(rows.item_ids)} {name} texts were cut to fit {tokens} tokens"
        for name, rows in read
        if rows.truncated
    ]
    notes += [note for _, rows in read for note in rows.notes]
    for name, part in splits.tests.items():
        shared = 0 if part.sealed else num_shared(splits.train, part)
        if shared:
            notes.append(f"{shared} of {len(part.chosen())} test rows of {name} stand in the training rows too")
    return tuple(dict.fromkeys(notes))


def _counts(method: Method, plan: Plan) -> Counts:
    return Counts(
        trained=sum(parameter.numel() for parameter in method.trained().values()),
        head=sum(parameter.numel() for parameter in method.head().values()),
        head_trained=method.trains_head,
        total=plan.total,
        stored_bits=method.stored_bits() + method.statistics_bits(),
        extra_at_inference=method.extra_at_inference(),
    )


def _check_count(name: str, trained: int, formula: int) -> None:
    if trained != formula:
        raise ValueError(
            f"method {name} trains {trained} scalars outside the head, but its count says {formula}; mend its count"
        )


class _Scored(NamedTuple):
    """One task's test rows, scored."""

    block: TaskScore
    items: pa.Table
    notes: tuple[str, ...]


def _score(
    spec: Spec, warm: Warm, tests: Mapping[str, Part], backbone: Backbone, job: Trainer, outcome: Outcome
) -> None:
    """Score every test; a backbone without a head on which nothing is trained answers alike for every seed."""
    untouched = not job.method.updated() and not job.method.head()
    tables = []
    for name in spec.score:
        protocol = protocol_of(spec, name)
        examples = warm.encoded(tests[name], protocol, backbone, spec)

        def scored(protocol: Protocol = protocol, examples: Examples = examples) -> _Scored:
            return _Scored(*score(job.evaluator, job.model, protocol, examples))

        if untouched:
            memory = warm.memory(spec.model_copy(update={"seed": 0}))
            found = memory(f"untrained/{spec.method}/{name}", scored)
            outcome.charge("score", memory)
        else:
            found = scored()
        outcome.scores += (found.block,)
        outcome.notes += found.notes
        outcome.files |= tests[name].task.files(spec.run_id, tests[name], found.items)
        tables.append(found.items)
    outcome.items = _together(tables)


def _together(tables: list[pa.Table]) -> pa.Table:
    """Return the item tables of several tasks as one; predictions are texts where any task's are."""
    if len({table.schema.field("prediction").type for table in tables}) > 1:
        place = tables[0].column_names.index("prediction")
        texts = [table.column("prediction").cast(pa.string()) for table in tables]
        tables = [table.set_column(place, "prediction", text) for table, text in zip(tables, texts, strict=True)]
    return pa.concat_tables(tables, promote_options="default")


def _digests(spec: Spec, warm: Warm) -> Digests:
    files, rows = warm.locate(spec.backbone), provenance.data_digests(spec, warm.source)
    code = provenance.code_digest(spec)
    states: dict[str, str] = {}
    for name, split in provenance.splits_read(spec):
        state = warm.source.state(registry.load_task(name), split)
        states[name] = data.worst_state([state, states.get(name, state)])
    return Digests(
        data=rows,
        data_state=states,
        weights=files.digest,
        code=code,
        provenance=provenance.provenance_digest(spec, rows, files.digest, code),
    )


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
