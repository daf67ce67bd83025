"""Sample grids and image files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ganforge.batch import GenerateRequest, ImageSpec
from ganforge.components import Architecture
from ganforge.hub.format import conditioning
from ganforge.hub.inference import run_request
from ganforge.images import convert_channels, image_grid


def sample_grid(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    spec: ImageSpec,
    *,
    rows: int = 8,
    cols: int = 8,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Image.Image:
    """A grid of generated images; with classes, each row shows one, in order.

    Args:
        architecture: makes images from noise.
        networks: its networks in eval mode, on `device`.
        spec: what the model makes.
        rows: rows of the grid.
        cols: columns of the grid.
        seed: seed of the first image; the others follow.
        device: where the networks are.
    """
    count = rows * cols
    label = None
    if "label" in conditioning(architecture, spec):
        index = torch.arange(count) // cols % spec.num_classes
        label = torch.nn.functional.one_hot(index, spec.num_classes).float()
    request = GenerateRequest(
        seeds=range(seed, seed + count), device=torch.device(device), label=label
    )
    return image_grid(run_request(architecture, networks, request, cols), rows, cols)


def translation_grid(source: Tensor, translated: Tensor) -> Image.Image:
    """Sources in the first row, their translations below.

    Args:
        source: [N, C, H, W] in [-1, 1].
        translated: [N, C', H, W] in [-1, 1].
    """
    channels = max(source.shape[1], translated.shape[1])
    both = [convert_channels(img.cpu(), channels) for img in (source, translated)]
    return image_grid(torch.cat(both), 2, len(source))


def save_images(
    images: Sequence[Image.Image], folder: str | Path, names: Sequence[str] | None = None
) -> list[Path]:
    """Write one PNG per image.

    Args:
        images: PIL images.
        folder: made if it is not there.
        names: file names without extension. Default: 000000, 000001, ...

    Returns:
        The files, in order.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    stems = [f"{i:06d}" for i in range(len(images))] if names is None else names
    paths = [Path(folder) / f"{stem}.png" for stem in stems]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return paths
