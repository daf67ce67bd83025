"""Convolutional GANs: DCGAN, and those that changed its objective or its blocks.

LSGAN, WGAN and WGAN-GP are objectives: `architecture: dcgan` with another `loss`. `resnet_gan` has
the residual networks of WGAN-GP, `sngan` those with spectral normalization, `acgan` a classifier.
"""

from typing import Any

from ganforge.api import Architecture, hookimpl
from ganforge_dcgan.acgan import Acgan, AcganConfig
from ganforge_dcgan.dcgan import Dcgan, DcganConfig, DcganDiscriminator, DcganGenerator
from ganforge_dcgan.resnet_gan import ResnetGan, ResnetGanConfig
from ganforge_dcgan.sngan import Sngan, SnganConfig

__all__ = [
    "Acgan",
    "AcganConfig",
    "Dcgan",
    "DcganConfig",
    "DcganDiscriminator",
    "DcganGenerator",
    "ResnetGan",
    "ResnetGanConfig",
    "Sngan",
    "SnganConfig",
]


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the family."""
    return [Dcgan, Acgan, ResnetGan, Sngan]
