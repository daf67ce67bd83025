"""Common parts of the StyleGAN generators: mapping network, style mixing, truncation, noise.

Source: Karras et al. 2019, arXiv:1812.04948.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganforge.api import full_precision
from ganforge.layers import EqualizedLinear, pixel_norm, scaled_leaky_relu
from ganforge_stylegan.config import StyleConfig

# A mean over this many is off by 3 % of the standard deviation of w.
_MEAN_LATENTS = 1024


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


class NoisyLayer(nn.Module):
    """A layer that adds noise of a learned strength.

    Args:
        grid: height and width of its output.
        strength: shape of the strength: () for one value, (C, 1, 1) for one per channel.
    """

    noise_const: Tensor

    def __init__(self, grid: tuple[int, int], strength: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.noise_strength = nn.Parameter(torch.zeros(strength))
        self.register_buffer("noise_const", torch.randn(1, 1, *grid))

    def with_noise(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """Add noise to [N, C, H, W].

        Args:
            x: features.
            noise: [N, 1, H, W]; None draws it in training and uses the constant noise otherwise.
        """
        if noise is None:
            noise = self.noise_const
            if self.training:
                noise = torch.randn(x.shape[0], 1, *x.shape[2:], device=x.device)
        return x + (noise * self.noise_strength).to(x.dtype)


class Synthesis(nn.Module):
    """ws [N, num_ws, w_dim] -> img [N, C, H, W].

    Attributes:
        num_ws: number of latents w per image.
    """

    num_ws: int


class NoisySynthesis(Synthesis):
    """A synthesis network whose layers add noise: `forward(ws, noise=None)`.

    Attributes:
        layers: `NoisyLayer`s, from the coarsest.
        noise_grids: sizes of their noise.
        in_float32: whether they stay in float32 where others do not.
    """

    def __init__(self, layers: Sequence[NoisyLayer], config: StyleConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.noise_grids = [layer.noise_const.shape[2:] for layer in layers]
        self.in_float32 = [config.in_float32((h, w)) for h, w in self.noise_grids]

    def noise_per_layer(self, noise: Sequence[Tensor] | None) -> Sequence[Tensor | None]:
        """The noise given, or None for each layer."""
        return [None] * len(self.layers) if noise is None else noise


class StyleGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] -> img [N, C, H, W], mostly in [-1, 1]."""

    w_avg: Tensor

    def __init__(self, config: StyleConfig, c_dim: int, synthesis: Synthesis) -> None:
        super().__init__()
        self.config, self.c_dim = config, c_dim
        self.mapping = Mapping(
            config.z_dim, c_dim, config.w_dim, config.mapping_layers, config.mapping_lr_mult
        )
        self.synthesis = synthesis
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Generate; in training mix styles, draw noise and update `w_avg`."""
        w = self.mapping(z, c)
        if self.training:
            with torch.no_grad():
                # Linear in w, so the mean over slots equals one update with all of them.
                self.w_avg.lerp_(w.mean(dim=0), 1.0 - self.config.w_avg_decay)
        img: Tensor = self.synthesis(self._mixed(w, z, c))
        return img

    def styles(self, z: Tensor, c: Tensor) -> Tensor:
        """Latents ws [N, num_ws, w_dim], mixed as in `forward`, without updating `w_avg`."""
        return self._mixed(self.mapping(z, c), z, c)

    def _mixed(self, w: Tensor, z: Tensor, c: Tensor) -> Tensor:
        """Switch a fraction of the images to another latent's style at a random layer."""
        ws = w[:, None].expand(-1, self.synthesis.num_ws, -1)
        if not self.training or self.config.style_mixing == 0:
            return ws
        other = self.mapping(torch.randn_like(z), c)[:, None]
        num, num_ws = ws.shape[0], self.synthesis.num_ws
        chosen = torch.rand(num, 1, device=w.device) < self.config.style_mixing
        crossover = torch.randint(1, num_ws, (num, 1), device=w.device)
        swap = chosen & (torch.arange(num_ws, device=w.device) >= crossover)
        return torch.where(swap[:, :, None], other, ws)

    def class_means(self, c: Tensor) -> Tensor:
        """The mean w [N, w_dim] of each image's class, over the same latents for every class.

        Args:
            c: [N, c_dim], c_dim > 0.
        """
        fixed = torch.Generator().manual_seed(0)
        z = torch.randn(_MEAN_LATENTS, self.config.z_dim, generator=fixed).to(c.device)
        classes, index = torch.unique(c, dim=0, return_inverse=True)
        means = [self.mapping(z, one.expand(len(z), -1)).mean(dim=0) for one in classes]
        return torch.stack(means)[index]

    def truncated(
        self, w: Tensor, psi: float, cutoff: int | None = None, mean: Tensor | None = None
    ) -> Tensor:
        """Latents ws [N, num_ws, w_dim], moved toward a mean w.

        Args:
            w: [N, w_dim].
            psi: 1 keeps w, 0 gives the mean.
            cutoff: only the first `cutoff` layers are truncated; None for all.
            mean: [N, w_dim]; by default the mean of all classes, `w_avg`.

        Source: Karras et al. 2019, arXiv:1812.04948, appendix B.
        """
        num_ws = self.synthesis.num_ws
        ws = w[:, None].expand(-1, num_ws, -1)
        near = torch.lerp(self.w_avg.expand_as(w) if mean is None else mean, w, psi)[:, None]
        is_near = torch.arange(num_ws, device=w.device) < (num_ws if cutoff is None else cutoff)
        return torch.where(is_near[None, :, None], near, ws)
