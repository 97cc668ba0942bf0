"""Judge: another model rates free answers from 1 to 10, where a run asks for it; none is ever called by default.

A judge is a local model by its backbone reference, or an endpoint that speaks the chat-completions format, by its URL;
its key is read from the environment variable ``PARETUNE_JUDGE_KEY`` and is written nowhere. Both are asked the same,
one answer at a time and greedily, and end with a rating in double square brackets (single-answer grading as in Zheng et
al. 2023, https://arxiv.org/abs/2306.05685; the words are ours, so ratings are not those of their GPT-4 judge).
"""

from __future__ import annotations

import json
import math
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import MissingPrerequisite, NotApplicable

if TYPE_CHECKING:
    from harness.requests import Item

KEY = "PARETUNE_JUDGE_KEY"
LOWEST, HIGHEST = 1, 10
MAX_TOKENS = 512
"""Tokens that a judge may write."""
SECONDS = 120
"""How long an endpoint may take for one answer."""
WAITS = (1.0, 5.0, 15.0)
"""Seconds before an endpoint is asked again that refused, failed or took too long."""
BUSY = frozenset({408, 425, 429})
"""Statuses under 500 that pass: the same request may be answered later."""
RATING = re.compile(r"\[\[\s*(\d+(?:\.\d+)?)\s*\]\]")


class Asked(NamedTuple):
    """One answer to be rated."""

    question: str
    answer: str
    reference: str | None = None
    """A good answer, where the data set gives one."""


class Judgement(NamedTuple):
    """What a judge said of one answer."""

    text: str
    rating: float
    """From 1 to 10; NaN where none could be read."""


def prompt(asked: Asked) -> str:
    """Return what a judge is asked."""
    good = f"\n\nA correct answer, to compare with:\n{asked.reference}" if asked.reference else ""
    return (
        f"An assistant was asked a question. Judge how helpful, relevant, correct, thorough and clear its answer is; "
        f"its length alone earns nothing.\n\nQuestion:\n{asked.question}{good}\n\n"
        f"The assistant's answer:\n{asked.answer}\n\n"
        f"Explain your judgement in a few sentences. Then rate the answer from {LOWEST} (useless) to {HIGHEST} "
        f"(excellent) and write the rating in double square brackets, such as [[5]]."
    )


def read_rating(text: str) -> float:
    """Return the last rating in a judge's text; NaN where there is none, or none from 1 to 10."""
    found = RATING.findall(text)
    rating = float(found[-1]) if found else math.nan
    return rating if LOWEST <= rating <= HIGHEST else math.nan


def rate(
    reference: str, model: str | None, items: Sequence[Item], answers: Sequence[str]
) -> tuple[list[str], list[dict[str, float]], tuple[str, ...]]:
    """Return what is kept of each answer of a prompted task (JSON with the judge's words), its rating, and notes.

    Args:
        reference: of the judge, see ``judge``.
        model: as there.
        items: what was asked; the right answer of the task, where it has one, is the judge's reference.
        answers: one per item.
    """
    asked = [
        Asked(str(item.task.doc_to_text(item.doc)).strip(), answer, str(item.task.doc_to_target(item.doc)) or None)
        for item, answer in zip(items, answers, strict=True)
    ]
    judged = judge(reference, model, asked)
    shown = [
        json.dumps({"answer": one.answer, "judgement": said.text}, ensure_ascii=False)
        for one, said in zip(asked, judged, strict=True)
    ]
    unread = sum(math.isnan(one.rating) for one in judged)
    notes = (f"{unread} of {len(judged)} answers have no rating that can be read",) if unread else ()
    return shown, [{"rating": one.rating} for one in judged], notes


def check(reference: str | None, model: str | None) -> None:
    """Find out whether a judge could be asked, without asking it.

    Raises:
        UnknownName: for a reference of no known scheme.
        MissingPrerequisite: for an endpoint or a model without the other, or weights that are not there.
        NotApplicable: for a local model that does not write.
    """
    if reference is None:
        if model is not None:
            raise MissingPrerequisite(f"judge_model is {model} and there is no judge; name its endpoint as judge")
        return
    if _is_endpoint(reference):
        if not model:
            raise MissingPrerequisite(
                f"the judge {reference} is an endpoint; name the model that it should ask as judge_model"
            )
        return
    from harness.backbone import locate

    files = locate(reference)
    if files.kind != "decoder":
        raise NotApplicable(f"the judge {reference} is no causal language model, but {files.kind}; it cannot write")


def _is_endpoint(reference: str) -> bool:
    return reference.startswith(("http://", "https://"))


def judge(reference: str, model: str | None, answers: Sequence[Asked]) -> list[Judgement]:
    """Return what a judge says of each answer.

    Args:
        reference: of a local causal language model, or the URL of an endpoint.
        model: the name by which the endpoint knows the judge; null for a local one.
        answers: to be rated.

    Raises:
        NotApplicable: for a local model that does not write.
        MissingPrerequisite: for weights that are not there, or an endpoint that does not answer.
    """
    check(reference, model)
    say = _endpoint(reference, model) if _is_endpoint(reference) else _local(reference)
    said = [say(prompt(asked)) for asked in answers]
    return [Judgement(text, read_rating(text)) for text in said]


def _endpoint(url: str, model: str | None) -> Callable[[str], str]:
    headers = {"Content-Type": "application/json"}
    if os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {os.environ[KEY]}"

    def say(text: str) -> str:
        content = {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
        }
        request = urllib.request.Request(url, json.dumps(content).encode(), headers)
        try:
            return str(_answered(request)["choices"][0]["message"]["content"])
        except (OSError, HTTPException, ValueError, KeyError, IndexError, TypeError) as error:
            raise MissingPrerequisite(
                f"the judge {url} gave no answer ({type(error).__name__}: {error}); it must speak the "
                f"chat-completions format, and its key is read from {KEY}"
            ) from error

    return say


def _answered(request: urllib.request.Request) -> Any:  # Any: JSON
    """Return what an endpoint says to a request, asked again after a while where the failure may pass."""
    for wait in (*WAITS, None):
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                return json.load(response)
        except (OSError, HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code < 500 and error.code not in BUSY:
                    raise
            if wait is None:
                raise
        time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _local(reference: str) -> Callable[[str], str]:
    import torch
    from transformers import AutoModelForCausalLM

    from harness.backbone import load_model, load_tokenizer, locate

    files = locate(reference)
    model, _ = load_model(files, AutoModelForCausalLM)
    tokenizer = load_tokenizer(files)
    model.eval()
    positions = int(getattr(model.config, "max_position_embeddings", 10**9))

    @torch.no_grad()
    def say(text: str) -> str:
        if getattr(tokenizer, "chat_template", None):
            turns = [{"role": "user", "content": text}]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        read = inputs["input_ids"].shape[1]
        if read + MAX_TOKENS > positions:
            return f"not asked: {read} tokens, and the judge reads {positions - MAX_TOKENS} at most"
        written = model.generate(  # type: ignore[operator]  # transformers' models can, torch's modules do not say so
            **inputs, max_new_tokens=MAX_TOKENS, do_sample=False, pad_token_id=tokenizer.pad_token_id or 0
        )
        return str(tokenizer.decode(written[0, read:], skip_special_tokens=True))

    return say
