"""Sample pictures: the averaged networks at fixed seeds or on fixed source images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ganforge.data.shards.index import load_index
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.imaging.images import image_grid
from ganforge.imaging.showable import showable
from ganforge.interfaces.architecture import Architecture
from ganforge.interfaces.batch import Batch
from ganforge.interfaces.generation import GenerateRequest
from ganforge.training.engine.standing_statistics import generating_networks
from ganforge.training.fields import fixed_batch
from ganforge.training.state.run_state import TrainingRun
from ganforge.training.tasks.sheets import MAX_FRAMES, animation, make_block, sheet

# Of one forward pass: 64 images at 256x256, 4 at 1024x1024, whose activations fill a GPU.
_MAX_IMAGES = 64
_MAX_PIXELS = 2**22
_MAX_SIDE = 4096


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
    """As `generate`, in micro-batches, for requests and images of any size."""
    rows, spec = range(request.size), architecture.spec
    count = min(_MAX_IMAGES, max(1, _MAX_PIXELS // (spec.num_frames * spec.height * spec.width)))
    parts = [rows[start : start + count] for start in rows[::count]]
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


@dataclass(frozen=True)
class FixedSamples:
    """Real samples that every sample picture shows, or takes conditions from.

    Attributes:
        batch: held-out samples where the run has any.
        is_paired: whether source i belongs to target i.
    """

    batch: Batch
    is_paired: bool = False


def read_fixed_samples(run: TrainingRun, location: str, fields: tuple[str, ...]) -> FixedSamples:
    """Samples of a data set for all pictures of a run: the same ones whenever it is called.

    Raises:
        DataError: the data set cannot be read, or lacks a field.
    """
    data = ReadableFields(run.config.data, load_index(location), location)
    data.check(fields)
    rows, columns = run.config.train.sample_grid
    streams = {data.schemas[name].stream for name in fields}
    is_video = any(data.schemas[name].is_clip for name in fields)
    # Clips take much memory, and a picture shows few of them.
    count = min([rows if is_video else rows * columns, *map(data.index.num_samples, streams)])
    batch = fixed_batch(run, location, fields, count)
    return FixedSamples(batch, is_paired=len(streams) == 1)


@dataclass(frozen=True)
class Pictures:
    """What the sample task saves.

    Attributes:
        still: () -> the picture, at most 4096 pixels a side; takes no device.
        frames: () -> of video, the pictures of an animation; else none.
        made: generated images [N, C, H, W]; of clips their last frames.
    """

    still: Callable[[], Image.Image]
    frames: Callable[[], Sequence[Image.Image]]
    made: Tensor


def sample_pictures(run: TrainingRun, fixed: FixedSamples | None) -> Pictures:
    """Fixed seeds, or of a translator source, output and, if paired, target side by side.

    The directions of a translator are shown one below the other.
    """
    grid = run.config.train.sample_grid
    if not run.architecture.directions or fixed is None:
        made = sample_images(run, None if fixed is None else fixed.batch)
        last, on_host = last_frame(made), made.cpu()
        return Pictures(
            lambda: fit(image_grid(showable(last_frame(on_host)), *grid)),
            lambda: _frame_grids(on_host, grid),
            last,
        )
    blocks, outputs = [], []
    for direction in run.architecture.directions:
        first, last_field = direction.split("_to_")
        source, target = fixed.batch[first], fixed.batch[last_field]
        outputs.append(_translate(run, fixed.batch, direction))
        shown = target if fixed.is_paired else None
        blocks.append(make_block(source, outputs[-1], shown, direction, run.spec))
    return Pictures(
        lambda: fit(sheet(blocks, grid)), lambda: animation(blocks, grid), last_frame(outputs[0])
    )


def fit(picture: Image.Image) -> Image.Image:
    """The picture, shrunk where a side is longer than 4096 pixels; viewers refuse larger ones."""
    picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
    return picture


def last_frame(img: Tensor) -> Tensor:
    """The last frame of clips [N, T, C, H, W], which depends on all others; images as they are."""
    return img[:, -1] if img.ndim == 5 else img


def _translate(run: TrainingRun, batch: Batch, direction: str) -> Tensor:
    """Translations of images [N, C, H, W] or clips [N, T, C, H, W], one at a time."""
    networks, outputs = run_networks(run), []
    source, more = batch[direction.split("_to_")[0]], run.architecture.spec.fields
    for index in range(source.shape[0]):
        request = GenerateRequest(
            [index],
            run.runtime.device,
            source=source[index : index + 1],
            fields={name: batch[name][index : index + 1] for name in more},
            options={"direction": direction},
        )
        with run.runtime.autocast():
            outputs.append(generate(run.architecture, networks, request))
    return torch.cat(outputs)


def _frame_grids(img: Tensor, grid: tuple[int, int]) -> list[Image.Image]:
    """A grid for each frame of clips; none of images."""
    if img.ndim == 4:
        return []
    return [image_grid(showable(frame), *grid) for frame in img.unbind(1)[:MAX_FRAMES]]
