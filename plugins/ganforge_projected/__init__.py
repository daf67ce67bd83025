"""Projected GAN: discriminators on frozen features. Source: Sauer et al. 2021, arXiv:2111.01007."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture, FeatureExtractor


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the projected GAN."""
    from ganforge_projected.architecture import ProjectedGan

    return [ProjectedGan]


@hookimpl
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """Register timm's networks."""
    from ganforge_projected.timm_features import TimmFeatures

    return [TimmFeatures]
