"""Pictures become what the backbone was trained on, to the bit of transformers' own image processor."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from harness.backbone import BackboneFiles, locate
from harness.errors import MissingPrerequisite
from harness.images import ImageInput, load_input
from tests.tasks.pictures import encoded, noise

TINY = load_input(locate("tiny:vit"))
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def files(folder: Path, **content: Any) -> BackboneFiles:
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    return BackboneFiles("path:somewhere", folder, "vit", "0")


@given(height=st.integers(1, 90), width=st.integers(1, 90), side=st.sampled_from([16, 33]), seed=st.integers(0, 99))
def test_pixels_are_those_of_the_library_s_own_processor(height: int, width: int, side: int, seed: int) -> None:
    oracle = ViTImageProcessorPil(size={"height": side, "width": side}, **IMAGENET)
    wanted = ImageInput(side, side, tuple(IMAGENET["image_mean"]), tuple(IMAGENET["image_std"]))
    pixels = noise(height, width, seed)
    ours = wanted.normalise(wanted.fit(wanted.decode(encoded(pixels)))[None])
    theirs = oracle(Image.fromarray(pixels), return_tensors="np")["pixel_values"]
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_a_picture_is_kept_in_the_smaller_of_its_own_and_the_input_size() -> None:
    assert TINY.decode(encoded(noise(64, 48))).shape == (32, 32, 3)
    small = noise(20, 30)
    kept = TINY.decode(encoded(small))
    np.testing.assert_array_equal(kept, small)
    assert TINY.fit(kept).shape == (32, 32, 3)
    same = noise(32, 32)
    assert TINY.fit(same) is same


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    grey = np.repeat(noise(32, 32, channels=1), 3, axis=2)
    pixels = TINY.decode(encoded(grey, "TIFF" if mode == "CMYK" else "PNG", mode))
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
    if mode in ("L", "RGBA"):
        np.testing.assert_array_equal(pixels, grey)


def test_a_file_is_read_like_bytes_and_what_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(32, 32)))
    np.testing.assert_array_equal(TINY.decode(tmp_path / "a.png"), noise(32, 32))
    for broken in (b"", b"text", encoded(noise(32, 32))[:60]):
        with pytest.raises((UnidentifiedImageError, OSError)):
            TINY.decode(broken)


@pytest.mark.parametrize("size", [24, {"height": 24, "width": 24}, {"shortest_edge": 24}])
def test_every_form_of_the_size_is_read(tmp_path: Path, size: object) -> None:
    found = load_input(files(tmp_path, size=size, crop_pct=0.875, resample=3, **IMAGENET))
    assert found == ImageInput(24, 24, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_what_is_switched_off_is_left_out(tmp_path: Path) -> None:
    found = load_input(files(tmp_path, size=24, do_normalize=False, rescale_factor=0.5))
    assert (found.mean, found.std, found.scale) == ((0, 0, 0), (1, 1, 1), 0.5)
    assert load_input(files(tmp_path, size=24, do_rescale=False, **IMAGENET)).scale == 1


def test_made_backbones_have_fixed_inputs() -> None:
    assert ImageInput(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) == TINY
    assert (TINY.normalise(np.array([[[[0, 255, 51]]]], dtype=np.uint8))).ravel().tolist() == pytest.approx(
        [-1, 1, -0.6]
    )
    cifar = load_input(locate("scratch:resnet34-cifar@8"))
    assert (cifar.height, cifar.width) == (32, 32)
    assert cifar.mean == pytest.approx([125.31 / 255, 122.95 / 255, 113.87 / 255], abs=1e-4)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"size": 24}, "KeyError: 'image_mean'"),
        ({**IMAGENET}, "KeyError: 'size'"),
        ({"size": "large", **IMAGENET}, "TypeError"),
        ({"size": 24, "image_mean": [0.5], "image_std": [0.5]}, "1 values where red, green and blue"),
    ],
)
def test_a_config_that_does_not_say_is_refused(tmp_path: Path, content: dict[str, Any], why: str) -> None:
    with pytest.raises(MissingPrerequisite, match="path:somewhere: preprocessor_config.json does not say") as caught:
        load_input(files(tmp_path, **content))
    assert why in str(caught.value)


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="FileNotFoundError"):
        load_input(BackboneFiles("path:somewhere", tmp_path, "vit", "0"))


def test_a_saved_input_is_read_back_by_us_and_by_the_library(tmp_path: Path) -> None:
    wanted = ImageInput(24, 24, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    wanted.save_pretrained(tmp_path)
    assert load_input(BackboneFiles("path:somewhere", tmp_path, "vit", "0")) == wanted
    oracle = ViTImageProcessorPil.from_pretrained(tmp_path)
    pixels = noise(40, 50)
    theirs = oracle(Image.fromarray(pixels), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(wanted.normalise(wanted.fit(pixels)[None]), theirs, rtol=0, atol=1e-6)


def test_sixteen_bits_of_grey_become_the_eight_that_are_nearest() -> None:
    values = np.linspace(0, 65_535, 32 * 32).round().astype(np.uint16).reshape(32, 32)
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    pixels = TINY.decode(content.getvalue())
    np.testing.assert_array_equal(pixels, np.repeat(np.rint(values / 257)[..., None], 3, axis=2))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert len(np.unique(pixels)) == 256


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_whose_white_is_not_known_are_refused(kind: type) -> None:
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8), 700, dtype=kind)).save(content, "TIFF")
    with pytest.raises(ValueError, match="have 32 bits .* save it with 8 or 16 bits"):
        TINY.decode(content.getvalue())
