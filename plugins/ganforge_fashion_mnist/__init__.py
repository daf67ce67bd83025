"""Fashion-MNIST for ganforge: 10,000 images, and the feature network that measures them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import FeatureExtractor, Source


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The images."""
    from ganforge_fashion_mnist.source import FashionMnist

    return [FashionMnist]


@hookimpl
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """The network that measures generators of them."""
    from ganforge_fashion_mnist.extractor import FashionMnistFeatures

    return [FashionMnistFeatures]
