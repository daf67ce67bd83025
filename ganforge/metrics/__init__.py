"""Measuring generators: features, pairs of images and clips, and numbers with their provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.interfaces.component import hookimpl

if TYPE_CHECKING:
    from ganforge.interfaces.metric import FeatureExtractor, Metric


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """Metrics of features, which torch-fidelity computes, of image pairs and of clips."""
    from ganforge.metrics.clip_scores import DtSsd
    from ganforge.metrics.pair_scores import Psnr, Ssim
    from ganforge.metrics.scores import (
        FrechetDistance,
        InceptionScore,
        KernelDistance,
        PrecisionRecall,
    )

    return [FrechetDistance, InceptionScore, KernelDistance, PrecisionRecall, Psnr, Ssim, DtSsd]


@hookimpl
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """The Inception network that published numbers use."""
    from ganforge.metrics.extractors import InceptionV3

    return [InceptionV3]
