"""Images with Gaussian noise, for denoising. Source: Zhang et al. 2017, arXiv:1608.03981."""

import numpy as np
from pydantic import Field, model_validator

from ganforge.config.base import StrictModel
from ganforge.interfaces.derivation import Derivation, Floats


class NoiseConfig(StrictModel):
    """Options of `noise`."""

    sigma: float | tuple[float, float] = Field(
        (0.0, 55.0),
        description="Standard deviation, in steps of an 8-bit image: a number, or a range from "
        "which each sample draws.",
    )

    @model_validator(mode="after")
    def _rises(self) -> "NoiseConfig":
        low, high = self.range
        if not 0 <= low <= high <= 255:
            raise ValueError(
                f"sigma must be from 0 to 255, as a number or a rising range, got {self.sigma}"
            )
        return self

    @property
    def range(self) -> tuple[float, float]:
        """Least and largest standard deviation."""
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma, self.sigma)


class Noise(Derivation[NoiseConfig]):
    """Gaussian noise of a random strength: for removing noise of unknown strength."""

    name, Config = "noise", NoiseConfig

    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Add noise, clipped to [0, 1]; its strength is that of the clip."""
        sigma = np.random.default_rng(seed).uniform(*self.config.range) / 255
        noisy = np.random.default_rng((seed, frame)).standard_normal(img.shape, dtype=np.float32)
        noisy *= np.float32(sigma)
        noisy += img
        return np.clip(noisy, 0, 1, out=noisy)

    def from_input(self, img: Floats, alpha: Floats | None, seed: int, frame: int = 0) -> Floats:
        """The image as it is: it has noise already."""
        return img
