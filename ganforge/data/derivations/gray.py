"""The brightness of an image, for models that add color."""

import numpy as np

from ganforge.config.base import StrictModel
from ganforge.imaging.channels import LUMA, composite
from ganforge.interfaces.derivation import Derivation, Floats


class Gray(Derivation[StrictModel]):
    """Brightness: one channel, for adding color."""

    name = "gray"

    def channels(self, channels: int) -> int:
        """One."""
        return 1

    def derive(self, img: Floats, seed: int, frame: int = 0) -> Floats:
        """Weigh red, green and blue."""
        return brightness(img)


def brightness(img: Floats) -> Floats:
    """[H, W, 1] brightness of an image [H, W, C]: luma of RGB, else the mean of the channels.

    Transparent parts of RGBA are white. Source: ITU-R BT.601 (luma).
    """
    channels = img.shape[2]
    if channels == 4:
        img = composite(img[..., :3], img[..., 3:], 1.0)
    if channels in (3, 4):
        gray: Floats = (img @ np.array(LUMA, dtype=np.float32))[..., None]
        return gray
    return img if channels == 1 else img.mean(axis=2, keepdims=True)
