"""Image decodes what its rows hold, names what does not open, and augments as its options and streams say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from harness.backbone import load_model, locate
from harness.errors import MissingPrerequisite, NotApplicable
from harness.images import load_input
from harness.protocol import Examples, meet
from harness.random import Streams
from tests.tasks.pictures import CARD, encoded, noise, part

CPU = torch.device("cpu")
TINY = load_input(locate("tiny:vit"))


def met(**options: Any) -> Any:  # Any: what the protocol has beyond the contract is tested too
    return meet("image", CARD, options)


def encode(images: list[Any], labels: list[Any], **options: Any) -> Examples:
    found: Examples = met(**options).encode(part(images, labels), TINY, 128)
    return found


def test_rows_keep_their_order_labels_and_names() -> None:
    images = [encoded(noise(32, 32, seed)) for seed in range(4)]
    rows = part(images, [2, 0, 1, 0], [0, 2])
    examples = met().encode(rows, TINY, 128)
    assert examples.item_ids == ("train:0", "train:2")
    assert list(examples.references) == [2, 1]
    batch = met().collate(examples, [1, 0], TINY, CPU)
    assert batch["labels"].tolist() == [1, 2]
    assert (batch["pixel_values"].shape, batch["pixel_values"].dtype) == ((2, 3, 32, 32), torch.float32)
    expected = noise(32, 32, 2).transpose(2, 0, 1) / 255 * 2 - 1
    np.testing.assert_allclose(batch["pixel_values"][0].numpy(), expected, atol=1e-6)


def test_bytes_structs_and_paths_are_read_alike(tmp_path: Path) -> None:
    content = encoded(noise(40, 30))
    (tmp_path / "a.png").write_bytes(content)
    forms: list[list[Any]] = [
        [content],
        [{"bytes": content, "path": "a.png"}],
        [{"bytes": content, "path": None}],
        [{"bytes": None, "path": str(tmp_path / "a.png")}],
    ]
    found = [met().collate(encode(form, [0]), [0], TINY, CPU)["pixel_values"] for form in forms]
    assert all(torch.equal(found[0], one) for one in found)


def test_images_that_do_not_open_are_named_with_row_and_path() -> None:
    good = encoded(noise(8, 8))
    images = [{"bytes": b, "path": p} for b, p in ((good, "a.png"), (b"no image", "b.png"), (good[:50], "c/d.png"))]
    with pytest.raises(MissingPrerequisite) as caught:
        encode(images, [0, 1, 2])
    text = str(caught.value)
    assert "toy/pictures (train) has 2 images that do not open: train:1 b.png (UnidentifiedImageError" in text
    assert " at 0x" not in text, "an address in memory differs from run to run"
    assert "train:2 c/d.png (" in text
    with pytest.raises(MissingPrerequisite, match="has 5 images that do not open: .* and 2 more; mend them"):
        encode([b""] * 5, [0] * 5)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ([None], [0], r"no image in column image of row train:0 \(NoneType came\); it holds bytes, or a struct"),
        (["a.png"], [0], r"no image in column image of row train:0 \(str came\)"),
        ([{"path": None, "bytes": None}], [0], r"row train:0 \(dict came\)"),
        ([b""], [3], "has 1 labels outside 0 to 2, such as 3"),
        ([b""], [-1], "has 1 labels outside 0 to 2, such as -1"),
        ([b""], ["cat"], r"column label is no int, such as row 0 \(str\)"),
        ([b""], [0.5], r"column label is no int, such as row 0 \(float\)"),
        ([b""], [None], r"column label is no int, such as row 0 \(NoneType\)"),
        ([], [], "has no rows"),
    ],
)
def test_rows_that_do_not_fit_the_card_are_refused(images: list[Any], labels: list[Any], message: str) -> None:
    with pytest.raises(MissingPrerequisite, match=message):
        encode(images, labels)


def test_the_head_lies_on_the_pooled_output_of_the_architecture() -> None:
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for architecture in ("vit", "resnet"):
        model, head = met().build(locate(f"tiny:{architecture}"))
        model.eval()
        out = model.base_model(pixels)
        pooled = out.last_hidden_state[:, 0] if architecture == "vit" else out.last_hidden_state.mean(dim=(2, 3))
        assert all(name.startswith("classifier.") for name in head)
        weight, bias = (model.get_parameter(name) for name in sorted(head, reverse=True))
        torch.testing.assert_close(model(pixels).logits, pooled @ weight.T + bias)


@pytest.mark.parametrize("classes", [3, 7])
def test_a_classifier_that_the_weights_bring_is_made_anew(tmp_path: Path, classes: int) -> None:
    from transformers import AutoModelForImageClassification

    trained, _ = load_model(locate("tiny:vit"), AutoModelForImageClassification, num_labels=classes)
    trained.save_pretrained(tmp_path)  # type: ignore[operator]
    TINY.save_pretrained(tmp_path)
    loaded = met().load(locate(f"path:{tmp_path}"))
    assert loaded.head == {"classifier.weight", "classifier.bias"}
    assert loaded.model.get_parameter("classifier.weight").shape == (3, 32)
    assert loaded.num_parameters == sum(p.numel() for p in trained.base_model.parameters())  # type: ignore[union-attr,operator]
    assert loaded.changed() == []
    assert loaded.tokenizer == TINY


def test_pictures_of_another_size_than_the_positions_are_refused(tmp_path: Path) -> None:
    met().build(locate("tiny:vit"))[0].save_pretrained(tmp_path)
    load_input(locate("tiny:vit")).save_pretrained(tmp_path)
    text = (tmp_path / "preprocessor_config.json").read_text().replace("32", "48")
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(MissingPrerequisite, match="config.json is of pictures of 32 pixels, .* of 48 x 48"):
        met().load(locate(f"path:{tmp_path}"))


def test_a_backbone_that_reads_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="is met by image, which needs a backbone that sees; encoder came"):
        met().build(locate("tiny:bert"))


class Fixed(torch.nn.Module):
    """A model whose logits are what it was given."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.bfloat16)

    def forward(self, pixel_values: torch.Tensor) -> Fixed:
        return self


