"""From features, or from values of pairs, to records. Runs on rank 0, which has them."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ganforge import __version__
from ganforge.errors import MetricError
from ganforge.interfaces.metric import FeatureMetric, Metric, PairMetric
from ganforge.metrics.features import Output
from ganforge.metrics.records import MetricRecord
from ganforge.metrics.view import View

log = logging.getLogger(__name__)


def score_features(
    metric: FeatureMetric[Any], output: Output, gen: Tensor, real: Tensor | None, view: View
) -> list[MetricRecord]:
    """The records of a metric of features, of generated [N, D] and real images [M, D].

    `real` is None where no metric compares with real images.

    Raises:
        MetricError: features or values are NaN or infinite.
    """
    if real is None or not metric.needs_real:
        real = gen.new_zeros(0, gen.shape[1])
    for what, features in (("generated", gen), ("real", real)):
        _check_finite(features, f"Features of {what} images", output, view)
    caveats = list(metric.caveats(gen, real))
    extractor = output.extractor
    if extractor.name in view.model.seen_features:
        caveats.append(
            f"the model was trained against features of '{extractor.name}', which flatters it; "
            f"judge it by another extractor"
        )
    return _records(
        metric,
        metric.compute(gen, real),
        view,
        caveats,
        n_gen=view.num_gen,
        n_real=len(view.real) if metric.needs_real else 0,
        extractor=extractor.name,
        extractor_sha256=extractor.sha256,
        resize=extractor.resize,
        precision=extractor.precision,
        compiled=extractor.compiled,
    )


def score_pairs(
    metric: PairMetric[Any], values: Mapping[str, Tensor], view: View
) -> list[MetricRecord]:
    """The records of a metric of pairs from its values over all pairs, by name.

    Raises:
        MetricError: a value is NaN or infinite.
    """
    count = len(view.real)
    caveats = metric.caveats(values)
    return _records(metric, metric.compute(values), view, caveats, n_gen=count, n_real=count)


def _check_finite(features: Tensor, what: str, output: Output, view: View) -> None:
    if not features.isfinite().all():
        raise MetricError(
            f"{what} are NaN or infinite in the output '{output.name}' of "
            f"'{output.extractor.name}' (nimg={view.model.nimg}). Set the extractor's precision "
            f"to fp32, or measure an earlier checkpoint."
        )


def _records(
    metric: Metric[Any],
    values: Mapping[str, float],
    view: View,
    caveats: Sequence[str] = (),
    *,
    n_real: int,
    **provenance: Any,
) -> list[MetricRecord]:
    """One record per value; caveats are logged too."""
    for caveat in caveats:
        log.warning("%s: %s.", metric.name, caveat)
    for name, value in values.items():
        if not math.isfinite(value):
            raise MetricError(
                f"{metric.name} came out as {name}={value} (nimg={view.model.nimg}): what it is "
                f"computed from is degenerate. Look at the samples, and use more images."
            )
    return [
        MetricRecord(
            metric=metric.name,
            name=name,
            value=value,
            lower_is_better=metric.lower_is_better,
            options=metric.config.model_dump(mode="json"),
            n_real=n_real,
            num_frames=view.real.num_frames,
            reference=view.real.digest if n_real else "",
            split=view.real.split if n_real else "",
            direction=view.direction,
            needs=metric.needs,
            ema=view.model.ema,
            truncation=view.config.truncation,
            seed=view.config.seed,
            nimg=view.model.nimg,
            num_standing=view.model.num_standing,
            caveats=tuple(caveats),
            ganforge_version=__version__,
            **provenance,
        )
        for name, value in values.items()
    ]
