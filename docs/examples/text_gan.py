"""Text to image. Source: Reed et al. 2016, arXiv:1605.05396.

Captions arrive as embeddings `text` [N, text_dim], made once by any text encoder. With
`loss.terms: [mismatched_pairs]` the discriminator also sees real images with wrong captions.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.api import (
    Architecture,
    ComponentOptions,
    Field,
    ImageSpec,
    NoiseToImage,
    hookimpl,
)


class TextGanConfig(ComponentOptions):
    """Options of text_gan."""

    z_dim: int = Field(64, gt=0, description="Latent size.")
    width: int = Field(256, gt=0, description="Hidden units in all layers.")


class TextGenerator(nn.Module):
    """z [N, z_dim], text [N, D] -> img [N, C, H, W] in [-1, 1]."""

    def __init__(self, config: TextGanConfig, spec: ImageSpec) -> None:
        super().__init__()
        shape = (spec.channels, spec.height, spec.width)
        self.layers = nn.Sequential(
            *(nn.Linear(config.z_dim + spec.text_dim, config.width), nn.ReLU()),
            *(nn.Linear(config.width, prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)),
        )

    def forward(self, z: Tensor, text: Tensor) -> Tensor:
        """Generate."""
        img: Tensor = self.layers(torch.cat([z, text], dim=1))
        return img


class TextDiscriminator(nn.Module):
    """img [N, C, H, W], text [N, D] -> logits [N]: is it real, and does it match?"""

    def __init__(self, config: TextGanConfig, spec: ImageSpec) -> None:
        super().__init__()
        pixels = spec.channels * spec.height * spec.width
        self.see = nn.Sequential(nn.Flatten(), nn.Linear(pixels, config.width), nn.LeakyReLU(0.2))
        self.judge = nn.Sequential(
            *(nn.Linear(config.width + spec.text_dim, config.width), nn.LeakyReLU(0.2)),
            *(nn.Linear(config.width, 1), nn.Flatten(0)),
        )

    def forward(self, img: Tensor, text: Tensor) -> Tensor:
        """Score."""
        logits: Tensor = self.judge(torch.cat([self.see(img), text], dim=1))
        return logits


class TextGan(NoiseToImage[TextGanConfig]):
    """Both networks read the caption, which takes the place of a label."""

    name, Config, paper = "text_gan", TextGanConfig, "Reed et al. 2016, arXiv:1605.05396"
    inputs = ("image", "text")
    example_options = {"z_dim": 4, "width": 8}

    def networks(self) -> dict[str, nn.Module]:
        """A generator and a discriminator that both read the caption."""
        return {
            "generator": TextGenerator(self.config, self.spec),
            "discriminator": TextDiscriminator(self.config, self.spec),
        }


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register text_gan."""
    return [TextGan]
