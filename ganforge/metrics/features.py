"""Features of many images, extracted by all ranks with bounded memory, in index order.

Batch b of an image set is the same images for any number of ranks: rank r takes batches r,
r + world_size, ... and after each round rank 0 keeps the features in order. So images never pile
up, and 1 rank and N ranks give the same features. Shapes: N images, D features of a layer.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.errors import MetricError
from ganforge.imaging.images import composite, to_uint8
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.metric import FeatureExtractor
from ganforge.training.runtime import Runtime

ImageBatches = Callable[[Sequence[range]], Iterator[Tensor]]
"""Ranges of indices -> their images, one uint8 [n, C, H, W] per range."""
Extractor = FeatureExtractor[Any]


@torch.no_grad()
def extract_features(
    images: ImageBatches,
    count: int,
    extractor: Extractor,
    layers: Sequence[str],
    runtime: Runtime,
    batch_size: int,
) -> dict[str, Tensor]:
    """Features of `count` images by layer: float32 [count, D] on the CPU of rank 0.

    Args:
        images: gives the images of ranges of indices below `count`.
        count: number of images.
        extractor: in eval mode, on the runtime's device.
        layers: layers to keep.
        runtime: device and ranks.
        batch_size: images per forward on each rank.

    Returns:
        Features by layer; an empty mapping on the other ranks.

    Raises:
        MetricError: the extractor lacks a layer, or the images or features are unusable.
    """
    batch = min(batch_size, count)
    kept: list[Tensor] = []
    widths: list[int] = []
    for img in images(plan_batches(count, batch, runtime.rank, runtime.world_size)):
        found = _forward(img.to(runtime.device), extractor, layers, batch)
        widths = [features.shape[1] for features in found]
        gathered = runtime.gather(torch.cat(found, dim=1))
        if runtime.is_main:
            kept.append(gathered.cpu())
    if not runtime.is_main:
        return {}
    # Only the end of the last round holds padding: all ranges before are full and in order.
    columns = torch.split(torch.cat(kept)[:count], widths, dim=1)
    return {layer: column.contiguous() for layer, column in zip(layers, columns, strict=True)}


def plan_batches(count: int, batch: int, rank: int, world_size: int) -> list[range]:
    """The ranges of indices that a rank takes, one per round; every rank has as many.

    A rank without images in the last round repeats the last image, so that all can gather.
    """
    return [
        range(start, min(start + batch, count)) or range(count - 1, count)
        for start in range(batch * rank, _round_up(count, batch * world_size), batch * world_size)
    ]


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _forward(img: Tensor, extractor: Extractor, layers: Sequence[str], batch: int) -> list[Tensor]:
    """Features [batch, D] per layer; a short batch is padded, as a compiled network prefers."""
    _check_images(img)
    missing = batch - img.shape[0]
    img = over_white(img)
    if missing:
        img = torch.cat([img, img[-1:].expand(missing, *img.shape[1:])])
    with full_precision(img):
        found = extractor(img)
    for layer in layers:
        if layer not in found:
            raise MetricError(
                f"The feature extractor '{extractor.name}' gave no layer '{layer}', only "
                f"{', '.join(sorted(found))}. Correct its `layers`, or choose another "
                f"evaluate.extractor."
            )
    return [found[layer].float() for layer in layers]


def _check_images(img: Tensor) -> None:
    if img.ndim != 4 or img.shape[1] not in (1, 3, 4) or img.dtype != torch.uint8:
        raise MetricError(
            f"Images of shape {list(img.shape)} and type {img.dtype} cannot be measured; they "
            f"must be uint8 [N, C, H, W] with 1, 3 or 4 channels. For video, measure frames."
        )


def over_white(img: Tensor) -> Tensor:
    """RGB of RGBA images [N, 4, H, W] uint8 over white; grey and RGB are returned unchanged."""
    if img.shape[1] != 4:
        return img
    return composite(img[:, :3].float(), img[:, 3:].float() / 255, 255.0).round().to(torch.uint8)


def generated(
    generate: Callable[[Sequence[int]], Tensor], seed: int, shape: tuple[int, int, int]
) -> ImageBatches:
    """The generated images: image i comes from `seed + i`.

    Args:
        generate: seeds -> images [n, C, H, W] in [-1, 1], or uint8.
        seed: seed of image 0.
        shape: (C, H, W) of the real images that they are compared with.
    """

    def batches(plan: Sequence[range]) -> Iterator[Tensor]:
        for indices in plan:
            seeds = [seed + i for i in indices]
            yield _checked(generate(seeds), seeds, shape)

    return batches


def _checked(img: Tensor, seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """Generated images as bytes, in the shape of the real ones."""
    expected = [len(seeds), *shape]
    if list(img.shape) != expected:
        raise MetricError(
            f"The generator gave images {list(img.shape)} where {expected} was expected: the "
            f"reference has {shape[0]} channels of {shape[1]}x{shape[2]} pixels. Prepare "
            f"evaluate.reference with the size and channels of the model."
        )
    if img.dtype == torch.uint8:
        return img
    if not img.isfinite().all():
        raise MetricError(
            f"The generator gave NaN or infinite pixels for seeds {seeds[0]} to {seeds[-1]}. "
            f"Measure an earlier checkpoint."
        )
    return to_uint8(img)
