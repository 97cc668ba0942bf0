"""What came, what is allowed: the error for a name that nothing has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MissingPrerequisite, UnknownName


def test_near_names_are_offered() -> None:
    error = UnknownName("method", "lora_", ["lora", "full", "loha"], "my.yaml")
    assert str(error) == "unknown method 'lora_' in my.yaml; did you mean lora or loha?"
    assert isinstance(error, ValueError)


def test_where_nothing_is_near_the_known_names_stand() -> None:
    assert str(UnknownName("task", "zzz", ["b", "a"])) == "unknown task 'zzz'; known: a, b"
    assert str(UnknownName("task", "zzz", [])) == "unknown task 'zzz'; known: none"


@given(st.text(), st.lists(st.text()))
def test_any_name_can_be_unknown(name: str, known: list[str]) -> None:
    assert repr(name) in str(UnknownName("method", name, iter(known)))


def test_what_is_missing_is_no_wrong_value() -> None:
    assert not issubclass(MissingPrerequisite, ValueError)
