"""Pictures of derived sources, to choose a derivation and its options."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ganforge.config.choices import ComponentChoice
from ganforge.data.sources.image_files import image_files
from ganforge.errors import DataError
from ganforge.imaging.arrays import from_array, to_array
from ganforge.imaging.channels import MODES
from ganforge.imaging.codec import Undecodable, decode_image
from ganforge.imaging.grids import Names, named_grid
from ganforge.imaging.images import convert_channels, from_pixels, resize, to_pil
from ganforge.interfaces.derivation import Derivation
from ganforge.registry.plugins import get_registry


def derivation_sheet(
    folder: Path, choices: Sequence[ComponentChoice], *, side: int = 256, count: int = 4
) -> Image.Image:
    """A row for each image: the image, and the source that each derivation makes of it.

    Args:
        folder: of images; the first ones are shown.
        choices: the derivations with their options.
        side: images are scaled and cropped to this square, in pixels.
        count: number of images.

    Raises:
        DataError: the folder holds no images, or one cannot be read.
        PluginNotFound, ConfigError: a derivation is unknown, or its options are not valid.
    """
    registry = get_registry()
    derivations: list[Derivation[Any]] = [
        registry.build(Derivation, choice.name, choice.options, "--derive") for choice in choices
    ]
    cells: list[Image.Image | None] = []
    for seed, name in enumerate(image_files(folder, "folder")[:count]):
        img = _read(folder / name, side)
        sources = [from_array(d.derive(to_array(img), seed)) for d in derivations]
        cells += [_drawable(part) for part in (img, *sources)]
    titles = tuple(" ".join([d.name, *_options(d)]) for d in derivations)
    return named_grid(cells, 1 + len(derivations), Names(columns=("image", *titles)))


def _read(path: Path, side: int) -> Tensor:
    """An RGB image [3, side, side] in [-1, 1]."""
    try:
        pixels = decode_image(path)
        if pixels.shape[2] not in MODES:
            raise Undecodable(f"has {pixels.shape[2]} channels, not 1, 3 or 4")
    except Undecodable as err:
        raise DataError(f"The image {path} {err}. Remove or replace it.") from err
    img = convert_channels(from_pixels(pixels)[None], 3)
    return resize(img, side, side, "crop")[0]


def _drawable(img: Tensor) -> Image.Image:
    """The picture of [C, H, W]: its colors, or its first channel where it has no RGB."""
    shown = img[:3] if img.shape[0] in (3, 4) else img[:1]
    return to_pil(torch.broadcast_to(shown, (3, *img.shape[1:]))[None])[0]


def _options(derivation: Derivation[Any]) -> list[str]:
    """The options that are not the defaults, as `key=value`."""
    given = derivation.config.model_dump(exclude_defaults=True)
    return [f"{key}={value}" for key, value in given.items()]