def test_losses_likelihoods_and_answers_are_those_of_the_logits() -> None:
    logits = [[3.0, 1.0, 2.0], [0.0, -8.0, 8.0]]
    batch = {"pixel_values": torch.zeros(2, 1), "labels": torch.tensor([0, 0])}
    chances = [[math.exp(v) / sum(map(math.exp, row)) for v in row] for row in logits]
    found, loss = met().outputs(Fixed(logits), batch)
    assert found == [0, 2]
    assert loss.item() == pytest.approx(log_loss([0, 0], chances, labels=[0, 1, 2]), rel=1e-5)
    torch.testing.assert_close(met().loss(Fixed(logits), batch), loss)
    torch.testing.assert_close(met().log_likelihoods(Fixed(logits), batch).exp(), torch.tensor(chances))


def test_without_options_every_epoch_sees_the_pictures_as_they_are() -> None:
    examples = encode([encoded(noise(32, 32))], [0])
    assert met().for_epoch(examples, Streams(0), 1) is examples


@given(seed=st.integers(0, 50), epoch=st.integers(1, 5))
def test_augmentation_is_a_crop_of_reflected_pixels_a_mirror_and_a_square_of_the_mean(seed: int, epoch: int) -> None:
    protocol = met(crop=4, flip=True, cutout=8)
    picture = noise(32, 32, seed)
    examples = encode([encoded(picture)] * 3, [0] * 3, crop=4, flip=True, cutout=8)
    batch = protocol.collate(protocol.for_epoch(examples, Streams(seed), epoch), [0, 1, 2], TINY, CPU)["pixel_values"]
    whole = np.pad(picture, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    crops = [whole[y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    candidates = TINY.normalise(np.stack([*crops, *(crop[:, ::-1] for crop in crops)]))
    for one in batch.numpy():
        hole = (one == 0).all(axis=0)  # no pixel of 0 to 255 is normalised to 0
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert (len(rows), len(columns), hole.sum()) == (8, 8, 64)
        assert (np.diff(rows) == 1).all()
        assert any(np.array_equal(one[:, ~hole], candidate[:, ~hole]) for candidate in candidates)


def test_draws_depend_on_seed_and_epoch_and_row_and_on_nothing_else() -> None:
    protocol = met(crop=4, flip=True, cutout=8)
    examples = encode([encoded(noise(32, 32, 1))] * 6, [0] * 6, crop=4, flip=True, cutout=8)

    def seen(seed: int, epoch: int, rows: list[int]) -> torch.Tensor:
        drawn = protocol.for_epoch(examples, Streams(seed), epoch)
        found: torch.Tensor = protocol.collate(drawn, rows, TINY, CPU)["pixel_values"]
        return found

    first = seen(0, 1, [0, 1, 2, 3, 4, 5])
    assert torch.equal(first, seen(0, 1, [0, 1, 2, 3, 4, 5]))
    assert torch.equal(first[[4, 2]], seen(0, 1, [4, 2])), "the order of the rows is of no matter"
    assert not torch.equal(first, seen(0, 2, [0, 1, 2, 3, 4, 5]))
    assert not torch.equal(first, seen(1, 1, [0, 1, 2, 3, 4, 5]))
    assert len({one.numpy().tobytes() for one in first}) == 6


def test_draws_are_even_over_places_and_sides() -> None:
    protocol = met(crop=1, flip=True)
    picture = np.zeros((9, 9, 3), dtype=np.uint8)
    picture[4, 4] = 255
    draws = np.stack([Streams(0).uniforms(9000, "augment", name) for name in "abcde"], axis=1)
    places = [np.argwhere(protocol.moved(picture, draw)[..., 0])[0].tolist() for draw in draws]
    counts = np.unique(np.array(places), axis=0, return_counts=True)[1]
    assert len(counts) == 9
    assert np.abs(counts / 1000 - 1).max() < 0.12
    assert 0.47 < (draws[:, 2] < 0.5).mean() < 0.53


@pytest.mark.parametrize("options", [{"crop": -1}, {"cutout": 1.5}, {"mirror": True}])
def test_options_that_make_no_sense_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(MissingPrerequisite, match=f"options of image for toy/pictures: .*{next(iter(options))}"):
        met(**options)
