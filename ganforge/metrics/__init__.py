"""Measuring generators: features, pairs of images and clips, and numbers with their provenance.

The registry loads this module, so it imports no heavy library; `evaluate` is in `evaluation`.
"""

from typing import Any

from ganforge.interfaces.component import hookimpl
from ganforge.interfaces.metric import FeatureExtractor, Metric
from ganforge.interfaces.metric_record import MetricRecord
from ganforge.metrics.clip_scores import DtSsd
from ganforge.metrics.extractors import InceptionV3
from ganforge.metrics.pair_scores import Psnr, Ssim
from ganforge.metrics.scores import FrechetDistance, InceptionScore, KernelDistance, PrecisionRecall

__all__ = ["MetricRecord", "ganforge_feature_extractors", "ganforge_metrics"]


@hookimpl
def ganforge_metrics() -> list[type[Metric[Any]]]:
    """Metrics of features, which torch-fidelity computes, of image pairs and of clips."""
    of_features: list[type[Metric[Any]]] = [
        FrechetDistance,
        InceptionScore,
        KernelDistance,
        PrecisionRecall,
    ]
    return [*of_features, Psnr, Ssim, DtSsd]


@hookimpl
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """The Inception network that published numbers use."""
    return [InceptionV3]
