"""An architecture that keeps the contract, and two that do not."""

import torch
from torch import nn

from ganforge.api import ComponentOptions, ConfigError, Field, NoiseToImage


class SoundConfig(ComponentOptions):
    width: int = Field(4, gt=0, description="Hidden units.")


class Generator(nn.Module):
    def __init__(self, pixels, num_classes):
        super().__init__()
        self.layer = nn.Linear(4 + num_classes, pixels * 3)

    def forward(self, z, c):
        return self.layer(torch.cat([z, c], 1)).tanh().view(len(z), 3, 16, 16)


class Discriminator(nn.Module):
    def __init__(self, pixels, num_classes):
        super().__init__()
        self.layer = nn.Linear(pixels * 3 + num_classes, 1)

    def forward(self, img, c):
        return self.layer(torch.cat([img.flatten(1), c], 1)).flatten()


class MixingDiscriminator(Discriminator):
    def forward(self, img, c):
        return super().forward(img - img.mean(0), c)


class Sound(NoiseToImage[SoundConfig]):
    """An architecture that keeps the contract, at 16x16 only."""

    name, Config, paper = "sound", SoundConfig, "Nobody 2026"
    optional_inputs = ("label",)
    z_dim = 4

    def check(self, objective):
        if self.spec.height != 16:
            raise ConfigError(f"{self.spec.height} is not 16. Use 16.")

    def networks(self):
        pixels = self.spec.height * self.spec.width
        return {
            "generator": Generator(pixels, self.c_dim),
            "discriminator": Discriminator(pixels, self.c_dim),
        }


class OutOfRange(Sound):
    name = "out_of_range"

    def generate(self, nets, request):
        return super().generate(nets, request) + 1.5


class UnknownAverage(Sound):
    name, ema_roles = "unknown_average", ("generator_ema",)
