"""Options of StyleGAN2, and the grid of resolutions that they and the image size span."""

from typing import Literal

from ganforge.api import ComponentOptions, ConfigError, Field, ImageSpec
from ganforge.layers import ModulationForm


class Stylegan2Config(ComponentOptions):
    """Options of StyleGAN2; the defaults are config F of the paper."""

    z_dim: int = Field(512, gt=0, description="Size of the latent z.")
    w_dim: int = Field(512, gt=0, description="Size of the mapped latent w.")
    mapping_layers: int = Field(8, gt=0, description="Fully connected layers from z to w.")
    mapping_lr_mult: float = Field(0.01, gt=0, description="Their part of the learning rate.")
    channel_base: int = Field(
        32768, gt=0, description="Channels times resolution; 16384 is usual up to 256x256."
    )
    channel_max: int = Field(512, gt=0, description="Upper limit of channels.")
    style_mixing: float = Field(
        0.9, ge=0, le=1, description="Part of the training images made from two latents."
    )
    w_avg_decay: float = Field(
        0.995, ge=0, lt=1, description="Decay per generator step of the mean w, for truncation."
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
    modulation: ModulationForm = Field(
        "scaled",
        description="scaled multiplies activations (fast), grouped the weights; same result.",
    )

    def channels(self, level: int) -> int:
        """Channels at `level` doublings above the base grid, which counts as 4x4."""
        return max(1, min(self.channel_max, self.channel_base // (4 << level)))


def base_grid(spec: ImageSpec) -> tuple[int, int, int]:
    """Split an image size into a base grid and doublings: (height, width, doublings).

    The smaller side of the grid is 4 to 7 pixels; height and width may differ.

    Raises:
        ConfigError: no such grid exists.
    """
    height, width, doublings = spec.height, spec.width, 0
    while min(height, width) > 7 and height % 2 == 0 and width % 2 == 0:
        height, width, doublings = height // 2, width // 2, doublings + 1
    if doublings == 0 or not 4 <= min(height, width) <= 7:
        raise ConfigError(
            f"data.resolution: 'stylegan2' cannot build {spec.height}x{spec.width} images. It "
            f"doubles a grid of at least 4 pixels a side, so that both sides are the same power of "
            f"two times whole numbers, the smaller of them 4 to 7. Set data.resolution to such a "
            f"size, e.g. 64 or [192, 256], and data.resize to crop or pad."
        )
    return height, width, doublings
