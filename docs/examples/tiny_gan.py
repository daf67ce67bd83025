"""Tiny: two layers each. Source: Goodfellow et al. 2014, arXiv:1406.2661."""

from math import prod
from typing import Any

from torch import Tensor, nn

from ganforge.api import Architecture, ComponentOptions, Field, NoiseToImage, hookimpl


class TinyConfig(ComponentOptions):
    """Options of tiny."""

    z_dim: int = Field(32, gt=0, description="Latent size.")
    width: int = Field(256, gt=0, description="Hidden units in both networks.")


class Layers(nn.Module):
    """Layers one after the other; the labels `c` [N, c_dim] are not used."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Apply them to z [N, z_dim] or img [N, C, H, W]."""
        out: Tensor = self.layers(x)
        return out


class Tiny(NoiseToImage[TinyConfig]):
    """Fully connected generator and discriminator."""

    name, Config, paper = "tiny", TinyConfig, "Goodfellow et al. 2014, arXiv:1406.2661"
    example_options = {"z_dim": 4, "width": 8}

    def networks(self) -> dict[str, nn.Module]:
        """Map z to img in [-1, 1], and img to logits [N]."""
        z_dim, width = self.config.z_dim, self.config.width
        spec = self.spec
        shape = (spec.channels, spec.height, spec.width)
        return {
            "generator": Layers(
                *(nn.Linear(z_dim, width), nn.ReLU(), nn.Linear(width, prod(shape))),
                *(nn.Tanh(), nn.Unflatten(1, shape)),
            ),
            "discriminator": Layers(
                *(nn.Flatten(), nn.Linear(prod(shape), width), nn.LeakyReLU(0.2)),
                *(nn.Linear(width, 1), nn.Flatten(0)),
            ),
        }


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register tiny."""
    return [Tiny]
