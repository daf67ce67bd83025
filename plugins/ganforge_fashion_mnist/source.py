"""The 10,000 images of Fashion-MNIST that come with this plugin, as a data source."""

from collections.abc import Iterator, Sequence

from PIL import Image

from ganforge.api import ComponentOptions, Sample, Source
from ganforge_fashion_mnist.idx import shipped_split

CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


class FashionMnist(Source[ComponentOptions]):
    """Fashion-MNIST's test split: 10,000 gray 28x28 images of clothing in ten even classes.

    Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; MIT license.
    """

    name = "fashion_mnist"

    def class_names(self) -> Sequence[str]:
        """The ten kinds of clothing, in label order."""
        return CLASS_NAMES

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """All images with their labels, in the order of the original file."""
        images, labels = shipped_split()
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            fields = {"image": Image.fromarray(image), "label": int(label)}
            yield Sample(f"{index:05d}", fields)

    def num_samples(self) -> int:
        """Number of images."""
        return 10_000
