"""Fashion-MNIST for ganforge: 10,000 images, and the feature network that measures them."""

from typing import Any

from ganforge.components import Source, hookimpl
from ganforge_fashion_mnist.source import FashionMnist


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """The data."""
    return [FashionMnist]
