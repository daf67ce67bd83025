"""StyleGAN: styles set mean and deviation of every feature map (adaptive instance normalization).

Source: Karras et al. 2019, arXiv:1812.04948, Sec. 2 and appendix C.

Deviations from the paper: no progressive growing, any base grid of at least 4 pixels a side in
place of 4x4, style mixing chosen for each image in place of each batch, and class labels as in
arXiv:2006.06676.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganforge.api import ImageSpec, full_precision
from ganforge.layers import (
    EqualizedConv2d,
    EqualizedLinear,
    ResampleMode,
    base_grid,
    run_layer,
    scaled_leaky_relu,
)
from ganforge_stylegan.config import StyleConfig, StyleganConfig
from ganforge_stylegan.family import NoisyFamily
from ganforge_stylegan.generator import NoisyLayer, NoisySynthesis


class AdaptiveInstanceNorm(nn.Module):
    """Give each feature map of each image the deviation and mean that a style asks for.

    Args:
        channels: feature maps.
        w_dim: size of w.
        eps: keeps a constant map finite.

    Source: Karras et al. 2019, arXiv:1812.04948, Eq. 1.
    """

    def __init__(self, channels: int, w_dim: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, 2 * channels)
        self.eps = eps

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, C, H, W] and [N, w_dim] -> [N, C, H, W]."""
        with full_precision(x):
            scale, shift = self.affine(w.float())[:, :, None, None].chunk(2, dim=1)
            variance, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0, keepdim=True)
            # The style is the change from one. The mean goes first: at the start the constant's
            # maps have no variance, and what is left of x - mean is magnified.
            factor = (scale + 1.0) * torch.rsqrt(variance + self.eps)
            y: Tensor = (x.float() - mean) * factor + shift
        return y.to(x.dtype)


class AdainLayer(NoisyLayer):
    """3x3 convolution, noise, bias, leaky ReLU, style; the first layer has no convolution.

    The paper enlarges by nearest neighbor and smooths with [1, 2, 1] (bilinear filtering); on
    inserted zeros that is one filter, [1, 3, 3, 1], which the convolution is fused with here.

    Args:
        in_channels: channels of the input; None for the first layer.
        out_channels: channels of the output.
        grid: height and width of the output.
        config: options.
        is_larger: double the size.
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        grid: tuple[int, int],
        config: StyleConfig,
        is_larger: bool = False,
    ) -> None:
        super().__init__(grid, (out_channels, 1, 1))
        self.conv: EqualizedConv2d | None = None
        if in_channels is not None:
            resample: ResampleMode | None = "up" if is_larger else None
            self.conv = EqualizedConv2d(in_channels, out_channels, 3, bias=False, resample=resample)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.clamp = config.conv_clamp
        self.style = AdaptiveInstanceNorm(out_channels, config.w_dim)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """[N, in_channels, h, w] and [N, w_dim] -> [N, out_channels, H, W]; noise [N, 1, H, W]."""
        y = self.with_noise(x if self.conv is None else self.conv(x), noise)
        y = scaled_leaky_relu(y + self.bias.to(y.dtype)[:, None, None])
        y = y if self.clamp is None else y.clamp(-self.clamp, self.clamp)
        styled: Tensor = self.style(y, w)
        return styled


class StyleganSynthesis(NoisySynthesis):
    """A learned constant, then two layers a level, and one step to the image at the end."""

    def __init__(self, config: StyleConfig, spec: ImageSpec) -> None:
        height, width, doublings = base_grid(spec.height, spec.width, Stylegan.name)
        widths = [config.channels(level) for level in range(doublings + 1)]
        grids = [(height << level, width << level) for level in range(doublings + 1)]
        layers = [
            AdainLayer(None, widths[0], grids[0], config),
            AdainLayer(widths[0], widths[0], grids[0], config),
        ]
        for level in range(1, doublings + 1):
            before, after, grid = widths[level - 1], widths[level], grids[level]
            layers += [
                AdainLayer(before, after, grid, config, is_larger=True),
                AdainLayer(after, after, grid, config),
            ]
        super().__init__(layers, config)
        self.const = nn.Parameter(torch.ones(widths[0], height, width))
        self.to_image = EqualizedConv2d(widths[-1], spec.channels, 1)
        self.num_ws = len(layers)

    def forward(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Make images.

        Args:
            ws: one w per layer.
            noise: one [N, 1, h, w] per layer, of sizes `noise_grids`; by default it is drawn in
                training and constant otherwise.
        """
        x = self.const.expand(ws.shape[0], -1, -1, -1)
        noises = self.noise_per_layer(noise)
        for index, (layer, layer_noise) in enumerate(zip(self.layers, noises, strict=True)):
            x = run_layer(layer, x, ws[:, index], layer_noise, in_float32=self.in_float32[index])
        img = run_layer(self.to_image, x, in_float32=self.in_float32[-1]).float()
        return img


class Stylegan(NoisyFamily[StyleganConfig]):
    """StyleGAN without progressive growing (Karras et al. 2019)."""

    name, Config = "stylegan", StyleganConfig
    paper = "Karras et al. 2019, arXiv:1812.04948"

    def synthesis(self) -> StyleganSynthesis:
        """Convolutions with adaptive instance normalization."""
        return StyleganSynthesis(self.config, self.spec)
