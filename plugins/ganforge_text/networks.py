"""The networks of GAN-INT-CLS: DCGAN's, conditioned on a projection of the caption embedding.

Source: Reed et al. 2016, arXiv:1605.05396, section 4.1 and figure 2; widths and the norm of the
discriminator's projection follow the authors' code.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganforge.api import ComponentOptions, Field, ImageSpec
from ganforge.layers import LeakyReLU, base_grid

Norm = Literal["batch", "layer", "none"]


class GanIntClsConfig(ComponentOptions):
    """Options of GAN-INT-CLS; the defaults are the paper's networks for CUB."""

    z_dim: int = Field(100, gt=0, description="Latent size.")
    text_features: int = Field(
        128, gt=0, description="Size of each network's projection of the caption embedding."
    )
    generator_channels: int = Field(
        128, gt=0, description="Channels at the finest grid; doubled at each coarser one."
    )
    discriminator_channels: int = Field(
        64, gt=0, description="Channels at the finest grid; doubled at each coarser one."
    )
    max_channels: int = Field(1024, gt=0, description="Maximum number of channels.")
    interpolation: float = Field(
        0.5, gt=0, lt=1, description="Interpolation between two captions (the paper's beta)."
    )
    interpolation_weight: float = Field(
        1.0, ge=0, description="Weight of the interpolated term; 0 is GAN-CLS."
    )
    matching: bool = Field(
        True, description="Train on real images with wrong captions; false is GAN-INT."
    )
    generator_norm: Norm = "batch"
    discriminator_norm: Norm = Field("batch", description="A gradient penalty needs layer or none.")


def _widths(channels: int, limit: int, doublings: int) -> list[int]:
    """Channels from the finest grid to the coarsest."""
    return [min(limit, channels << level) for level in range(doublings)]


def _norm(kind: Norm, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(1, channels) if kind == "layer" else nn.Identity()


def _vector_norm(kind: Norm, size: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm1d(size)
    return nn.LayerNorm(size) if kind == "layer" else nn.Identity()


def _init(module: nn.Module) -> None:
    """N(0, 0.02) weights, N(1, 0.02) norm scales, as DCGAN; linear layers keep PyTorch's."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class TextGenerator(nn.Module):
    """z [N, z_dim], text [N, D] -> img [N, C, H, W] in [-1, 1]."""

    def __init__(self, config: GanIntClsConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, "gan_int_cls")
        widths = _widths(config.generator_channels, config.max_channels, doublings)[::-1]
        norm, features = config.generator_norm, config.text_features
        plain = norm == "none"
        self.text_dim = spec.text_dim
        self.project = nn.Sequential(nn.Linear(spec.text_dim, features), LeakyReLU(0.2))
        first = nn.ConvTranspose2d(config.z_dim + features, widths[0], (height, width), bias=plain)
        layers: list[nn.Module] = [first, _norm(norm, widths[0]), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=plain),
                _norm(norm, after),
                nn.ReLU(),
            ]
        layers.append(nn.ConvTranspose2d(widths[-1], spec.channels, 4, 2, 1))
        self.layers = nn.Sequential(*layers)
        self.apply(_init)

    def forward(self, z: Tensor, text: Tensor) -> Tensor:
        """Generate."""
        both = torch.cat([z, self.project(text)], dim=1)
        img: Tensor = self.layers(both[:, :, None, None]).float().tanh()
        return img


class TextDiscriminator(nn.Module):
    """img [N, C, H, W], text [K * N, D] -> logits [K * N]: is it real, and does it match?

    With K > 1, row k * N + n is image n with caption k * N + n; image features are computed once.
    """

    def __init__(self, config: GanIntClsConfig, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec.height, spec.width, "gan_int_cls")
        widths = _widths(config.discriminator_channels, config.max_channels, doublings)
        norm, features = config.discriminator_norm, config.text_features
        plain = norm == "none"
        layers: list[nn.Module] = [nn.Conv2d(spec.channels, widths[0], 4, 2, 1), LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1, bias=plain),
                _norm(norm, after),
                LeakyReLU(0.2),
            ]
        self.see = nn.Sequential(*layers)
        self.project = nn.Sequential(
            nn.Linear(spec.text_dim, features), _vector_norm(norm, features), LeakyReLU(0.2)
        )
        last = widths[-1]
        self.judge = nn.Sequential(
            nn.Conv2d(last + features, last, 1, bias=plain),
            _norm(norm, last),
            LeakyReLU(0.2),
            nn.Conv2d(last, 1, (height, width)),
        )
        self.apply(_init)

    def forward(self, img: Tensor, text: Tensor) -> Tensor:
        """Score."""
        seen = self.see(img)
        if len(text) != len(img):
            seen = seen.repeat(len(text) // len(img), 1, 1, 1)
        caption = self.project(text)[:, :, None, None].expand(-1, -1, *seen.shape[2:])
        logits: Tensor = self.judge(torch.cat([seen, caption], dim=1)).flatten()
        return logits
