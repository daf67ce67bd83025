"""Norms and initial weights of the DCGAN family."""

from typing import Literal

from torch import nn

Norm = Literal["batch", "layer", "none"]


def build_norm(kind: Norm, channels: int) -> nn.Module:
    """A normalization of [N, channels, H, W]."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    # One group over all channels and pixels is layer normalization of an image.
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


def init_without_norm(module: nn.Module) -> None:
    """Weights that preserve the scale of the signal without norms; for `Module.apply`.

    Source: He et al. 2015, arXiv:1502.01852, Eq. 15, for leaky ReLUs of slope 0.2.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=0.2)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
