"""Features of many images, extracted by all ranks with bounded memory, in index order.

Batch b of an image set is the same images for any number of ranks: rank r takes batches r,
r + world_size, ... and after each round rank 0 keeps the features in order. So images never pile
up, and 1 rank and N ranks give the same features. A sample is an image or, of video, a clip, each
frame of which has features. Shapes: N images, T frames of a clip, D features.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ganforge.errors import MetricError, PluginContractError
from ganforge.imaging.channels import composite
from ganforge.imaging.images import to_uint8
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.metric import FeatureExtractor
from ganforge.training.runtime import Runtime
from ganforge.training.signals import stop_signals

ImageBatches = Callable[[Sequence[range]], Iterator[Tensor]]
"""Ranges of indices -> their samples, uint8 [n, C, H, W] or [n, T, C, H, W] per range."""
Extractor = FeatureExtractor[Any]
Key = TypeVar("Key")


class Output(NamedTuple):
    """One output of an extractor, such as the pooled features of Inception."""

    extractor: Extractor
    name: str


@torch.no_grad()
def extract_features(
    images: ImageBatches,
    count: int,
    outputs: Sequence[Output],
    runtime: Runtime,
    batch_size: int,
    num_frames: int = 1,
) -> dict[Output, Tensor]:
    """Features of `count` samples of `num_frames`, for each output, on the CPU of rank 0.

    Samples are read or generated once, and pass each extractor once, whatever the outputs. The
    extractors are in eval mode on the runtime's device; each forward takes at most `batch_size`
    images.

    Returns:
        Features by output, float32 [count * num_frames, D], frames of a clip one after the other;
        an empty mapping on the other ranks.

    Raises:
        MetricError: the images are unusable.
        PluginContractError: an extractor does not return an output that it declares.
    """
    batch = samples_per_batch(batch_size, count, num_frames)
    plan = plan_batches(count, batch, runtime.rank, runtime.world_size)
    size = min(batch_size, batch * num_frames)
    found = (_of_samples(img.to(runtime.device), outputs, size) for img in images(plan))
    gathered = gather_rows(found, count, batch, runtime)
    return {output: rows.flatten(0, -2) for output, rows in gathered.items()}


def samples_per_batch(batch_size: int, count: int, num_frames: int) -> int:
    """The samples that hold about `batch_size` images: at least one clip, at most all `count`."""
    return min(count, max(1, batch_size // num_frames))


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


def gather_rows(
    batches: Iterable[Mapping[Key, Tensor]], count: int, batch: int, runtime: Runtime
) -> dict[Key, Tensor]:
    """What all ranks computed for `plan_batches`, in index order, on the CPU of rank 0.

    Args:
        batches: for each range of this rank's plan, tensors [n, ...] of the same keys.
        count: rows over all ranks.
        batch: rows of a full range.
        runtime: device and ranks.

    A signal that stops the evaluation does so on all ranks after the same batch.

    Returns:
        [count, ...] by key, float64 where a batch holds float64, else float32; an empty mapping on
        the other ranks.
    """
    kept: list[Tensor] = []
    shapes: dict[Key, torch.Size] = {}
    for rows in batches:
        shapes = {key: value.shape[1:] for key, value in rows.items()}
        flat = torch.cat([_real(value).reshape(len(value), -1) for value in rows.values()], dim=1)
        vote = flat.new_full((len(flat), 1), float(stop_signals.wants_stop))
        gathered = runtime.gather(_pad(torch.cat([flat, vote], dim=1), batch))
        if gathered[:, -1].any():
            stop_signals.stop()
        if runtime.is_main:
            kept.append(gathered[:, :-1].cpu())
    if not runtime.is_main:
        return {}
    # Only the end of the last round holds padding: all ranges before are full and in order.
    widths = [math.prod(shape) for shape in shapes.values()]
    columns = torch.split(torch.cat(kept)[:count], widths, dim=1)
    return {
        key: column.reshape(count, *shape).contiguous()
        for (key, shape), column in zip(shapes.items(), columns, strict=True)
    }


def _real(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _pad(rows: Tensor, count: int) -> Tensor:
    """`count` rows; the last one is repeated where there are fewer."""
    missing = count - rows.shape[0]
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows


def as_frames(samples: Tensor) -> Tensor:
    """The frames [n * T, ...] of clips [n, T, C, H, W]; images [n, C, H, W] as they are."""
    return samples.flatten(0, -4)


def like_samples(values: Tensor, samples: Tensor) -> Tensor:
    """Values of `as_frames(samples)`, [n, ...] of images or [n, T, ...] of clips."""
    return values.reshape(*samples.shape[:-3], *values.shape[1:])


def _of_samples(samples: Tensor, outputs: Sequence[Output], size: int) -> dict[Output, Tensor]:
    """Features [n, D] of images or [n, T, D] of clips, by output; `size` images at a time."""
    parts = [_forward(img, outputs, size) for img in torch.split(as_frames(samples), size)]
    return {one: like_samples(torch.cat([p[one] for p in parts]), samples) for one in outputs}


def _forward(img: Tensor, outputs: Sequence[Output], size: int) -> dict[Output, Tensor]:
    """Features [n, D] by output; a short batch is padded, as a compiled network prefers."""
    check_images(img)
    count, img = len(img), _pad(over_white(img), size)
    with full_precision(img):
        extractors = dict.fromkeys(one.extractor for one in outputs)
        found = {extractor: extractor(img) for extractor in extractors}
    for extractor, name in outputs:
        if name not in found[extractor]:
            raise PluginContractError(
                f"The feature extractor '{extractor.name}' declares the output '{name}', but its "
                f"`forward` returned only {', '.join(sorted(found[extractor]))}. Correct its "
                f"`outputs` or its `forward`."
            )
    return {one: found[one.extractor][one.name][:count] for one in outputs}


def check_images(img: Tensor) -> None:
    """Raise a MetricError for what is not uint8 [N, C, H, W] with 1, 3 or 4 channels."""
    if img.ndim != 4 or img.shape[1] not in (1, 3, 4) or img.dtype != torch.uint8:
        raise MetricError(
            f"Images of shape {list(img.shape)} and type {img.dtype} cannot be measured; they "
            f"must be uint8 [N, C, H, W] with 1, 3 or 4 channels."
        )


def over_white(img: Tensor) -> Tensor:
    """RGB of RGBA images [N, 4, H, W] uint8 over white; gray and RGB are returned unchanged."""
    if img.shape[1] != 4:
        return img
    return composite(img[:, :3].float(), img[:, 3:].float() / 255, 255.0).round().to(torch.uint8)


def as_bytes(img: Tensor, seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Generated samples, in [-1, 1] or uint8, as uint8 [n, *shape].

    `shape` is that of the real samples: (C, H, W), or (T, C, H, W) of clips.

    Raises:
        MetricError: they have another shape, or pixels that are NaN or infinite.
    """
    expected = [len(seeds), *shape]
    if list(img.shape) != expected:
        raise MetricError(
            f"The generator returned images {list(img.shape)} where {expected} was expected: the "
            f"reference has {describe_shape(shape)}. Prepare evaluate.reference with the size and "
            f"channels of the model."
        )
    if img.dtype == torch.uint8:
        return img
    if not img.isfinite().all():
        raise MetricError(
            f"The generator returned NaN or infinite pixels for seeds {seeds[0]} to {seeds[-1]}. "
            f"Measure an earlier checkpoint."
        )
    return to_uint8(img)


def describe_shape(shape: Sequence[int]) -> str:
    """(C, H, W) or (T, C, H, W) in words: "3 channels of 256x256 pixels, clips of 8 frames"."""
    channels, height, width = shape[-3:]
    clips = f", clips of {shape[0]} frames" if len(shape) == 4 else ""
    return f"{channels} channels of {height}x{width} pixels{clips}"
