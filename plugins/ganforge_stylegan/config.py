"""Options of the StyleGAN family."""

from typing import Literal

from ganforge.api import ComponentOptions, Field
from ganforge.layers import ModulationForm


class StyleConfig(ComponentOptions):
    """Options of all StyleGANs; the defaults are those of StyleGAN2, config F."""

    z_dim: int = Field(512, gt=0, description="Size of the latent z.")
    w_dim: int = Field(512, gt=0, description="Size of the mapped latent w.")
    mapping_layers: int = Field(8, gt=0, description="Fully connected layers from z to w.")
    mapping_lr_mult: float = Field(0.01, gt=0, description="Learning-rate factor of the mapping.")
    discriminator_mapping_layers: int = Field(
        8, gt=0, description="Fully connected layers from the label to the projection."
    )
    channel_base: int = Field(
        32768, gt=0, description="Channels times resolution; 16384 is usual up to 256x256."
    )
    channel_max: int = Field(512, gt=0, description="Maximum number of channels.")
    style_mixing: float = Field(
        0.9, ge=0, le=1, description="Fraction of training images made from two latents."
    )
    w_avg_decay: float = Field(
        0.995,
        ge=0,
        lt=1,
        description="Decay of the mean w, for truncation, per training forward (two a step).",
    )
    discriminator: Literal["residual", "plain"] = Field(
        "residual", description="plain has no skips, as in the paper's CIFAR-10 recipe."
    )
    mbstd_group: int | None = Field(
        4, gt=0, description="Images per minibatch deviation group; null: a slot."
    )
    mbstd_channels: int = Field(1, ge=0, description="Minibatch deviation channels; 0: none.")
    conv_clamp: float | None = Field(
        None,
        gt=0,
        description="Limit of activations after each layer; 256 with train.precision fp16.",
    )
    full_precision_below: int = Field(
        0,
        ge=0,
        description="Under bf16 and fp16, features whose short side is less than this stay in "
        "fp32. The authors' code keeps the four finest resolutions in 16 bits: 32 at 256x256.",
    )

    def in_float32(self, grid: tuple[int, int]) -> bool:
        """Whether features of this height and width stay in float32."""
        return min(grid) < self.full_precision_below

    def channels(self, level: int) -> int:
        """Channels at `level` doublings above the base grid, which counts as 4x4."""
        return max(1, min(self.channel_max, self.channel_base // (4 << level)))


class StyleganConfig(StyleConfig):
    """Options of StyleGAN; the defaults are the paper's."""

    channel_base: int = Field(16384, gt=0, description="Channels times resolution.")
    discriminator: Literal["residual", "plain"] = Field(
        "plain", description="residual is StyleGAN2's discriminator."
    )


class Stylegan2Config(StyleConfig):
    """Options of StyleGAN2; the defaults are config F of the paper."""

    modulation: ModulationForm = Field(
        "scaled",
        description="scaled modulates activations (fast), grouped the weights; same result.",
    )


class Stylegan3Config(StyleConfig):
    """Options of StyleGAN3-T; the defaults are the paper's for 1024x1024."""

    mapping_layers: int = Field(2, gt=0, description="Fully connected layers from z to w.")
    channel_base: int = Field(
        32768, gt=0, description="Channels times twice the cutoff; 16384 is usual at 256x256."
    )
    style_mixing: float = Field(
        0.0, ge=0, le=1, description="Fraction of training images made from two latents."
    )
    w_avg_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the mean w, for truncation, per training forward (two a step).",
    )
    num_layers: int = Field(
        14, ge=4, description="Layers between the Fourier features and the image layer."
    )
    margin: int = Field(
        10, ge=0, description="Extra pixels that each layer computes beyond each border."
    )
    filter_taps: int = Field(
        6, ge=2, description="Filter taps per sample of the lower of the two rates."
    )
    magnitude_decay: float = Field(
        0.9994,
        ge=0,
        lt=1,
        description="Decay of the mean square of each layer's input, per training forward (two a "
        "step). The default is a half-life of 18 kimg in batches of 32; lower it for short runs.",
    )
