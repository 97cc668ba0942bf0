"""A judge is asked only what it needs, through a local model or an endpoint, and its rating is read with care."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from harness import judge as rating
from harness.errors import MissingPrerequisite, NotApplicable, UnknownName
from harness.judge import KEY, Asked, check, judge, prompt, read_rating

ONE = Asked("What is 1 + 1?", "It is 2.")


class Endpoint(BaseHTTPRequestHandler):
    """Answers as the server's ``said`` tells, and keeps what it was asked."""

    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.headers.get("Authorization"), asked))
        status, body = self.server.said.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Server(HTTPServer):
    said: list[tuple[int, Any]]
    asked: list[tuple[str | None, Any]]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Endpoint)
    made.said, made.asked = [], []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/v1/chat/completions"


def reply(text: str) -> tuple[int, Any]:
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


@pytest.mark.parametrize(
    ("text", "rating"),
    [("Good. [[8]]", 8.0), ("[[3]] at first, then [[ 7.5 ]].", 7.5), ("[[11]]", None), ("[[0]]", None), ("8", None)],
)
def test_the_last_rating_from_1_to_10_counts(text: str, rating: float | None) -> None:
    found = read_rating(text)
    assert math.isnan(found) if rating is None else found == rating


def test_a_judge_sees_the_question_the_answer_and_a_reference_where_there_is_one() -> None:
    assert "What is 1 + 1?" in prompt(ONE)
    assert "It is 2." in prompt(ONE)
    assert "to compare with" not in prompt(ONE)
    assert "to compare with:\n2" in prompt(ONE._replace(reference="2"))


def test_an_endpoint_is_asked_greedily_with_the_key_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "secret")
    server.said = [reply("Right. [[9]]"), reply("no rating")]
    first, second = judge(url(server), "rater-1", [ONE, ONE._replace(answer="It is 3.")])
    assert (first.text, first.rating) == ("Right. [[9]]", 9.0)
    assert math.isnan(second.rating)
    key, asked = server.asked[0]
    assert key == "Bearer secret"
    assert (asked["model"], asked["temperature"]) == ("rater-1", 0)
    assert asked["messages"] == [{"role": "user", "content": prompt(ONE)}]
    assert "It is 3." in server.asked[1][1]["messages"][0]["content"]


def test_no_key_is_sent_where_there_is_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    server.said = [reply("[[1]]")]
    judge(url(server), "rater-1", [ONE])
    assert server.asked[0][0] is None


@pytest.mark.parametrize("said", [(401, {"error": "no"}), (200, {"choices": []}), (200, [])], ids=str)
def test_an_endpoint_that_gives_no_answer_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, said: tuple[int, Any]
) -> None:
    monkeypatch.setenv(KEY, "secret")
    server.said = [said]
    with pytest.raises(MissingPrerequisite, match=f"the judge {url(server)} gave no answer") as caught:
        judge(url(server), "rater-1", [ONE])
    assert "secret" not in str(caught.value)


def test_an_endpoint_needs_the_name_of_its_model() -> None:
    with pytest.raises(MissingPrerequisite, match="judge_model"):
        judge("http://127.0.0.1:1/v1", None, [ONE])


def test_a_local_model_judges_and_says_the_same_every_time() -> None:
    # Sizes with 1,024 positions: 512 of them are for what the judge writes, and a byte is a token.
    first, second = (judge("tiny:llama@64x1", None, [Asked("?", "!")]) for _ in range(2))
    assert first[0].text == second[0].text != ""
    assert not first[0].text.startswith("not asked")
    assert math.isnan(first[0].rating)


def test_an_answer_too_long_for_a_local_judge_is_not_rated_and_says_so() -> None:
    (said,) = judge("tiny:llama@64x1", None, [Asked("?", "!" * 1000)])
    assert said.text.startswith("not asked: ")
    assert math.isnan(said.rating)


def test_what_does_not_write_cannot_judge() -> None:
    with pytest.raises(NotApplicable, match="tiny:bert is no causal language model"):
        judge("tiny:bert", None, [ONE])


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(rating, "WAITS", (0.0, 0.0))


def test_an_endpoint_that_is_busy_for_a_while_is_asked_again(server: Server, no_waits: None) -> None:
    server.said = [(503, {}), (429, {}), reply("[[6]]")]
    (said,) = judge(url(server), "rater-1", [ONE])
    assert (said.rating, len(server.asked)) == (6.0, 3)
    server.said = [(500, {})] * 3
    with pytest.raises(MissingPrerequisite, match="HTTP Error 500"):
        judge(url(server), "rater-1", [ONE])
    assert len(server.asked) == 6


def test_a_refusal_is_not_argued_with(server: Server, no_waits: None) -> None:
    server.said = [(401, {}), reply("[[6]]")]
    with pytest.raises(MissingPrerequisite, match="HTTP Error 401"):
        judge(url(server), "rater-1", [ONE])
    assert len(server.asked) == 1


def test_a_judge_is_checked_without_being_asked(server: Server) -> None:
    check(None, None)
    check(url(server), "rater-1")
    check("tiny:llama", None)
    assert not server.asked
    with pytest.raises(MissingPrerequisite, match="judge_model"):
        check(url(server), None)
    with pytest.raises(MissingPrerequisite, match="there is no judge"):
        check(None, "rater-1")
    with pytest.raises(MissingPrerequisite, match="is not a folder"):
        check("path:/no/such/judge", None)
    with pytest.raises(UnknownName, match="unknown backbone scheme 'ftp'"):
        check("ftp://somewhere", None)
    with pytest.raises(NotApplicable, match="tiny:bert is no causal language model"):
        check("tiny:bert", None)
