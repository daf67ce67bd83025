"""Pictures of a run: fixed seeds or fixed source images through the averaged networks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ganforge.batch import Batch, GenerateRequest, ImageSpec
from ganforge.components import Architecture
from ganforge.images import image_grid
from ganforge.training.run_state import TrainingRun
from ganforge.training.standing import generating_networks

CONDITIONS = ("attributes", "text")
"""Fields of a request that only data can fill; labels are drawn."""


@torch.no_grad()
def generate(
    architecture: Architecture[Any],
    networks: Mapping[str, nn.Module],
    spec: ImageSpec,
    request: GenerateRequest,
) -> Tensor:
    """Images [N, C, H, W] float32 for a request; labels are drawn when none are given."""
    if request.label is None and spec.num_classes:
        request.label = request.random_label(spec.num_classes)
    return architecture.generate(networks, request).float()


def grid_labels(count: int, columns: int, num_classes: int, device: torch.device) -> Tensor | None:
    """One class per column, so that classes can be compared: [count, num_classes] one-hot."""
    if num_classes == 0:
        return None
    index = torch.arange(count, device=device) % columns % num_classes
    return functional.one_hot(index, num_classes).float()


def sample_batches(
    run: TrainingRun, fixed: Batch | None = None, micro_batch: int = 64
) -> Iterator[Tensor]:
    """Images of the fixed seeds 0, 1, ..., in batches.

    Args:
        run: the run.
        fixed: real samples, whose attributes and captions are drawn in turn.
        micro_batch: images at a time.
    """
    rows, columns = run.config.train.sample_grid
    device = run.runtime.device
    labels = grid_labels(rows * columns, columns, run.spec.num_classes, device)
    networks = run_networks(run)
    for start in range(0, rows * columns, micro_batch):
        seeds = range(start, min(start + micro_batch, rows * columns))
        label = None if labels is None else labels[seeds.start : seeds.stop]
        request = GenerateRequest(seeds, device, label=label)
        for name in CONDITIONS:
            if fixed is not None and name in fixed.fields:
                setattr(request, name, fixed[name][[seed % fixed.size for seed in seeds]])
        with run.runtime.autocast():
            yield generate(run.architecture, networks, run.spec, request)


def run_networks(run: TrainingRun) -> dict[str, nn.Module]:
    """The networks that a run generates with at this step."""
    config = run.config.train.standing_statistics
    return generating_networks(run.architecture, run.ema.networks, run.spec, config)


def sample_images(run: TrainingRun, fixed: Batch | None = None) -> Tensor:
    """The sample grid's images [N, C, H, W] of a noise-to-image run."""
    return torch.cat(list(sample_batches(run, fixed)))


def translate_images(run: TrainingRun, batch: Batch, direction: str) -> tuple[Tensor, Tensor]:
    """Fixed images of one domain and their translations, each [N, C, H, W].

    Of frame sequences, the last frames: those that follow the longest past.
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
            outputs.append(generate(run.architecture, networks, run.spec, request))
    return last_frame(source), last_frame(torch.cat(outputs))


def last_frame(img: Tensor) -> Tensor:
    """The last frame of sequences [N, T, C, H, W]; images [N, C, H, W] as they are."""
    return img[:, -1] if img.ndim == 5 else img


def sample_grid(run: TrainingRun, fixed: Batch | None) -> tuple[Image.Image, Tensor]:
    """The sample picture, and the generated images in it.

    Translations show each input above its output, direction by direction.

    Args:
        run: the run.
        fixed: real samples: images to translate, attributes and captions to draw.
    """
    rows, columns = run.config.train.sample_grid
    if not run.architecture.translates or fixed is None:
        img = last_frame(sample_images(run, fixed))
        return image_grid(img, rows, columns), img
    strips, made = [], []
    for direction in run.architecture.translates:
        source, output = translate_images(run, fixed, direction)
        made.append(output)
        strips.append(_alternate(source[: columns * rows], output[: columns * rows], columns))
    return _stack(strips), made[0]


def _alternate(source: Tensor, output: Tensor, columns: int) -> Image.Image:
    parts = []
    for start in range(0, len(source), columns):
        for img in (source, output):
            parts.append(image_grid(img[start : start + columns], 1, columns))
    return _stack(parts)


def _stack(parts: Sequence[Image.Image]) -> Image.Image:
    picture = Image.new(
        "RGB", (max(p.width for p in parts), sum(p.height for p in parts)), (255, 255, 255)
    )
    top = 0
    for part in parts:
        picture.paste(part.convert("RGB"), (0, top))
        top += part.height
    return picture
