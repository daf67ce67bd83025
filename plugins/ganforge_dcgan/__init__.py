"""Convolutional GANs: DCGAN, and those that changed its objective or its blocks.

LSGAN, WGAN and WGAN-GP are objectives: `architecture: dcgan` with another `loss`. `resnet_gan` has
the residual networks of WGAN-GP, `sngan` those with spectral normalization, `acgan` a classifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganforge.api import hookimpl

if TYPE_CHECKING:
    from ganforge.api import Architecture


@hookimpl
def ganforge_architectures() -> list[type[Architecture[Any]]]:
    """Register the family."""
    from ganforge_dcgan.acgan import Acgan
    from ganforge_dcgan.dcgan import Dcgan
    from ganforge_dcgan.resnet_gan import ResnetGan
    from ganforge_dcgan.sngan import Sngan

    return [Dcgan, Acgan, ResnetGan, Sngan]
