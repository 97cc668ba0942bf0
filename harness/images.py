"""Images: how a vision backbone wants its pictures, and how bytes become the pixels it is given.

Every picture is resized to the backbone's input size, bilinear and without a crop, as VTAB does it, and normalised as
the backbone was trained (``image_mean``, ``image_std``, ``rescale_factor`` of its preprocessor_config.json). Tiny
backbones take 32 x 32 pixels between -1 and 1; those made for training from scratch state their own.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness import scratch
from harness.errors import MissingPrerequisite

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from harness.backbone import BackboneFiles

Pixels = NDArray[np.uint8]
CONFIG = "preprocessor_config.json"
TINY_SIDE = 32


@dataclass(frozen=True)
class ImageInput:
    """What a backbone is given: the size of a picture in pixels, and how values of 0 to 255 are normalised."""

    height: int
    width: int
    mean: tuple[float, ...]
    """Subtracted after ``scale``, one for each of red, green and blue."""
    std: tuple[float, ...]
    scale: float = 1 / 255
    """What a pixel's value is multiplied by first."""

    def fit(self, pixels: Pixels) -> Pixels:
        """Return a picture (height, width, 3) in the input size: bilinear, without a crop."""
        from PIL import Image

        if pixels.shape[:2] == (self.height, self.width):
            return pixels
        resized = Image.fromarray(pixels).resize((self.width, self.height), Image.Resampling.BILINEAR)
        return np.asarray(resized, dtype=np.uint8)

    def decode(self, content: bytes | Path) -> Pixels:
        """Return the pixels of an encoded picture, (height, width, 3), greyscale and palettes made RGB.

        They have the input size, or the picture's own where that is less to keep: ``fit`` then makes the rest.

        Raises:
            OSError, and whatever else Pillow's decoders raise, for what is no picture.
            ValueError: for one whose values have no known range, of 32 bits each.
        """
        from PIL import Image, UnidentifiedImageError

        try:
            opened = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
        except UnidentifiedImageError:  # its message names an address in memory, which no two runs share
            raise UnidentifiedImageError("it is in no format of pictures that is known here") from None
        with opened as image:
            pixels = np.asarray(_in_8_bits(image).convert("RGB"), dtype=np.uint8)
        return self.fit(pixels) if pixels.size > 3 * self.height * self.width else pixels

    def normalise(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return pictures (rows, height, width, 3) as the model reads them: (rows, 3, height, width)."""
        scaled = pixels.astype(np.float32) * np.float32(self.scale)
        normal = (scaled - np.array(self.mean, dtype=np.float32)) / np.array(self.std, dtype=np.float32)
        return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write preprocessor_config.json, from which transformers and ``load_input`` read the same values."""
        content = {
            "do_resize": True,
            "size": {"height": self.height, "width": self.width},
            "resample": 2,  # Pillow's number of bilinear
            "do_rescale": True,
            "rescale_factor": self.scale,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "image_processor_type": "ViTImageProcessor",
        }
        Path(folder, CONFIG).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_input(files: BackboneFiles) -> ImageInput:
    """Return how a backbone wants its pictures.

    Raises:
        MissingPrerequisite: if its folder does not say so.
    """
    if files.from_scratch:
        made = scratch.parse(files.reference.partition(":")[2])
        return ImageInput(scratch.SIDE, scratch.SIDE, made.mean, made.std)
    if files.folder is None:
        return ImageInput(TINY_SIDE, TINY_SIDE, (0.5,) * 3, (0.5,) * 3)
    path = files.folder / CONFIG
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))  # Any: JSON
        height, width = _size(content["size"])
        mean: tuple[float, ...] = (0.0, 0.0, 0.0)
        std: tuple[float, ...] = (1.0, 1.0, 1.0)
        if content.get("do_normalize", True):
            mean, std = (_three(content[key]) for key in ("image_mean", "image_std"))
        scale = float(content.get("rescale_factor", 1 / 255)) if content.get("do_rescale", True) else 1.0
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingPrerequisite(
            f"{files.reference}: {CONFIG} does not say how pictures are given to it ({type(error).__name__}: {error}); "
            f"it holds size, image_mean and image_std of the image processor that the backbone was trained with"
        ) from error
    return ImageInput(height, width, mean, std, scale)


def _in_8_bits(image: PILImage) -> PILImage:
    """Return a picture whose values are from 0 to 255; Pillow's own conversion would cut 16 bits off at 255."""
    from PIL import Image

    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")  # older Pillows' PNG
    if sixteen:
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # 65,535 is 255 * 257
    if image.mode in ("I", "F"):
        raise ValueError(
            f"its values have 32 bits (Pillow's mode {image.mode}), and which of them is white is not known; save it "
            f"with 8 or 16 bits"
        )
    return image


def _size(size: Any) -> tuple[int, int]:  # Any: JSON, in one of the forms that transformers has written over the years
    if isinstance(size, int):
        return size, size
    if "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    return int(size["height"]), int(size["width"])


def _three(values: Any) -> tuple[float, ...]:  # Any: JSON
    if len(values) != 3:
        raise ValueError(f"{len(values)} values where red, green and blue have one each")
    return tuple(map(float, values))
