"""StyleGAN2's generator: mapping network, synthesis network with skips to the image.

Source: Karras et al. 2020, arXiv:1912.04958, Sec. 2 and appendix B; mapping and style mixing
Karras et al. 2019, arXiv:1812.04948.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganforge.api import ImageSpec, full_precision
from ganforge.layers import (
    EqualizedLinear,
    ModulatedConv2d,
    Resample2d,
    ResampleMode,
    pixel_norm,
    scaled_leaky_relu,
)
from ganforge_stylegan.config import Stylegan2Config, base_grid


class Mapping(nn.Module):
    """z [N, z_dim] and c [N, c_dim] -> w [N, w_dim], in float32; either input may be empty."""

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, num_layers: int, lr_mult: float) -> None:
        super().__init__()
        self.z_dim, self.c_dim = z_dim, c_dim
        self.embed = EqualizedLinear(c_dim, w_dim) if c_dim else None
        sizes = [z_dim + (w_dim if c_dim else 0), *[w_dim] * num_layers]
        self.layers = nn.ModuleList(
            EqualizedLinear(sizes[i], sizes[i + 1], lr_mult=lr_mult) for i in range(num_layers)
        )

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Map."""
        with full_precision(c):
            inputs = [pixel_norm(z.float())] if self.z_dim else []
            if self.embed is not None:
                inputs.append(pixel_norm(self.embed(c.float())))
            w = torch.cat(inputs, dim=1)
            for layer in self.layers:
                w = scaled_leaky_relu(layer(w))
        return w


class StyledLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        grid: height and width of the output.
        config: options.
        resample: "up" doubles the size.
    """

    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid: tuple[int, int],
        config: Stylegan2Config,
        resample: ResampleMode | None = None,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(
            in_channels, out_channels, 3, config.w_dim, resample=resample, form=config.modulation
        )
        self.clamp = config.conv_clamp
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise_const", torch.randn(1, 1, *grid))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """[N, in_channels, h, w] and [N, w_dim] -> [N, out_channels, H, W].

        Args:
            x: features.
            w: mapped latent.
            noise: [N, 1, H, W]; None draws it in training and takes the constant otherwise.
        """
        y: Tensor = self.conv(x, w)
        if noise is None:
            noise = self.noise_const
            if self.training:
                noise = torch.randn(y.shape[0], 1, *y.shape[2:], device=y.device)
        y = y + (noise * self.noise_strength).to(y.dtype)
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


class Synthesis(nn.Module):
    """ws [N, num_ws, w_dim] -> img [N, C, H, W]: a learned constant, then two layers a level."""

    def __init__(self, config: Stylegan2Config, spec: ImageSpec) -> None:
        super().__init__()
        height, width, doublings = base_grid(spec)
        widths = [config.channels(level) for level in range(doublings + 1)]
        grids = [(height << level, width << level) for level in range(doublings + 1)]
        self.const = nn.Parameter(torch.randn(widths[0], height, width))
        layers = [StyledLayer(widths[0], widths[0], grids[0], config)]
        for level in range(1, doublings + 1):
            layers += [
                StyledLayer(widths[level - 1], widths[level], grids[level], config, "up"),
                StyledLayer(widths[level], widths[level], grids[level], config),
            ]
        self.layers = nn.ModuleList(layers)
        self.to_image = nn.ModuleList(ToImage(width, spec.channels, config) for width in widths)
        self.enlarge = Resample2d(up=2)
        self.noise_grids = [layer.noise_const.shape[2:] for layer in layers]
        self.num_ws = len(layers) + 1

    def forward(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Make images.

        Args:
            ws: one w per layer, and the last one for the finest step to the image.
            noise: one [N, 1, h, w] per layer, of sizes `noise_grids`; by default it is drawn in
                training and constant otherwise.
        """
        noises: Sequence[Tensor | None] = [None] * len(self.layers) if noise is None else noise
        x = self.const.expand(ws.shape[0], -1, -1, -1)
        img: Tensor | None = None
        for index, (layer, layer_noise) in enumerate(zip(self.layers, noises, strict=True)):
            x = layer(x, ws[:, index], layer_noise)
            if index % 2 == 0:  # a level is complete
                # The step to the image shares its w with the first layer of the next level.
                update = self.to_image[index // 2](x, ws[:, index + 1])
                img = update if img is None else self._enlarged(img) + update
        assert img is not None
        return img

    def _enlarged(self, img: Tensor) -> Tensor:
        # The image adds up over all levels; in bfloat16 it would end with 3 digits.
        with full_precision(img):
            larger: Tensor = self.enlarge(img)
            return larger


class Stylegan2Generator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W], mostly in [-1, 1]."""

    w_avg: Tensor

    def __init__(self, config: Stylegan2Config, spec: ImageSpec) -> None:
        super().__init__()
        self.config, self.c_dim = config, spec.num_classes
        self.mapping = Mapping(
            config.z_dim, self.c_dim, config.w_dim, config.mapping_layers, config.mapping_lr_mult
        )
        self.synthesis = Synthesis(config, spec)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Make images; in training with mixed styles and fresh noise, and `w_avg` follows w."""
        w = self.mapping(z, c)
        if self.training:
            with torch.no_grad():
                # Linear in w, so the mean over slots is the update by all of them.
                self.w_avg.lerp_(w.mean(dim=0), 1.0 - self.config.w_avg_decay)
        img: Tensor = self.synthesis(self._mixed(w, z, c))
        return img

    def styles(self, z: Tensor, c: Tensor) -> Tensor:
        """Latents ws [N, num_ws, w_dim], mixed as in `forward`; `w_avg` stays."""
        return self._mixed(self.mapping(z, c), z, c)

    def _mixed(self, w: Tensor, z: Tensor, c: Tensor) -> Tensor:
        """Let a part of the images change to another latent's style at a random layer."""
        ws = w[:, None].expand(-1, self.synthesis.num_ws, -1)
        if not self.training or self.config.style_mixing == 0:
            return ws
        other = self.mapping(torch.randn_like(z), c)[:, None]
        num, num_ws = ws.shape[0], self.synthesis.num_ws
        chosen = torch.rand(num, 1, device=w.device) < self.config.style_mixing
        crossover = torch.randint(1, num_ws, (num, 1), device=w.device)
        swap = chosen & (torch.arange(num_ws, device=w.device) >= crossover)
        return torch.where(swap[:, :, None], other, ws)

    def truncated(self, w: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
        """Latents ws [N, num_ws, w_dim], drawn towards the mean w.

        Args:
            w: [N, w_dim].
            psi: 1 leaves w as it is, 0 gives the mean.
            cutoff: only the first `cutoff` layers are truncated; None for all.

        Source: Karras et al. 2019, arXiv:1812.04948, appendix B.
        """
        num_ws = self.synthesis.num_ws
        ws = w[:, None].expand(-1, num_ws, -1)
        near = torch.lerp(self.w_avg.expand_as(w), w, psi)[:, None]
        is_near = torch.arange(num_ws, device=w.device) < (num_ws if cutoff is None else cutoff)
        return torch.where(is_near[None, :, None], near, ws)
