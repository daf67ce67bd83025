"""A source of synthetic images: stripes in two directions, which are the classes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ganforge.api import ComponentOptions, Field, Sample, Source, hookimpl


class StripesConfig(ComponentOptions):
    """Options of stripes."""

    count: int = Field(64, gt=0, description="Number of images.")
    size: int = Field(16, gt=0, description="Height and width, in pixels.")


class Stripes(Source[StripesConfig]):
    """Synthetic stripes: class 0 is horizontal, class 1 vertical."""

    name, Config = "stripes", StripesConfig

    def class_names(self) -> Sequence[str]:
        """The two directions."""
        return ("horizontal", "vertical")

    def num_samples(self) -> int:
        """Number of images."""
        return self.config.count

    def samples(self, stream: str = "main") -> Iterator[Sample]:
        """All images, alternating between the classes."""
        for index in range(self.config.count):
            label = index % 2
            row = (np.arange(self.config.size) + index // 2) // 2 % 2 * 255
            pixels = np.broadcast_to(row.astype(np.uint8), (self.config.size, self.config.size))
            pixels = pixels if label else pixels.T
            yield Sample(f"{index:05d}", {"image": np.ascontiguousarray(pixels), "label": label})


@hookimpl
def ganforge_sources() -> list[type[Source[Any]]]:
    """Register stripes."""
    return [Stripes]
