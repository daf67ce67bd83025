"""Pair and clip metrics: every output of a translator beside its target, matched by index."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.data.loader import in_8_bits
from ganforge.data.shards.index import FieldSchema
from ganforge.errors import MetricError, PluginContractError
from ganforge.imaging.images import from_uint8
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.metric import ClipMetric, PairMetric
from ganforge.metrics.features import as_bytes, as_frames, gather_rows, like_samples, plan_batches
from ganforge.metrics.requests import direction_fields
from ganforge.metrics.view import View
from ganforge.training.runtime import Runtime

_Key = tuple[int, str]
"""Number of a metric, and name of one of its values."""


def check_paired(
    metric: PairMetric[Any], direction: str, fields: Mapping[str, FieldSchema], where: str
) -> None:
    """Refuse a reference, at `where`, that cannot give the pairs of a direction.

    `fields` are those of the reference, by name.

    Raises:
        MetricError: a field is missing, the two are in separate streams, or the metric needs clips
            and these are images.
    """
    names = direction_fields(direction)
    missing = [name for name in names if name not in fields]
    streams = {fields[name].stream for name in names if name in fields}
    if missing or len(streams) > 1:
        fault = f"has no field '{missing[0]}'" if missing else "is unpaired"
        raise MetricError(
            f"The metric '{metric.name}' compares each translation with its target, but the "
            f"reference at {where} {fault}. Set evaluate.reference to paired data, whose samples "
            f"have both '{names[0]}' and '{names[1]}', or leave the metric out of evaluate.metrics."
        )
    if isinstance(metric, ClipMetric) and not fields[names[1]].is_clip:
        raise MetricError(
            f"The metric '{metric.name}' compares clips, but '{names[1]}' of the reference at "
            f"{where} holds still images. Leave the metric out of evaluate.metrics."
        )


@torch.no_grad()
def measure_pairs(
    metrics: Sequence[PairMetric[Any]], view: View, runtime: Runtime
) -> list[dict[str, Tensor]]:
    """The values of each metric for all pairs; the metrics share one translation of each source.

    Returns:
        For each metric its values by name, [pairs, ...] on the CPU; empty on ranks other than 0.
        Frames of clips are pairs, except for clip metrics.

    Raises:
        MetricError: the translations have another size than the targets, or NaN pixels.
        PluginContractError: a metric does not return one value for each pair.
    """
    count = len(view.real)
    batch = view.samples_per_batch(count)
    plan = plan_batches(count, batch, runtime.rank, runtime.world_size)
    rows = (_compare_all(metrics, *_pairs(view, indices, runtime), view) for indices in plan)
    found: list[dict[str, Tensor]] = [{} for _ in metrics]
    for (number, name), values in gather_rows(rows, count, batch, runtime).items():
        is_by_frame = view.real.is_video and not isinstance(metrics[number], ClipMetric)
        found[number][name] = values.flatten(0, 1) if is_by_frame else values
    return found


def _pairs(view: View, indices: range, runtime: Runtime) -> tuple[Tensor, Tensor, Tensor]:
    """Sources, their translations and targets, on the device."""
    field = view.real.field
    # One read for both fields: a sample that stands in for a bad one does so in both.
    samples = view.requests.samples(indices, field)
    request = view.requests.request(indices, samples)
    made = as_bytes(view.model.generate(request), request.seeds, view.real.shape)
    assert request.source is not None  # a direction has sources
    wanted = in_8_bits(samples[field])
    output, target = (from_uint8(img).to(runtime.device) for img in (made, wanted))
    return request.source, output, target


def _compare_all(
    metrics: Sequence[PairMetric[Any]], source: Tensor, output: Tensor, target: Tensor, view: View
) -> dict[_Key, Tensor]:
    """Values [n, ...] of each pair, [n, T, ...] of pairs of frames, by metric and name."""
    found: dict[_Key, Tensor] = {}
    for number, metric in enumerate(metrics):
        if isinstance(metric, ClipMetric):
            values = _compare(metric, source, output, target)
        else:
            values = _compare_frames(metric, source, output, target, view.config.batch_size)
        found |= {(number, name): value for name, value in values.items()}
    return found


def _compare_frames(
    metric: PairMetric[Any], source: Tensor, output: Tensor, target: Tensor, size: int
) -> dict[str, Tensor]:
    """Values [n, ...] of images or [n, T, ...] of the frames of clips, `size` at a time."""
    if source.ndim < output.ndim:  # a still image that becomes a clip
        source = source.unsqueeze(1).expand(-1, output.shape[1], -1, -1, -1)
    batches = [torch.split(as_frames(img), size) for img in (source, output, target)]
    parts = [_compare(metric, *batch) for batch in zip(*batches, strict=True)]
    return {
        name: like_samples(torch.cat([part[name] for part in parts]), output) for name in parts[0]
    }


def _compare(
    metric: PairMetric[Any], source: Tensor, output: Tensor, target: Tensor
) -> dict[str, Tensor]:
    """What `compare` returns, checked."""
    with full_precision(output):
        values = metric.compare(source, output, target)
    for name, value in values.items():
        if value.ndim == 0 or len(value) != len(output):
            raise PluginContractError(
                f"The metric '{metric.name}' returned {name} of shape {list(value.shape)} for "
                f"{len(output)} pairs; `compare` must return one value for each pair."
            )
    return values
