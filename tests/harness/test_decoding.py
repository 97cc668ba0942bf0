"""Decoding writes what beam search finds, and forbids repeats of what was written, not of what was asked."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from harness import tiny
from harness.decoding import Search, continuations

CPU = torch.device("cpu")
PAD, END = 0, 2


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    config = tiny.parse(request.param).config()
    config.vocab_size = 6  # so few that all texts can be listed
    made = AutoModelForCausalLM.from_config(config).eval()
    for parameter in made.parameters():  # as made, a tiny model writes one token for ever
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return made


def search(**values: Any) -> Search:
    asked: dict[str, Any] = {"num_beams": 1, "length_penalty": 1.0, "no_repeat_ngram_size": 0, "max_new_tokens": 4}
    return Search(**{**asked, **values}, end=END, pad=PAD)


@torch.no_grad()
def log_probability(model: Any, prompt: list[int], written: tuple[int, ...]) -> float:
    logs = model(input_ids=torch.tensor([[*prompt, *written]])).logits[0].double().log_softmax(-1)
    return float(sum(logs[len(prompt) - 1 + place, token] for place, token in enumerate(written)))


@pytest.mark.parametrize("penalty", [0.0, 0.8, 3.0])
def test_a_beam_as_wide_as_everything_finds_the_best_of_all_texts(model: Any, penalty: float) -> None:
    prompt, length = [3, 1, 4], 3
    finished = {(*start, END) for size in range(length) for start in itertools.product((0, 1, 3, 4, 5), repeat=size)}
    cut = set(itertools.product((0, 1, 3, 4, 5), repeat=length))
    scores = {text: log_probability(model, prompt, text) / len(text) ** penalty for text in finished | cut}
    best = max(scores, key=lambda text: scores[text])
    (found,) = continuations(model, [prompt], search(num_beams=250, length_penalty=penalty, max_new_tokens=length), CPU)
    assert scores[tuple(found)] == pytest.approx(scores[best], abs=1e-5)


def test_greedy_takes_the_likeliest_token_each_time(model: Any) -> None:
    prompts = [[3], [5, 4, 1, 3], [1, 1]]
    expected = []
    for prompt in prompts:
        written: list[int] = []
        while len(written) < 4 and END not in written:
            with torch.no_grad():
                written.append(int(model(input_ids=torch.tensor([prompt + written])).logits[0, -1].argmax()))
        expected.append(written)
    assert continuations(model, prompts, search(), CPU) == expected


def pairs(ids: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(ids))


@pytest.mark.parametrize("beams", [1, 3])
def test_an_n_gram_is_written_once(model: Any, beams: int) -> None:
    prompts = [[*pair] * 4 for pair in itertools.product((1, 3, 4, 5), repeat=2)]
    free, held = (
        continuations(model, prompts, search(num_beams=beams, max_new_tokens=16, no_repeat_ngram_size=size), CPU)
        for size in (0, 2)
    )
    assert any(len(pairs(ids)) > len(set(pairs(ids))) for ids in free), "nothing would be repeated anyway"
    assert all(len(pairs(ids)) == len(set(pairs(ids))) for ids in held)


@pytest.mark.parametrize("model", ["llama"], indirect=True)  # a random GPT-2 writes by position and copies nothing
def test_an_n_gram_of_the_prompt_may_be_written(model: Any) -> None:
    prompts = np.random.default_rng(0).choice([1, 3, 4, 5], (300, 12)).tolist()
    free, held = (
        continuations(model, prompts, search(max_new_tokens=4, no_repeat_ngram_size=size), CPU) for size in (0, 2)
    )
    once = [place for place, ids in enumerate(free) if len(pairs(ids)) == len(set(pairs(ids)))]
    assert any(set(pairs(free[place])) & set(pairs(prompts[place])) for place in once), "nothing would be copied anyway"
    assert [held[place] for place in once] == [free[place] for place in once]


def test_a_checkpoints_own_settings_are_set_aside_and_put_back_even_after_a_failure(model: Any) -> None:
    from transformers import GenerationConfig

    expected = continuations(model, [[3, 4]], search(num_beams=2), CPU)
    own = model.generation_config = GenerationConfig(do_sample=True, temperature=5.0, repetition_penalty=9.0)  # type: ignore[no-untyped-call]
    assert continuations(model, [[3, 4]], search(num_beams=2), CPU) == expected
    assert model.generation_config is own
    with pytest.raises(IndexError):
        continuations(model, [[3, 77]], search(), CPU)
    assert model.generation_config is own
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]


def test_what_is_written_ends_with_the_end_where_that_was_reached(model: Any) -> None:
    prompts = [[*ids] for ids in itertools.product((1, 3, 4, 5), repeat=2)]
    found = continuations(model, prompts, search(num_beams=2, max_new_tokens=6), CPU)
    assert all(1 <= len(ids) <= 6 and END not in ids[:-1] for ids in found)
    assert np.any([ids[-1] == END for ids in found])
