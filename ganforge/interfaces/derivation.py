"""Derivations: sources of a translation that are made from its images."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.interfaces.component import Component, ConfigT
from ganforge.interfaces.spec import DerivedSource

Floats = NDArray[np.floating[Any]]


class Derivation(Component[ConfigT]):
    """Makes the source of a translation from the image: edges, noise, a hole, ...

    Training calls `derive` for each image that it loads, after cropping and mirroring. `translate`
    calls `from_input` for each image that a user gives. Both are functions of their arguments
    alone, so that a run can be repeated.

    Shapes: images are float32 [H, W, C] in [0, 1], sources float32 [H, W, c] in [0, 1]. Neither
    method may change its arguments; either may return them.
    """

    kind = "derivation"

    def channels(self, channels: int) -> int:
        """Channels c of the source of an image with `channels` channels; by default equal."""
        return channels

    def check(self, height: int, width: int) -> None:
        """Raise a ConfigError for images of a size whose sources would show nothing of them."""

    @abstractmethod
    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Make the source [H, W, c] of a training image [H, W, C].

        Args:
            img: the image.
            seed: 0 to 2**64 - 1; differs between samples, and between epochs.
            frame: number of the frame in its clip; all frames of a clip have one seed. Noise
                differs from frame to frame, a hole should not.
        """

    def from_input(self, img: Floats, alpha: Floats | None, seed: int, frame: int = 0) -> Floats:
        """Make the source from an image that a user translates; by default as in training.

        Override it where the image is a source already: a model that removes noise takes noisy
        photos as they are. The source may have another size: that of the result.

        Args:
            img: the image; white where it was transparent.
            alpha: [H, W, 1] opacity of the image; None if it has none.
            seed: the seed of the result.
            frame: number of the frame in its video.

        Raises:
            ConfigError: no source can be made from the image; says which images can be used.
        """
        return self.derive(img, seed, frame)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the image from which `from_input` makes a source of this size.

        By default images and sources are equally large.
        """
        return height, width

    @property
    def derived(self) -> DerivedSource:
        """What is stored with a model, to derive in the same way."""
        return DerivedSource(self.name, self.config.model_dump(mode="json"))
