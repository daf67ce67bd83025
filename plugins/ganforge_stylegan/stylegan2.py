"""StyleGAN2: modulated convolutions, and a synthesis network with skips to the image.

Source: Karras et al. 2020, arXiv:1912.04958, Sec. 2 and appendix B.

Deviations from the paper: any base grid of at least 4 pixels a side in place of 4x4, style mixing
chosen for each image in place of each batch, and class labels as in arXiv:2006.06676.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganforge.api import ImageSpec, full_precision
from ganforge.layers import (
    ModulatedConv2d,
    Resample2d,
    ResampleMode,
    base_grid,
    run_layer,
    scaled_leaky_relu,
)
from ganforge_stylegan.config import Stylegan2Config
from ganforge_stylegan.family import NoisyFamily
from ganforge_stylegan.generator import NoisyLayer, NoisySynthesis


class StyledLayer(NoisyLayer):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        grid: height and width of the output.
        config: options.
        resample: "up" doubles the size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid: tuple[int, int],
        config: Stylegan2Config,
        resample: ResampleMode | None = None,
    ) -> None:
        super().__init__(grid)
        self.conv = ModulatedConv2d(
            in_channels, out_channels, 3, config.w_dim, resample=resample, form=config.modulation
        )
        self.clamp = config.conv_clamp
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """[N, in_channels, h, w] and [N, w_dim] -> [N, out_channels, H, W]; noise [N, 1, H, W]."""
        y = self.with_noise(self.conv(x, w), noise)
        y = scaled_leaky_relu(y + self.bias.to(y.dtype)[:, None, None])
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class ToImage(nn.Module):
    """Modulated 1x1 convolution to image channels, without demodulation."""

    def __init__(self, in_channels: int, img_channels: int, config: Stylegan2Config) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(
            in_channels, img_channels, 1, config.w_dim, demodulate=False, form=config.modulation
        )
        self.bias = nn.Parameter(torch.zeros(img_channels))
        self.clamp = config.conv_clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, in_channels, H, W] and [N, w_dim] -> [N, C, H, W] float32."""
        y: Tensor = self.conv(x, w).float() + self.bias[:, None, None]
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class Stylegan2Synthesis(NoisySynthesis):
    """A learned constant, then two layers a level; every level adds to the image."""

    def __init__(self, config: Stylegan2Config, spec: ImageSpec) -> None:
        height, width, doublings = base_grid(spec.height, spec.width, Stylegan2.name)
        widths = [config.channels(level) for level in range(doublings + 1)]
        grids = [(height << level, width << level) for level in range(doublings + 1)]
        layers = [StyledLayer(widths[0], widths[0], grids[0], config)]
        for level in range(1, doublings + 1):
            layers += [
                StyledLayer(widths[level - 1], widths[level], grids[level], config, "up"),
                StyledLayer(widths[level], widths[level], grids[level], config),
            ]
        super().__init__(layers, config)
        self.const = nn.Parameter(torch.randn(widths[0], height, width))
        self.to_image = nn.ModuleList(ToImage(width, spec.channels, config) for width in widths)
        self.enlarge = Resample2d(up=2)
        self.num_ws = len(layers) + 1

    def forward(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Make images.

        Args:
            ws: one w per layer, and the last one for the finest step to the image.
            noise: one [N, 1, h, w] per layer, of sizes `noise_grids`; by default it is drawn in
                training and constant otherwise.
        """
        x = self.const.expand(ws.shape[0], -1, -1, -1)
        img: Tensor | None = None
        noises = self.noise_per_layer(noise)
        for index, (layer, layer_noise) in enumerate(zip(self.layers, noises, strict=True)):
            full = self.in_float32[index]
            x = run_layer(layer, x, ws[:, index], layer_noise, in_float32=full)
            if index % 2 == 0:  # a level is complete
                # The step to the image shares its w with the first layer of the next level.
                to_image, w = self.to_image[index // 2], ws[:, index + 1]
                update = run_layer(to_image, x, w, in_float32=full)
                img = update if img is None else self._enlarged(img) + update
        assert img is not None
        return img

    def _enlarged(self, img: Tensor) -> Tensor:
        # The image adds up over all levels; in bfloat16 it would end with 3 digits.
        with full_precision(img):
            larger: Tensor = self.enlarge(img)
            return larger


class Stylegan2(NoisyFamily[Stylegan2Config]):
    """StyleGAN2, config F (Karras et al. 2020)."""

    name, Config = "stylegan2", Stylegan2Config
    paper = "Karras et al. 2020, arXiv:1912.04958"

    def synthesis(self) -> Stylegan2Synthesis:
        """Modulated convolutions with skips to the image."""
        return Stylegan2Synthesis(self.config, self.spec)
