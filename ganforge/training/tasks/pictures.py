"""Sample pictures: the averaged networks at fixed seeds or on fixed source images."""

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ganforge.imaging.grids import stack
from ganforge.imaging.images import image_grid
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.generation import GenerateRequest
from ganforge.training.engine.standing_statistics import generating_networks
from ganforge.training.state.run_state import TrainingRun

_MICRO_BATCH = 64


@torch.no_grad()
def generate(
    architecture: Architecture[Any], networks: Mapping[str, nn.Module], request: GenerateRequest
) -> Tensor:
    """Images [N, C, H, W] float32 for a request; labels are drawn when none are given."""
    if request.label is None and architecture.spec.num_classes:
        request.label = request.random_label(architecture.spec.num_classes)
    return architecture.generate(networks, request).float()


def generate_in_parts(
    architecture: Architecture[Any], networks: Mapping[str, nn.Module], request: GenerateRequest
) -> Tensor:
    """As `generate`, in micro-batches, for requests of any size."""
    rows = range(request.size)
    parts = [rows[start : start + _MICRO_BATCH] for start in rows[::_MICRO_BATCH]]
    return torch.cat([generate(architecture, networks, request.take(part)) for part in parts])


def grid_labels(count: int, columns: int, num_classes: int, device: torch.device) -> Tensor | None:
    """One-hot labels [count, num_classes], one class per column; None without classes."""
    if num_classes == 0:
        return None
    index = torch.arange(count, device=device) % columns % num_classes
    return functional.one_hot(index, num_classes).float()


def seed_images(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    grid: tuple[int, int],
    device: torch.device,
    fixed: Batch | None = None,
) -> Tensor:
    """Images [rows * columns, C, H, W] of the fixed seeds 0, 1, ..., row by row.

    Args:
        architecture: generates images from noise.
        networks: its networks in eval mode, on `device`.
        grid: rows and columns; with classes, each column shows one.
        device: where the networks are.
        fixed: real samples, whose attributes and captions are used in turn.
    """
    count = grid[0] * grid[1]
    label = grid_labels(count, grid[1], architecture.spec.num_classes, device)
    request = GenerateRequest(range(count), device, label=label)
    for name in architecture.conditions:
        # Labels are chosen by column; other conditions only the data can fill.
        if name != "label" and fixed is not None:
            setattr(request, name, fixed[name][[seed % fixed.size for seed in range(count)]])
    return generate_in_parts(architecture, networks, request)


def run_networks(run: TrainingRun) -> dict[str, nn.Module]:
    """The networks with which a run generates at this step."""
    config = run.config.train.standing_statistics
    return generating_networks(run.architecture, run.ema.networks, config)


def sample_images(run: TrainingRun, fixed: Batch | None = None) -> Tensor:
    """The images [N, C, H, W] of the sample grid of a noise-to-image run."""
    grid, device = run.config.train.sample_grid, run.runtime.device
    with run.runtime.autocast():
        return seed_images(run.architecture, run_networks(run), grid, device, fixed)


def translate_images(run: TrainingRun, batch: Batch, direction: str) -> tuple[Tensor, Tensor]:
    """Fixed images of one domain and their translations, each [N, C, H, W].

    Frame sequences give their last frames, which depend on all others.
    """
    source = batch[direction.split("_to_")[0]]
    networks, outputs = run_networks(run), []
    for index in range(source.shape[0]):
        request = GenerateRequest(
            [index],
            run.runtime.device,
            source=source[index : index + 1],
            options={"direction": direction},
        )
        with run.runtime.autocast():
            outputs.append(generate(run.architecture, networks, request))
    return last_frame(source), last_frame(torch.cat(outputs))


def last_frame(img: Tensor) -> Tensor:
    """The last frame of sequences [N, T, C, H, W]; images [N, C, H, W] as they are."""
    return img[:, -1] if img.ndim == 5 else img


def sample_grid(run: TrainingRun, fixed: Batch | None) -> tuple[Image.Image, Tensor]:
    """The sample picture, and the generated images in it.

    Translations show each source above its output, one direction after the other. The `fixed`
    real samples give images to translate, attributes and captions.
    """
    rows, columns = run.config.train.sample_grid
    if not run.architecture.directions or fixed is None:
        img = last_frame(sample_images(run, fixed))
        return image_grid(img, rows, columns), img
    strips, made = [], []
    for direction in run.architecture.directions:
        source, output = translate_images(run, fixed, direction)
        made.append(output)
        strips.append(_alternate(source[: columns * rows], output[: columns * rows], columns))
    return stack(strips), made[0]


def _alternate(source: Tensor, output: Tensor, columns: int) -> Image.Image:
    parts = []
    for start in range(0, len(source), columns):
        for img in (source, output):
            parts.append(image_grid(img[start : start + columns], 1, columns))
    return stack(parts)
