"""Frequency bands and sampling rates of the layers of StyleGAN3.

Frequencies are in cycles, and sampling rates in samples, per short side of the image.

Source: Karras et al. 2021, arXiv:2106.12423, Sec. 3.2.
"""

from dataclasses import dataclass

from ganforge.api import ConfigError, ImageSpec
from ganforge.layers import base_grid

FIRST_CUTOFF = 2.0
"""f_c,0: the first layer has two cycles across the image."""
FIRST_STOPBAND = 2.0**2.1
"""f_t,0: the stopband frequency of the first layer."""
LAST_STOPBAND = 2.0**0.3
"""f_t,N / f_c,N."""
NUM_CRITICAL = 2
"""Number of critically sampled last layers, with frequencies up to half their sampling rate."""
_SMALLEST_SIDE = 10


@dataclass(frozen=True)
class Band:
    """The frequency band of one layer's output.

    Attributes:
        cutoff: f_c, the highest frequency in the passband.
        half_width: f_h, the width of the transition band, from the cutoff to the stopband.
        rate: s, the sampling rate.
        grid: height and width of the features, margins included.
        channels: of the features.
    """

    cutoff: float
    half_width: float
    rate: int
    grid: tuple[int, int]
    channels: int


@dataclass(frozen=True)
class Plan:
    """Sizes of a network: `num_layers` bands and one for the image.

    Attributes:
        spec: format of the images.
        num_layers: N.
        margin: pixels beyond each border.
        channel_base: channels times twice the cutoff.
        channel_max: maximum number of channels.
    """

    spec: ImageSpec
    num_layers: int
    margin: int
    channel_base: int
    channel_max: int

    def bands(self) -> list[Band]:
        """The bands of layers 0 to N; layer N makes the image."""
        return [self._band(index) for index in range(self.num_layers + 1)]

    def _band(self, index: int) -> Band:
        height, width = self.spec.height, self.spec.width
        side = min(height, width)
        progress = min(index / (self.num_layers - NUM_CRITICAL), 1.0)
        cutoff = FIRST_CUTOFF * (side / 2 / FIRST_CUTOFF) ** progress
        stopband = FIRST_STOPBAND * (side / 2 * LAST_STOPBAND / FIRST_STOPBAND) ** progress
        rate = _rate(side, 2 * stopband)
        # The last layer crops the margin, and the image layer keeps the size.
        extra = 2 * self.margin if index < self.num_layers - 1 else 0
        return Band(
            cutoff=cutoff,
            half_width=max(rate / 2, stopband) - cutoff,
            rate=rate,
            grid=(height * rate // side + extra, width * rate // side + extra),
            channels=self.spec.channels
            if index == self.num_layers
            else max(1, min(self.channel_max, round(self.channel_base / 2 / cutoff))),
        )


def _rate(side: int, wanted: float) -> int:
    """The image's sampling rate, halved as long as it stays whole and at least `wanted`."""
    rate = side
    while rate % 2 == 0 and rate // 2 >= wanted:
        rate //= 2
    return rate


def check_size(spec: ImageSpec, name: str) -> tuple[int, int, int]:
    """Refuse sizes that the schedule cannot reach; return the discriminator's `base_grid`.

    Raises:
        ConfigError: doubling does not reach the size, or it is smaller than the first layer.
    """
    grid = base_grid(spec.height, spec.width, name)
    if min(spec.height, spec.width) < _SMALLEST_SIDE:
        raise ConfigError(
            f"data.resolution: '{name}' starts with frequencies up to {FIRST_STOPBAND:.1f} cycles "
            f"an image, which takes {_SMALLEST_SIDE} pixels or more; the images have "
            f"{spec.height}x{spec.width}. Set data.resolution to 16 or more, or use 'stylegan2'."
        )
    return grid
