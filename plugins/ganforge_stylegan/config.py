"""Options of the family."""

from typing import Literal

from ganforge.api import ComponentOptions, Field
from ganforge.layers import ModulationForm


class StyleConfig(ComponentOptions):
    """Options of all; the defaults are those of StyleGAN2, config F."""

    z_dim: int = Field(512, gt=0, description="Size of the latent z.")
    w_dim: int = Field(512, gt=0, description="Size of the mapped latent w.")
    mapping_layers: int = Field(8, gt=0, description="Fully connected layers from z to w.")
    mapping_lr_mult: float = Field(0.01, gt=0, description="Their part of the learning rate.")
    discriminator_mapping_layers: int = Field(
        8, gt=0, description="The same from the label to what the discriminator compares with it."
    )
    channel_base: int = Field(
        32768, gt=0, description="Channels times resolution; 16384 is usual up to 256x256."
    )
    channel_max: int = Field(512, gt=0, description="Upper limit of channels.")
    style_mixing: float = Field(
        0.9, ge=0, le=1, description="Part of the training images made from two latents."
    )
    w_avg_decay: float = Field(
        0.995,
        ge=0,
        lt=1,
        description="Decay of the mean w, for truncation, per forward in training: two a step.",
    )
    discriminator: Literal["residual", "plain"] = Field(
        "residual", description="plain has no skips; it is the one of the CIFAR-10 recipe."
    )
    mbstd_group: int | None = Field(
        4, gt=0, description="Images per minibatch-deviation group; null takes a whole slot."
    )
    mbstd_channels: int = Field(1, ge=0, description="Minibatch-deviation maps; 0 for none.")
    conv_clamp: float | None = Field(
        None,
        gt=0,
        description="Limit of activations after each layer; 256 with train.precision fp16.",
    )

    def channels(self, level: int) -> int:
        """Channels at `level` doublings above the base grid, which counts as 4x4."""
        return max(1, min(self.channel_max, self.channel_base // (4 << level)))


class StyleganConfig(StyleConfig):
    """Options of StyleGAN; the defaults are the paper's."""

    channel_base: int = Field(16384, gt=0, description="Channels times resolution.")
    discriminator: Literal["residual", "plain"] = Field(
        "plain", description="residual is the discriminator of StyleGAN2."
    )


class Stylegan2Config(StyleConfig):
    """Options of StyleGAN2; the defaults are config F of the paper."""

    modulation: ModulationForm = Field(
        "scaled",
        description="scaled multiplies activations (fast), grouped the weights; same result.",
    )


class Stylegan3Config(StyleConfig):
    """Options of StyleGAN3-T; the defaults are the paper's for 1024x1024."""

    mapping_layers: int = Field(2, gt=0, description="Fully connected layers from z to w.")
    channel_base: int = Field(
        32768, gt=0, description="Channels times twice the cutoff; 16384 is usual at 256x256."
    )
    style_mixing: float = Field(
        0.0, ge=0, le=1, description="Part of the training images made from two latents."
    )
    w_avg_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the mean w, for truncation, per forward in training: two a step.",
    )
    num_layers: int = Field(
        14, ge=4, description="Layers between the Fourier features and the step to the image."
    )
    margin: int = Field(
        10, ge=0, description="Pixels that each layer computes beyond each border of the image."
    )
    filter_taps: int = Field(
        6, ge=2, description="Taps of the filters per sample of the lower of the two rates."
    )
    magnitude_decay: float = Field(
        0.9994,
        ge=0,
        lt=1,
        description="Decay of the mean square of each layer's input, per forward in training: two "
        "a step. The default is a half-life of 18 kimg in batches of 32; lower it for short runs.",
    )
