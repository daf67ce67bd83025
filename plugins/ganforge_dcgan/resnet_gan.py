"""The residual networks of WGAN-GP. Source: Gulrajani et al. 2017, arXiv:1704.00028, appendix F.

The paper's critic has no normalization for CIFAR-10; `layer` is its choice for deeper ones.
Deviations from the paper: labels by projection in place of an auxiliary classifier, any size whose
halves reach a small grid, and generator and critic see batches of the same size.
"""

from typing import Literal

from torch import nn

from ganforge.api import Field
from ganforge_dcgan.resnet_networks import (
    ResnetConfig,
    ResnetDiscriminator,
    ResnetFamily,
    ResnetGenerator,
)


class ResnetGanConfig(ResnetConfig):
    """Options of the ResNet GAN; the defaults are the paper's networks for CIFAR-10."""

    discriminator_norm: Literal["layer", "none"] = Field(
        "none", description="BatchNorm is not offered: it mixes images, see gradient_penalty."
    )


class ResnetGan(ResnetFamily[ResnetGanConfig]):
    """ResNet generator and critic of WGAN-GP (Gulrajani et al. 2017)."""

    name, Config = "resnet_gan", ResnetGanConfig
    paper = "Gulrajani et al. 2017, arXiv:1704.00028"
    per_sample_discriminator = True

    def networks(self) -> dict[str, nn.Module]:
        """Generator and critic."""
        config, spec = self.config, self.spec
        return {
            "generator": ResnetGenerator(config, spec, self.name),
            "discriminator": ResnetDiscriminator(
                config, spec, self.name, norm=config.discriminator_norm
            ),
        }
