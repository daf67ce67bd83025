"""Measuring generators: features, pairs of images and clips, and numbers with their provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.interfaces.component import hookimpl

if TYPE_CHECKING:
    from ganforge.interfaces.metric import FeatureExtractor, Metric


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """Metrics of features, which torch-fidelity computes, of image pairs, clips and cycles."""
    from ganforge.metrics.clip_scores import DtSsd
    from ganforge.metrics.cycles import CycleError
    from ganforge.metrics.lpips import Lpips
    from ganforge.metrics.pair_scores import Psnr, Ssim
    from ganforge.metrics.scores import (
        FrechetDistance,
        FrechetDistanceOfHalves,
        InceptionScore,
        KernelDistance,
        PrecisionRecall,
    )

    of_features: list[type[Metric[Any]]] = [
        FrechetDistance,
        FrechetDistanceOfHalves,
        InceptionScore,
        KernelDistance,
        PrecisionRecall,
    ]
    return [*of_features, Psnr, Ssim, Lpips, DtSsd, CycleError]


@hookimpl
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """The Inception network that published numbers use."""
    from ganforge.metrics.extractors import InceptionV3

    return [InceptionV3]
