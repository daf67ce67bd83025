"""Fashion-MNIST for ganforge: 10,000 images, and the feature network that measures them."""

from typing import Any

from ganforge.api import FeatureExtractor, Source, hookimpl
from ganforge_fashion_mnist.extractor import FashionMnistFeatures
from ganforge_fashion_mnist.source import FashionMnist


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The images."""
    return [FashionMnist]


@hookimpl
def ganforge_feature_extractors() -> list[type[FeatureExtractor[Any]]]:
    """The network that measures generators of them."""
    return [FashionMnistFeatures]
