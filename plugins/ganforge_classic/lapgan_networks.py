"""LAPGAN's networks: fully connected at the coarsest level, small convnets above it.

Source: Denton et al. 2015, arXiv:1506.05751, Sec. 3.3 and 4.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.api import ComponentOptions, Field, ImageSpec
from ganforge_classic.layers import num_values, relu_stack


class LapganConfig(ComponentOptions):
    """Options of LAPGAN; the defaults are sized for 32x32 images."""

    levels: int = Field(
        3, gt=1, le=10, description="Levels of the pyramid; each has half the side of the next."
    )
    z_dim: int = Field(100, gt=0, description="Latent size of the coarsest level.")
    base_generator_units: int = Field(
        1200, gt=0, description="Units of the coarsest generator's two layers."
    )
    base_discriminator_units: int = Field(
        600, gt=0, description="Units of the coarsest discriminator's two layers."
    )
    generator_channels: int = Field(128, gt=0, description="Channels of the upper generators.")
    discriminator_channels: int = Field(
        128, gt=0, description="Channels of the upper discriminators."
    )
    kernel_size: int = Field(5, gt=0, description="Kernel size of all convolutions, odd.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout rate in the discriminators.")


class BaseGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> the coarsest image [N, C, h, w] in [-1, 1]."""

    def __init__(self, config: LapganConfig, spec: ImageSpec) -> None:
        super().__init__()
        self.shape = (spec.channels, spec.height, spec.width)
        self.z_dim, self.c_dim = config.z_dim, spec.num_classes
        units = config.base_generator_units
        self.hidden = relu_stack((config.z_dim + self.c_dim, units, units))
        self.out = nn.Linear(units, num_values(spec))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate."""
        img: Tensor = self.out(self.hidden(torch.cat([z, c], dim=1))).float().tanh()
        return img.reshape(-1, *self.shape)


class BaseDiscriminator(nn.Module):
    """The coarsest image [N, C, h, w], c [N, c_dim] -> logits [N]."""

    def __init__(self, config: LapganConfig, spec: ImageSpec) -> None:
        super().__init__()
        units = config.base_discriminator_units
        sizes = (num_values(spec) + spec.num_classes, units, units)
        self.hidden = relu_stack(sizes, config.dropout)
        self.out = nn.Linear(units, 1)

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        logits: Tensor = self.out(self.hidden(torch.cat([img.flatten(1), c], dim=1))).flatten()
        return logits


class LabelPlane(nn.Module):
    """Append a learned plane per class to an image, or nothing if there are no classes."""

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.grid = (spec.height, spec.width)
        area = spec.height * spec.width
        self.linear = nn.Linear(spec.num_classes, area) if spec.num_classes else None

    @property
    def channels(self) -> int:
        """Number of appended channels."""
        return 0 if self.linear is None else 1

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """[N, C, H, W], c [N, c_dim] -> [N, C + channels, H, W]."""
        if self.linear is None:
            return img
        return torch.cat([img, self.linear(c).reshape(-1, 1, *self.grid)], dim=1)


class BandGenerator(nn.Module):
    """z [N, H * W], upsampled image [N, C, H, W], c [N, c_dim] -> band-pass [N, C, H, W].

    Three convolutions over the image, a plane of noise and, with labels, a plane of the class.
    """

    def __init__(self, config: LapganConfig, spec: ImageSpec) -> None:
        super().__init__()
        self.grid = (spec.height, spec.width)
        self.plane = LabelPlane(spec)
        width, kernel = config.generator_channels, config.kernel_size
        self.layers = nn.Sequential(
            _conv(spec.channels + 1 + self.plane.channels, width, kernel),
            nn.ReLU(),
            _conv(width, width, kernel),
            nn.ReLU(),
            _conv(width, spec.channels, kernel),
        )

    @property
    def z_dim(self) -> int:
        """Number of values in the noise plane."""
        return self.grid[0] * self.grid[1]

    def forward(self, z: Tensor, low: Tensor, c: Tensor) -> Tensor:
        """Generate the band to add to `low`."""
        noise = z.reshape(-1, 1, *self.grid)
        band: Tensor = self.layers(self.plane(torch.cat([low, noise], dim=1), c)).float()
        return band


class BandDiscriminator(nn.Module):
    """Upsampled image plus band [N, C, H, W], c [N, c_dim] -> logits [N]: two convolutions."""

    def __init__(self, config: LapganConfig, spec: ImageSpec) -> None:
        super().__init__()
        self.plane = LabelPlane(spec)
        width, kernel = config.discriminator_channels, config.kernel_size
        self.conv1 = _conv(spec.channels + self.plane.channels, width, kernel)
        self.conv2 = _conv(width, width, kernel, stride=2)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(width * -(-spec.height // 2) * -(-spec.width // 2), 1)

    def forward(self, img: Tensor, c: Tensor) -> Tensor:
        """Score."""
        x = functional.relu(self.conv1(self.plane(img, c)))
        x = self.dropout(functional.relu(self.conv2(x)).flatten(1))
        return cast(Tensor, self.out(x).flatten())


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)
