"""Names and cards are read from peft's source, agree with peft's own tables, and load no tensor library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import MissingPrerequisite
from harness.method import MethodCard
from harness.registry import ROOT
from methods.parts import peft_cards
from methods.parts.peft_cards import SIZES, cards, tuners, version


@pytest.fixture(autouse=True)
def unread() -> Iterator[None]:
    yield
    tuners.cache_clear()


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **folders: str) -> None:
    """Put a peft of a few tuners, each the text of its registration, in the place of the installed one."""
    (tmp_path / "tuners").mkdir()
    (tmp_path / "__init__.py").write_text('__version__ = "9.1"\n', encoding="utf-8")
    for name, text in folders.items():
        (tmp_path / "tuners" / name).mkdir()
        (tmp_path / "tuners" / name / "__init__.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(peft_cards, "source_of", lambda module: tmp_path / "__init__.py")
    tuners.cache_clear()


def test_the_names_are_those_of_pefts_own_mapping() -> None:
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    registered = {tuner.tuner for tuner in tuners().values()}
    assert registered == {kind.value.lower() for kind in PEFT_TYPE_TO_CONFIG_MAPPING}
    assert {name for name, tuner in tuners().items() if not tuner.fixed} == {f"peft/{name}" for name in registered}
    assert len(registered) >= 45
    assert version() == peft.__version__


def test_prompts_are_known_from_what_their_configurations_derive_from() -> None:
    from peft import PromptLearningConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    learn = {
        kind.value.lower() for kind, c in PEFT_TYPE_TO_CONFIG_MAPPING.items() if issubclass(c, PromptLearningConfig)
    }
    assert {tuner.tuner for tuner in tuners().values() if tuner.prompts} == learn
    assert len(learn) >= 5


def test_the_switches_of_loras_configuration_are_methods_of_their_own() -> None:
    variants = {name: tuner.fixed for name, tuner in tuners().items() if tuner.fixed}
    assert variants["peft/dora"] == {"use_dora": True}
    assert variants["peft/rslora"] == {"use_rslora": True}
    assert tuners()["peft/dora"].paper == "https://huggingface.co/papers/2402.09353"
    assert tuners()["peft/lora"].paper == "https://huggingface.co/papers/2106.09685"


def test_every_card_is_valid_and_names_a_field_for_its_budget() -> None:
    made = [MethodCard.model_validate(card) for card in cards()]
    assert len(made) == len({card.name for card in made}) == len(tuners())
    for card in made:
        assert card.url.startswith("https://")
        assert card.budget is None or card.budget in SIZES
        assert f"peft {version()}" in card.title


def test_reading_imports_neither_peft_nor_a_tensor_library() -> None:
    code = (
        "import sys\nfrom methods.parts.peft_cards import cards\nassert len(cards()) >= 45\n"
        "print([name for name in ('peft', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_tuner_that_a_later_peft_brings_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(
        tmp_path,
        monkeypatch,
        newest='register_peft_method(name="newest", config_cls=NewestConfig, model_cls=NewestModel)\n',
        mixed="from .model import Mixed\n",
    )
    (tmp_path / "tuners" / "newest" / "config.py").write_text(
        "class NewestConfig(PeftConfig):\n    n_frequency: int = field(default=7)\n    init_weights: bool = False\n"
        "    odd: list = field(default_factory=list)\n    scale: float = 2 * math.pi\n",
        encoding="utf-8",
    )
    (card,) = cards()
    assert (card["name"], card["budget"], card["starts_at_identity"]) == ("peft/newest", "n_frequency", False)
    assert card["title"] == "newest of peft 9.1"
    assert card["url"] == "https://huggingface.co/docs/peft/package_reference/newest"


def test_a_peft_that_is_not_there_or_reads_otherwise_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, mixed="")
    with pytest.raises(MissingPrerequisite, match=r"peft 9.1 registers no tuner.*python -m pip install"):
        cards()
    monkeypatch.setattr(peft_cards, "source_of", lambda module: None)
    with pytest.raises(MissingPrerequisite, match="peft is not installed; install it with: python -m pip install"):
        cards()
