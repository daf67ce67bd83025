"""SNGAN: a spectrally normalized discriminator. Source: Miyato et al. 2018, arXiv:1802.05957.

With labels: conditional BatchNorm and the projection discriminator of Miyato and Koyama 2018,
arXiv:1802.05637. Deviation from the paper: any size whose halves reach a small grid.
"""

from torch import nn

from ganforge.api import Field
from ganforge_dcgan.resnet_networks import (
    Channels,
    ResnetConfig,
    ResnetDiscriminator,
    ResnetFamily,
    ResnetGenerator,
)


class SnganConfig(ResnetConfig):
    """Options of SNGAN; the defaults are the paper's networks for CIFAR-10."""

    generator_channels: Channels = Field(
        256, description="Of all grids, or one number for each from the coarsest to the finest."
    )


class Sngan(ResnetFamily[SnganConfig]):
    """Spectral normalization GAN (Miyato et al. 2018)."""

    name, Config = "sngan", SnganConfig
    paper = "Miyato et al. 2018, arXiv:1802.05957"

    def networks(self) -> dict[str, nn.Module]:
        """Generator, and a discriminator that sums over the last grid."""
        return {
            "generator": ResnetGenerator(self.config, self.spec, self.name),
            "discriminator": ResnetDiscriminator(
                self.config, self.spec, self.name, spectral=True, pool="sum"
            ),
        }
