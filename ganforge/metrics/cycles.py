"""Cycle error: how far an image is from itself, translated there and back."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganforge.config.models import StrictModel
from ganforge.imaging.images import from_uint8, to_uint8
from ganforge.interfaces.batch import full_precision
from ganforge.interfaces.metric import CycleMetric
from ganforge.metrics.features import as_frames, gather_rows, like_samples, plan_batches
from ganforge.metrics.view import View
from ganforge.training.runtime import Runtime

_Key = tuple[int, str]
"""Number of a metric, and name of one of its values."""


class CycleError(CycleMetric[StrictModel]):
    """Mean absolute difference of a source and its translation there and back, 0 to 2.

    It is the cycle-consistency loss of CycleGAN without its weight, on images rounded to 8 bits.
    Of label maps it counts one-hot channels. A model that changes nothing has no error: read it
    beside a metric of the translations.

    Source: Zhu et al. 2017, arXiv:1703.10593, Eq. 2.
    """

    name = "cycle_error"

    def compare(self, source: Tensor, back: Tensor) -> dict[str, Tensor]:
        """`cycle_error` [N]."""
        error = (back.double() - source.double()).abs()
        return {"cycle_error": error.flatten(1).mean(1)}


@torch.no_grad()
def measure_cycles(
    metrics: Sequence[CycleMetric[Any]], view: View, runtime: Runtime
) -> list[dict[str, Tensor]]:
    """The values of each metric for the first `view.num_gen` sources.

    Returns:
        For each metric its values by name, [images] on the CPU; empty on ranks other than 0.
    """
    batch = view.samples_per_batch(view.num_gen)
    plan = plan_batches(view.num_gen, batch, runtime.rank, runtime.world_size)
    rows = (_compare_all(metrics, *_cycle(view, indices)) for indices in plan)
    found: list[dict[str, Tensor]] = [{} for _ in metrics]
    for (number, name), values in gather_rows(rows, view.num_gen, batch, runtime).items():
        found[number][name] = values.flatten()
    return found


def _cycle(view: View, indices: range) -> tuple[Tensor, Tensor]:
    """Sources, and what they are after both directions: [n, C, H, W] or [n, T, C, H, W]."""
    request = view.requests(indices)
    assert request.source is not None  # a direction has sources
    made = from_uint8(to_uint8(view.model.generate(request))).to(request.device)
    (direction,) = (one for one in view.model.directions if one != view.direction)
    back = replace(request, source=made, options={"direction": direction}, state={})
    return request.source, from_uint8(to_uint8(view.model.generate(back))).to(request.device)


def _compare_all(
    metrics: Sequence[CycleMetric[Any]], source: Tensor, back: Tensor
) -> dict[_Key, Tensor]:
    with full_precision(back):
        return {
            (number, name): like_samples(value, source)
            for number, metric in enumerate(metrics)
            for name, value in metric.compare(as_frames(source), as_frames(back)).items()
        }
