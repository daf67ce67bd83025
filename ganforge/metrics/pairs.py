"""Pair metrics: every output of a translator beside its target, matched by index."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ganforge.data.shards.index import DatasetIndex
from ganforge.errors import MetricError, PluginContractError
from ganforge.imaging.images import from_uint8
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.metric import PairMetric
from ganforge.metrics.features import as_bytes, gather_rows, plan_batches
from ganforge.metrics.requests import direction_fields
from ganforge.metrics.view import View
from ganforge.training.runtime import Runtime

_Key = tuple[int, str]
"""Number of a metric, and name of one of its values."""


def check_paired(metric: PairMetric[Any], direction: str, index: DatasetIndex, where: str) -> None:
    """Refuse a reference, at `where`, whose samples do not hold both sides of a direction.

    Raises:
        MetricError: a field is missing, or the two are in streams of their own.
    """
    fields = direction_fields(direction)
    missing = [name for name in fields if name not in index.fields]
    streams = {index.fields[name].stream for name in fields if name in index.fields}
    if not missing and len(streams) == 1:
        return
    fault = f"has no field '{missing[0]}'" if missing else "is unpaired"
    raise MetricError(
        f"The metric '{metric.name}' compares each translation with its target, but the reference "
        f"at {where} {fault}. Set evaluate.reference to paired data, whose samples have both "
        f"'{fields[0]}' and '{fields[1]}', or leave the metric out of evaluate.metrics."
    )


@torch.no_grad()
def measure_pairs(
    metrics: Sequence[PairMetric[Any]], view: View, runtime: Runtime
) -> list[dict[str, Tensor]]:
    """The values of each metric for all pairs; the metrics share one translation of each source.

    Returns:
        For each metric its values by name, float32 [pairs, ...] on the CPU; empty on ranks
        other than 0.

    Raises:
        MetricError: the translations have another size than the targets, or NaN pixels.
        PluginContractError: a metric does not return one value for each pair.
    """
    real = view.real
    batch = min(view.config.batch_size, len(real))
    plan = plan_batches(len(real), batch, runtime.rank, runtime.world_size)

    def rows() -> Iterator[dict[_Key, Tensor]]:
        for indices in plan:
            # One read for both fields: a sample that stands in for a bad one does so in both.
            samples = view.requests.samples(indices, real.field)
            request = view.requests.request(indices, samples)
            made = as_bytes(view.model.generate(request), request.seeds, real.shape)
            output, target = (
                from_uint8(img).to(runtime.device) for img in (made, samples[real.field])
            )
            assert request.source is not None  # a direction has sources
            yield _compare(metrics, request.source, output, target)

    gathered = gather_rows(rows(), len(real), batch, runtime)
    found: list[dict[str, Tensor]] = [{} for _ in metrics]
    for (number, name), values in gathered.items():
        found[number][name] = values
    return found


def _compare(
    metrics: Sequence[PairMetric[Any]], source: Tensor, output: Tensor, target: Tensor
) -> dict[_Key, Tensor]:
    found: dict[_Key, Tensor] = {}
    for number, metric in enumerate(metrics):
        with full_precision(output):
            values = metric.compare(source, output, target)
        for name, value in values.items():
            if value.ndim == 0 or len(value) != len(output):
                raise PluginContractError(
                    f"The metric '{metric.name}' returned {name} of shape {list(value.shape)} for "
                    f"{len(output)} pairs; `compare` must return one value for each pair."
                )
            found[number, name] = value
    return found
