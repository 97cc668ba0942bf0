"""The training loop sees each row once an epoch, keeps the best state, and gives equal bits for equal seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.errors import Diverged
from harness.random import Streams
from harness.record import EpochMetrics
from methods.full import Full
from runners import fit as fit_module
from runners.course import Fitted
from runners.fit import Trainer, training_batches
from tests.methods.attaching import Attached
from tests.runners.toy import CARD, examples, started, trainer

TRAIN, VALIDATION = examples(32), examples(24, seed=1, offset=32)


def without_dropout(attached: Attached) -> Attached:
    for module in attached.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return attached


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=700), size=st.integers(1, 20), seed=st.integers(0, 5))
def test_every_row_comes_once_an_epoch_in_as_few_batches_as_can_be(lengths: list[int], size: int, seed: int) -> None:
    batches = list(training_batches(np.array(lengths), size, Streams(seed), epoch=1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == math.ceil(len(lengths) / size)
    assert sorted(map(len, batches), reverse=True)[:-1] == [size] * (len(batches) - 1)


def test_the_order_is_of_the_seed_and_epoch_and_like_lengths_go_together() -> None:
    lengths = np.random.default_rng(0).integers(5, 128, 640)

    def order(seed: int, epoch: int) -> list[list[int]]:
        return [rows.tolist() for rows in training_batches(lengths, 16, Streams(seed), epoch)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    padded = sum(len(rows) * lengths[rows].max() for rows in order(0, 1))
    assert padded < 1.1 * lengths.sum()
    longest = [int(lengths[rows].max()) for rows in order(0, 1)]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)  # noqa: PT018  # one claim


@pytest.mark.parametrize(("method", "lr"), [("full", 1e-2), ("lora", 1e-2), ("random_mask", 5e-2)])
def test_the_toy_task_is_learnt_and_the_same_seed_gives_the_same_bits(method: str, lr: float) -> None:
    runs = []
    for _ in range(2):
        attached = started(method)
        torch.manual_seed(len(runs))  # what went on before in the process is of no matter
        runs.append(trainer(attached, epochs=10, lr=lr).fit(TRAIN, VALIDATION))
    assert same(runs[0].state, runs[1].state)
    assert runs[0].validation == runs[1].validation
    assert max(epoch.metrics["accuracy"] or 0 for epoch in runs[0].validation) > 0.9
    assert runs[0].steps == 40
    assert [epoch.epoch for epoch in runs[0].validation] == list(range(1, 11))
    assert runs[0].items_per_second and runs[0].tokens_per_second  # noqa: PT018  # both or none


def test_the_model_is_left_in_the_state_that_was_chosen() -> None:
    attached = started("random_mask")
    job = trainer(attached, epochs=4, lr=3e-2)
    fitted = job.fit(TRAIN, VALIDATION)
    assert same(attached.method.state(), fitted.state)
    assert fitted.best_epoch is not None
    again = job.evaluator.predict(attached.model, job.protocol, VALIDATION)
    assert again.loss == fitted.validation[fitted.best_epoch - 1].validation_loss


def test_without_validation_rows_the_last_epoch_is_taken() -> None:
    runs = []
    for validation in (VALIDATION, None):
        attached = started("random_mask")
        fitted = trainer(attached, epochs=3).fit(TRAIN, validation)
        runs.append((fitted, attached.method.state()))
    (_, _), (blind, last) = runs
    assert (blind.best_epoch, blind.validation) == (3, [])
    assert same(blind.state, last)


def test_base_is_validated_once_and_not_trained() -> None:
    fitted = trainer(started("base")).fit(TRAIN, VALIDATION)
    assert (fitted.state, fitted.best_epoch, fitted.steps) == ({}, None, 0)
    assert [(epoch.epoch, epoch.train_loss) for epoch in fitted.validation] == [(0, None)]


class Scripted(Trainer):
    """A trainer whose validations are told in advance."""

    script: Iterator[tuple[float | None, float]]

    def _validate(self, validation: Any, epoch: int, train_loss: float | None, fitted: Fitted) -> EpochMetrics:
        metric, loss = next(self.script)
        selectable = self.method.selectable(fitted.steps)
        return EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=loss,
            metrics={"accuracy": metric},
            selectable=selectable,
        )


class Late(Full):
    """A method whose state may be chosen from some step on."""

    first = 0

    def selectable(self, step: int) -> bool:
        return step >= self.first


def chosen(script: list[tuple[float | None, float]], *, higher: bool = True, first: int = 0) -> int | None:
    attached = started("full")
    method = Late()
    method.first = first
    method.start(attached.model, attached.plan, Streams(0))
    card = CARD.model_copy(update={"metric": CARD.metric.model_copy(update={"higher_is_better": higher})})
    job = trainer(attached, card, method, epochs=len(script))
    scripted = Scripted(job.model, method, job.protocol, job.evaluator, job.training, job.streams)
    object.__setattr__(scripted, "script", iter(script))
    return scripted.fit(TRAIN, VALIDATION).best_epoch  # 4 steps an epoch


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([(0.5, 1.0), (0.7, 1.0), (0.6, 0.1)], 2),
        ([(0.7, 1.0), (0.7, 0.9), (0.7, 0.95)], 2),  # a tie goes to the smaller loss
        ([(0.7, 0.9), (0.7, 0.9)], 1),  # and a full tie to the earlier epoch
        ([(None, 0.1), (0.0, 2.0), (None, 0.05)], 2),  # an undefined metric is worse than any number
        ([(None, 0.3), (None, 0.2)], 2),
    ],
)
def test_the_best_epoch_has_the_best_metric_then_the_smaller_loss(
    script: list[tuple[float | None, float]], expected: int
) -> None:
    assert chosen(script) == expected


def test_the_direction_of_the_metric_is_the_cards() -> None:
    assert chosen([(0.5, 1.0), (0.7, 1.0), (0.6, 0.1)], higher=False) == 1


def test_only_selectable_states_are_chosen() -> None:
    assert chosen([(0.9, 0.1), (0.5, 1.0), (0.6, 1.0)], first=8) == 3
    with pytest.raises(ValueError, match="Late lets no epoch's state be chosen; allow at least the last"):
        chosen([(0.9, 0.1), (0.5, 1.0)], first=99)


def test_a_loss_that_is_no_number_ends_the_run_as_diverged() -> None:
    attached = started("full")
    attached.model.get_parameter("bert.embeddings.LayerNorm.weight").data.fill_(math.nan)
    with pytest.raises(Diverged, match=r"the loss became nan by step 4 of 8; lower lr \(0.001\)"):
        trainer(attached).fit(TRAIN, VALIDATION)
    untrained = started("base")
    untrained.model.get_parameter("classifier.bias").data.fill_(math.nan)
    with pytest.raises(Diverged, match="validation loss became nan after epoch 0"):
        trainer(untrained).fit(TRAIN, VALIDATION)


def test_a_rate_that_is_far_too_large_ends_the_run_as_diverged() -> None:
    with pytest.raises(Diverged, match="lower lr"):
        trainer(started("full"), optimizer="sgd", lr=1e30, clip=None, epochs=3).fit(TRAIN, VALIDATION)


@pytest.mark.parametrize("method", ["full", "random_mask"])
@pytest.mark.parametrize("parts", [3, 8, 99])
def test_accumulation_changes_nothing_but_rounding(method: str, parts: int) -> None:
    whole, split = (
        trainer(without_dropout(started(method)), accumulation=count, optimizer="sgd", lr=0.1).fit(TRAIN, VALIDATION)
        for count in (1, parts)
    )
    assert whole.steps == split.steps == 8
    for name, tensor in whole.state.items():
        torch.testing.assert_close(split.state[name], tensor, rtol=1e-4, atol=1e-6)


def test_one_step_of_sgd_is_the_gradient_by_hand_clipped_to_the_norm() -> None:
    attached = without_dropout(started("head_only"))
    attached.model.train()
    before = attached.method.state()
    batch = trainer(attached).protocol.collate(TRAIN, range(32), attached.backbone.tokenizer, torch.device("cpu"))
    labels = batch.pop("labels").long()
    nn.functional.cross_entropy(attached.model(**batch).logits, labels).backward()
    gradients = {name: p.grad.clone() for name, p in attached.method.updated().items() if p.grad is not None}
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients.values()))
    attached.model.zero_grad(set_to_none=True)
    values = {"epochs": 1, "batch_size": 32, "optimizer": "sgd", "lr": 0.1, "clip": norm / 2, "schedule": "constant"}
    fitted = trainer(attached, **values).fit(TRAIN, VALIDATION)
    for name, gradient in gradients.items():
        torch.testing.assert_close(fitted.state[name], before[name] - 0.1 * gradient / 2, rtol=1e-4, atol=1e-7)


def test_a_mask_selected_anew_before_an_epoch_takes_its_optimiser_state_along(monkeypatch: pytest.MonkeyPatch) -> None:
    attached = started("fish", count=300, samples=16, reselect=True)
    method, job = attached.method, trainer(attached, epochs=3, lr=5e-2)
    method.calibrate(attached.model, job.samples(TRAIN))
    made: list[torch.optim.Optimizer] = []
    make, choose, look = fit_module.optimizer_of, method.before_epoch, method.after_backward

    def optimizer_of(*arguments: Any) -> torch.optim.Optimizer:
        made.append(make(*arguments))
        return made[0]

    waiting: dict[str, tuple[Tensor, dict[str, Tensor]]] = {}
    checked: list[tuple[int, int]] = []
    moved = 0

    def before_epoch(epoch: int) -> Any:
        parameters = method.trained()
        states = {
            name: {key: tensor.clone() for key, tensor in made[0].state[parameter].items()}
            for name, parameter in parameters.items()
        }
        exchanged = choose(epoch)
        assert (exchanged is None) == (epoch == 1)
        waiting.update({name: (positions, states[name]) for name, positions in (exchanged or {}).items()})
        return exchanged

    def after_backward() -> None:
        nonlocal moved
        for name, (positions, then) in waiting.items():
            now, new = made[0].state[method.trained()[name]], positions < 0
            assert method.trained()[name].shape == positions.shape
            if then:
                for key in ("exp_avg", "exp_avg_sq"):
                    assert torch.equal(now[key][~new], then[key][positions[~new]])
                    assert not now[key][new].any()
                assert torch.equal(now["step"], then["step"])
                moved += int(now["exp_avg_sq"].count_nonzero())
            checked.append((int(new.sum()), int((~new).sum())))
        waiting.clear()
        look()

    monkeypatch.setattr(fit_module, "optimizer_of", optimizer_of)
    monkeypatch.setattr(method, "before_epoch", before_epoch)
    monkeypatch.setattr(method, "after_backward", after_backward)
    fitted = job.fit(TRAIN, VALIDATION)
    assert fitted.steps == 12
    new, old = (sum(counts) for counts in zip(*checked, strict=True))
    assert new > 0
    assert old > 0
    assert moved > 0, "some of the moments that were carried are not zero"
    assert new + old == 2 * 300
    assert sum(parameter.numel() for parameter in method.trained().values()) == 300
    assert same(method.state(), fitted.state)


def test_a_larger_sample_begins_with_a_smaller_one_in_an_order_of_the_seeds() -> None:
    attached = started("head_only")
    job = trainer(attached)

    def rows(count: int, size: int = 1, seed: int = 0) -> list[tuple[int, ...]]:
        each = Trainer(job.model, job.method, job.protocol, job.evaluator, job.training, Streams(seed))
        batches = list(each.samples(TRAIN).batches(count, size))
        assert all(len(batch["labels"]) <= size for batch in batches)
        return [
            tuple(ids[mask.bool()].tolist())
            for batch in batches
            for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]

    every = rows(999)
    assert len(job.samples(TRAIN)) == len(every) == 32
    assert sorted(every) == sorted(tuple(one["input_ids"]) for one in TRAIN.inputs)
    assert all(rows(count) == every[:count] for count in (1, 5, 31))
    assert rows(10, size=4) == every[:10]
    assert rows(10, seed=1) != every[:10]


def test_what_a_method_is_told_of_a_sample_is_its_loss_under_its_true_label() -> None:
    attached = started("head_only")
    samples = trainer(attached).samples(TRAIN)
    attached.model.eval()
    for batch in samples.batches(3):
        likelihoods = samples.log_likelihoods(batch)
        assert likelihoods.shape == (1, 2)
        torch.testing.assert_close(samples.loss(batch), -likelihoods[0, int(batch["labels"][0])])
