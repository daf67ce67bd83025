"""Derivations: sources of a translation that are made from its images."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.interfaces.component import Component, ConfigT

Floats = NDArray[np.floating[Any]]


class Derivation(Component[ConfigT]):
    """Makes the source of a translation from the image: edges, gray, noise, a mask, ...

    Training derives sources as it loads images, after cropping and mirroring; `translate` derives
    them from the images that it is given.
    """

    kind = "derivation"

    def channels(self, channels: int) -> int:
        """Channels of the source, from those of the image."""
        return channels

    @abstractmethod
    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Make a source [H, W, c] in [0, 1] from an image [H, W, C] in [0, 1], float32.

        It is a function of its arguments alone.

        Args:
            img: not changed.
            seed: 64 bits that differ from sample to sample, and between showings of one sample.
            frame: number of the frame in its clip. Noise differs from frame to frame, masks do not.
        """

    def from_input(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """What `translate` makes of an image that a user gives; by default, `derive`.

        A derivation that damages images (noise, low resolution) takes the image as it is: it is
        damaged already.
        """
        return self.derive(img, seed, frame)
