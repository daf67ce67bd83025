"""Residual blocks of ResNet GANs.

Source: Gulrajani et al. 2017, arXiv:1704.00028, appendix F; Miyato et al. 2018, arXiv:1802.05957,
appendix B; Brock et al. 2019, arXiv:1809.11096, appendix B.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from ganforge.layers.activation import relu
from ganforge.layers.conditional import ConditionalBatchNorm2d
from ganforge.layers.resample import upsample_nearest
from ganforge.layers.spectral import spectral_norm

NormFactory = Callable[[int], nn.Module]
"""Builds a normalization for a number of channels."""


def _conv(in_channels: int, out_channels: int, kernel_size: int, spectral: bool) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    return spectral_norm(conv) if spectral else conv


class ResidualUpBlock(nn.Module):
    """Generator block: norm, ReLU, upsample, 3x3, norm, ReLU, 3x3; 1x1 on the skip if needed.

    Args:
        cond_dim: size of the condition of both batch normalizations; 0 for none.
        upsample: double the size (nearest neighbor), or keep it.
        spectral: put spectral normalization on all weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        cond_dim: int = 0,
        upsample: bool = True,
        spectral: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.norm1, self.norm2 = (
            ConditionalBatchNorm2d(channels, cond_dim, spectral=spectral, eps=norm_eps)
            for channels in (in_channels, out_channels)
        )
        self.conv1 = _conv(in_channels, out_channels, 3, spectral)
        self.conv2 = _conv(out_channels, out_channels, 3, spectral)
        changes = upsample or in_channels != out_channels
        self.skip = _conv(in_channels, out_channels, 1, spectral) if changes else None

    def _upsampled(self, x: Tensor) -> Tensor:
        return upsample_nearest(x) if self.upsample else x

    def forward(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """[N, in_channels, H, W] and [N, cond_dim] -> [N, out_channels, H', W']."""
        y = self.conv1(self._upsampled(relu(self.norm1(x, cond))))
        y = self.conv2(relu(self.norm2(y, cond)))
        # A 1x1 convolution commutes with nearest-neighbor upsampling, and is cheaper before it.
        skip = x if self.skip is None else self.skip(x)
        total: Tensor = y + self._upsampled(skip)
        return total


class ResidualDownBlock(nn.Module):
    """Discriminator block: ReLU, 3x3, ReLU, 3x3, mean-pool; 1x1 on the skip if needed.

    Args:
        downsample: halve the size, or keep it.
        first: whether its input is the image; then there is no ReLU before the first convolution.
        spectral: put spectral normalization on all weights.
        wide: give the middle as many channels as the output (BigGAN's), not as the input.
        norm: builds the normalization before each ReLU; None for no normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        downsample: bool = True,
        first: bool = False,
        spectral: bool = False,
        wide: bool = False,
        norm: NormFactory | None = None,
    ) -> None:
        super().__init__()
        self.downsample = downsample
        build: NormFactory = norm or (lambda channels: nn.Identity())
        self.enter = nn.Identity() if first else nn.Sequential(build(in_channels), nn.ReLU())
        # The image's few channels are too narrow a middle.
        hidden = out_channels if first or wide else in_channels
        self.conv1 = _conv(in_channels, hidden, 3, spectral)
        self.middle = nn.Sequential(build(hidden), nn.ReLU())
        self.conv2 = _conv(hidden, out_channels, 3, spectral)
        changes = downsample or in_channels != out_channels
        self.skip = _conv(in_channels, out_channels, 1, spectral) if changes else None

    def _shrink(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 2) if self.downsample else x

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W']."""
        y = self.conv2(self.middle(self.conv1(self.enter(x))))
        # Pooling and a 1x1 convolution commute; the convolution is cheaper after it.
        skip = self._shrink(x)
        return self._shrink(y) + (skip if self.skip is None else self.skip(skip))
