"""The sizes that stride-2 networks reach, and the norms that the family shares."""

from typing import Literal

from torch import nn

from ganforge.api import ConfigError

Norm = Literal["batch", "layer", "none"]


def pyramid(height: int, width: int, name: str = "dcgan") -> tuple[int, int, int]:
    """Split a size into a base grid and doublings: (base height, base width, doublings).

    The smaller side of the base grid is 4 to 7 pixels.

    Args:
        height: of the images.
        width: of the images.
        name: the architecture, for the message.

    Raises:
        ConfigError: no such grid exists.
    """
    doublings = 0
    while min(height, width) > 7 and height % 2 == 0 and width % 2 == 0:
        height, width, doublings = height // 2, width // 2, doublings + 1
    if not 4 <= min(height, width) <= 7 or doublings == 0:
        side = min(height, width) << doublings
        near = [base << n for n in range(1, 9) for base in (4, 5, 6, 7)]
        best = sorted(near, key=lambda size: abs(size - side))[:2]
        raise ConfigError(
            f"data.resolution: '{name}' reaches sizes of 4, 5, 6 or 7 times a power of two; "
            f"{height << doublings}x{width << doublings} is none. "
            f"The nearest for its short side are {min(best)} and {max(best)}; "
            f"data.resize: pad adds a border without resampling."
        )
    return height, width, doublings


def build_norm(kind: Norm, channels: int) -> nn.Module:
    """A normalisation of [N, channels, H, W]."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    # One group over all channels and pixels is layer normalisation of an image.
    return nn.GroupNorm(1, channels) if kind == "layer" else nn.Identity()


def init_dcgan(module: nn.Module) -> None:
    """N(0, 0.02) weights, N(1, 0.02) norm scales; for `Module.apply`.

    Source: Radford et al. 2016, arXiv:1511.06434, Sec. 4.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
