"""Encoding gives the tokens that lm-eval's model class gives, and says which answers do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import tiny
from harness.encoding import Encoding, encode
from harness.errors import MissingPrerequisite
from harness.requests import ask
from tests.tasks.lm_tasks import TASKS, write

TOKENIZER = tiny.tokenizer(closed=False)


def test_a_continuation_follows_its_text() -> None:
    encoding = Encoding(TOKENIZER, 32)
    before, after = encoding.prompt("a prompt:"), encoding.continued("a prompt:", " and more")
    assert [*before, *after] == TOKENIZER("a prompt: and more")["input_ids"]
    assert encoding.prompt("a prompt:", room=28) == before[-4:]


def test_an_answer_that_does_not_fit_is_named(tmp_path: Path) -> None:
    toys = write(tmp_path, {"choice": TASKS["choice"]})
    asked = ask(toys.part("choice"), f"path:{toys.folder / 'choice.yaml'}")
    with pytest.raises(MissingPrerequisite, match="toy_choice, item 0: .* continuation of 10: .* raise training.max_l"):
        encode(asked, TOKENIZER, 8)


@pytest.mark.parametrize(
    ("until", "ending"), [(["\n"], "\n"), (["\n\n", "."], "\n\n"), (["###", "\n\n"], "\n\n"), ("!", "!"), ([], None)]
)
def test_an_answer_ends_with_what_tells_demonstrations_apart_else_the_first_stop(
    until: list[str] | str, ending: str | None, tmp_path: Path
) -> None:
    changed = TASKS["text"] | {"generation_kwargs": {"until": until, "max_gen_toks": 20}}
    toys = write(tmp_path, {"text": changed})
    asked = ask(toys.part("text"), f"path:{toys.folder / 'text.yaml'}")
    (answer,) = encode(asked, TOKENIZER, 64)[0].rows[0].answers
    trained = answer.ids[-answer.num_scored :]
    if ending is None:
        assert trained[-1] == TOKENIZER.eos_token_id
        assert TOKENIZER.decode(trained[:-1]) == " small"
    else:
        assert TOKENIZER.decode(trained) == f" small{ending}"
