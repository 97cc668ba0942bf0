"""What came, what is allowed: the error for a name that nothing has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness import registry
from harness.errors import MissingPrerequisite, UnknownName


def test_near_names_are_offered() -> None:
    error = UnknownName("method", "lora_", ["lora", "full", "loha"], "my.yaml")
    assert str(error) == "unknown method 'lora_' in my.yaml; did you mean lora or loha?"
    assert isinstance(error, ValueError)


def test_where_nothing_is_near_the_known_names_stand() -> None:
    assert str(UnknownName("task", "zzz", ["b", "a"])) == "unknown task 'zzz'; known: a, b"
    assert str(UnknownName("task", "zzz", [])) == "unknown task 'zzz'; known: none"


def test_a_large_family_of_methods_is_one_mention_and_its_near_members_are_offered() -> None:
    known = ["lora", *(f"peft/{name}" for name in "abcd"), "theirs/x", "zeta"]
    folded = "unknown method '1'; known: lora, peft/... (4 of them), theirs/x, zeta"
    assert str(UnknownName("method", "1", known)) == folded
    assert str(UnknownName("method", "peft/", known)).endswith("did you mean peft/d or peft/c or peft/b?")
    assert "peft/a, peft/b, peft/c, peft/d" in str(UnknownName("task", "1", known))


def test_every_registered_method_or_its_family_is_listed_for_a_name_near_none() -> None:
    methods = registry.methods()
    message = str(UnknownName("method", "1234567", methods))
    assert all(name in message for name in methods if "/" not in name)
    assert message.count("peft/") == 1


@given(st.text(), st.lists(st.text()))
def test_any_name_can_be_unknown(name: str, known: list[str]) -> None:
    assert repr(name) in str(UnknownName("method", name, iter(known)))


def test_what_is_missing_is_no_wrong_value() -> None:
    assert not issubclass(MissingPrerequisite, ValueError)
