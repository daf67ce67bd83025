"""The networks of CycleGAN: a residual translator and the PatchGAN discriminator.

Both are fully convolutional and normalize each image separately, so a batch of N images gives the
same numbers as N batches of one. The layer names c7s1-64, d128, R256, u128 are the paper's.
Source: Zhu et al. 2017, arXiv:1703.10593, section 4 and appendix 7.2.
"""

import torch
from torch import Tensor, nn

from ganforge.layers import LeakyReLU, ReLU

LEAKY_SLOPE = 0.2


class InstanceNorm(nn.Module):
    """Normalize each channel of each image to mean 0 and variance 1, without learned scale.

    Written with plain reductions: torch's own op copies a channels_last tensor to the other
    layout and back, and this form lets the compiler fuse it with the activation that follows.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] of any float type; the statistics are float32."""
        var, mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
        return ((x - mean) * torch.rsqrt(var + self.eps)).to(x.dtype)


class ReflectionPad(nn.Module):
    """Mirror `pad` rows and columns at each border, without repeating the edge.

    A map that has no more than `pad` rows or columns repeats its edge instead.
    """

    def __init__(self, pad: int) -> None:
        super().__init__()
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H + 2 pad, W + 2 pad]."""
        mode = "reflect" if min(x.shape[2:]) > self.pad else "replicate"
        return nn.functional.pad(x, (self.pad,) * 4, mode=mode)


def _conv_norm_relu(in_channels: int, out_channels: int, stride: int = 2) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)
    return [conv, InstanceNorm(), ReLU()]


def _up_norm_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    conv = nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)
    return [conv, InstanceNorm(), ReLU()]


class ResidualBlock(nn.Module):
    """R256: two reflection-padded 3x3 convolutions with a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
            ReLU(),
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        change: Tensor = self.layers(x)
        return x + change


class Translator(nn.Module):
    """c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3, with 64 as `width`."""

    def __init__(self, in_channels: int, out_channels: int, width: int, num_blocks: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.layers = nn.Sequential(
            ReflectionPad(3),
            nn.Conv2d(in_channels, width, 7),
            InstanceNorm(),
            ReLU(),
            *_conv_norm_relu(width, 2 * width),
            *_conv_norm_relu(2 * width, 4 * width),
            *(ResidualBlock(4 * width) for _ in range(num_blocks)),
            *_up_norm_relu(4 * width, 2 * width),
            *_up_norm_relu(2 * width, width),
            ReflectionPad(3),
            nn.Conv2d(width, out_channels, 7),
        )
        self.apply(_initialize)

    def forward(self, img: Tensor) -> Tensor:
        """[N, in_channels, H, W] in [-1, 1] -> float32 [N, out_channels, H, W] in [-1, 1]."""
        return torch.tanh(self.layers(img).float())


class PatchDiscriminator(nn.Module):
    """C64-C128-C256-C512 and a one-channel output: one logit per overlapping patch.

    With three layers, the receptive field of a logit is 70 x 70 pixels.
    """

    def __init__(self, channels: int, width: int, num_layers: int) -> None:
        super().__init__()
        sizes = [width * min(1 << i, 8) for i in range(num_layers + 1)]
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            LeakyReLU(LEAKY_SLOPE),
        ]
        for i in range(num_layers):
            stride = 1 if i == num_layers - 1 else 2
            layers += [
                nn.Conv2d(sizes[i], sizes[i + 1], 4, stride=stride, padding=1),
                InstanceNorm(),
                LeakyReLU(LEAKY_SLOPE),
            ]
        layers.append(nn.Conv2d(sizes[-1], 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        self.apply(_initialize)

    def forward(self, img: Tensor) -> Tensor:
        """[N, channels, H, W] -> float32 logits [N, 1, h, w]."""
        logits: Tensor = self.layers(img).float()
        return logits


def smallest_size(num_layers: int) -> int:
    """Smallest height and width, a multiple of 4, for a discriminator with `num_layers`.

    Its last normalized map must have 2 x 2 values, because one value has no variance. The side of
    that map is the input's divided by 2 to the power `num_layers`, less one.
    """
    return max(3 << num_layers, 8)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
