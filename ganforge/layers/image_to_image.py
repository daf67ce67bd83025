"""Blocks of image-to-image networks: normalization of each image, padding, PatchGAN, U-Net.

They treat each image of a batch by itself, so a batch of N images gives the same numbers as N
batches of one.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ganforge.layers.activation import LeakyReLU, ReLU
from ganforge.layers.resample import Resample2d

LEAKY_SLOPE = 0.2
Upsampling = Literal["transposed", "resize"]
"""How a map doubles its size: by a transposed convolution, or by nearest neighbor and a plain one,
which leaves no checkerboard (Odena et al. 2016, doi:10.23915/distill.00003)."""
Dropping = Callable[[Tensor, int], Tensor]
"""(map, number of its layer) -> the map with some of its values set to zero."""


class InstanceNorm(nn.Module):
    """Normalize each channel of each image to mean 0 and variance 1.

    Written with plain reductions, which keep the memory format and which the compiler fuses with
    the activation that follows. On a CPU, uncompiled, they take about as long as the convolutions;
    torch's group norm is many times faster there, but wants the contiguous format.
    """

    def __init__(self, channels: int | None = None, eps: float = 1e-5) -> None:
        """With `channels`, a scale (from N(1, 0.02)) and a bias are learned for each."""
        super().__init__()
        self.eps = eps
        self.scale: nn.Parameter | None = None
        self.bias: nn.Parameter | None = None
        if channels is not None:
            self.scale = nn.Parameter(torch.empty(channels, 1, 1).normal_(1.0, 0.02))
            self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] of any float type; the statistics are float32."""
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            normal = torch.group_norm(x.contiguous(), x.shape[1], eps=self.eps)
        else:
            var, mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
            normal = (x - mean) * torch.rsqrt(var + self.eps)
        if self.scale is not None and self.bias is not None:
            normal = normal * self.scale + self.bias
        return normal.to(x.dtype)


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


class ResizeConv(nn.Module):
    """Double the size by nearest neighbor, then a convolution over reflected borders."""

    def __init__(self, in_channels: int, out_channels: int, size: int = 3) -> None:
        """`size` is that of the kernel, an odd number."""
        super().__init__()
        conv = nn.Conv2d(in_channels, out_channels, size)
        self.layers = nn.Sequential(ReflectionPad(size // 2), conv)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, out_channels, 2 H, 2 W]."""
        # Not `upsample_nearest`: compiled for a CPU in bfloat16, its backward pass and that of the
        # padding together gave gradients that were not finite (torch 2.14).
        out: Tensor = self.layers(nn.functional.interpolate(x, scale_factor=2.0))
        return out


class LowPassDown(nn.Sequential):
    """Halve the size behind the low-pass filter [1, 2, 1], over reflected borders.

    Source: Zhang 2019, arXiv:1904.11486.
    """

    def __init__(self) -> None:
        super().__init__(ReflectionPad(1), Resample2d(down=2, taps=(1, 2, 1), padding=(0, 0)))


class LowPassUp(nn.Sequential):
    """Double the size before the low-pass filter [1, 3, 3, 1], over repeated edges: bilinear."""

    def __init__(self) -> None:
        # The margin of one pixel becomes two, which the padding of a plain Resample2d(up=2) loses.
        super().__init__(nn.ReplicationPad2d(1), Resample2d(up=2, padding=(0, -1)))


class PatchDiscriminator(nn.Module):
    """PatchGAN: C64-C128-C256-C512 and a one-channel output, one logit per overlapping patch.

    With three layers, the receptive field of a logit is 70 x 70 pixels.
    Source: Isola et al. 2017, arXiv:1611.07004, section 3.2.2 and appendix 6.1.2.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        num_layers: int,
        *,
        affine: bool = False,
        normalize: bool = True,
        antialias: bool = False,
    ) -> None:
        """Build it.

        Args:
            channels: of the images; of a pair, of both together.
            width: channels of the first layer; they double up to 8 times it.
            num_layers: layers after the first.
            affine: whether the normalization has a learned scale and bias.
            normalize: whether the layers after the first have instance norm.
            antialias: halve the size by a low-pass filter after a layer, not by its stride.
        """
        super().__init__()
        sizes = [width * min(1 << i, 8) for i in range(num_layers + 1)]
        halving = 1 if antialias else 2
        filters = [LowPassDown] if antialias else []
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 4, stride=halving, padding=1),
            LeakyReLU(LEAKY_SLOPE),
            *(down() for down in filters),
        ]
        for i in range(num_layers):
            is_last = i == num_layers - 1
            stride = 1 if is_last else halving
            bias = not (affine and normalize)
            layers.append(nn.Conv2d(sizes[i], sizes[i + 1], 4, stride, padding=1, bias=bias))
            if normalize:
                layers.append(InstanceNorm(sizes[i + 1] if affine else None))
            layers.append(LeakyReLU(LEAKY_SLOPE))
            layers += [down() for down in filters if not is_last]
        layers.append(nn.Conv2d(sizes[-1], 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        self.apply(init_translation)

    def forward(self, img: Tensor) -> Tensor:
        """[N, channels, H, W] -> float32 logits [N, 1, h, w]."""
        logits: Tensor = self.layers(img).float()
        return logits

    def features(self, img: Tensor) -> list[Tensor]:
        """[N, channels, H, W] -> the map after each activation, then the logits of `forward`."""
        found: list[Tensor] = []
        x = img
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, LeakyReLU):
                found.append(x)
        return [*found, x.float()]

    @staticmethod
    def smallest_size(num_layers: int) -> int:
        """Smallest height and width, a multiple of 4, for `num_layers`.

        Its last normalized map must have 2 x 2 values, because one value has no variance. The side
        of that map is the input's divided by 2 to the power `num_layers`, less one.
        """
        return max(3 << num_layers, 8)


class UNet(nn.Module):
    """Encoder and decoder with a skip connection at each size; dropout in the inner decoder.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.2.1 and appendix 6.1.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        *,
        dropout: float = 0.5,
        num_dropout: int = 3,
        upsampling: Upsampling = "transposed",
    ) -> None:
        """Build it.

        Args:
            in_channels: of the image.
            out_channels: of the result.
            widths: channels of each encoder layer, each of half the size of the one before.
            dropout: probability with which a value of an inner decoder layer becomes zero.
            num_dropout: decoder layers with dropout, from the second on.
            upsampling: how decoder layers double the size.
        """
        super().__init__()
        self.dropout = dropout
        depth = len(widths)
        self.drops = range(1, 1 + min(num_dropout, depth - 2))
        ends = [in_channels, *widths]
        self.encoder = nn.ModuleList(
            _down(ends[i], ends[i + 1], i not in (0, depth - 1), i > 0) for i in range(depth)
        )
        # Decoder layer i gives the size of encoder layer depth - 2 - i, which it is joined with.
        outs = [*reversed(widths[:-1]), out_channels]
        ins = [widths[-1], *(2 * width for width in outs[:-1])]
        self.decoder = nn.ModuleList(
            _up(ins[i], outs[i], i < depth - 1, upsampling) for i in range(depth)
        )
        self.apply(init_translation)

    @property
    def stride(self) -> int:
        """What the sides of an image must be multiples of."""
        return int(2 ** len(self.encoder))

    def forward(self, img: Tensor, drop: Dropping | None = None) -> Tensor:
        """[N, in_channels, H, W] -> float32 [N, out_channels, H, W] in [-1, 1].

        `drop` replaces the random dropout, which is on in training and evaluation alike: it is
        the only noise of the paper's generator.
        """
        skips: list[Tensor] = []
        x = img
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for number, layer in enumerate(self.decoder):
            x = layer(x)
            if self.dropout and number in self.drops:
                x = nn.functional.dropout(x, self.dropout) if drop is None else drop(x, number)
            if skips:
                x = torch.cat([x, skips.pop()], dim=1)
        return torch.tanh(x.float())


def _down(in_channels: int, out_channels: int, has_norm: bool, has_slope: bool) -> nn.Sequential:
    layers: list[nn.Module] = [LeakyReLU(LEAKY_SLOPE)] if has_slope else []
    layers.append(nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=not has_norm))
    return nn.Sequential(*layers, *([InstanceNorm(out_channels)] if has_norm else []))


def _up(
    in_channels: int, out_channels: int, has_norm: bool, upsampling: Upsampling
) -> nn.Sequential:
    conv: nn.Module
    if upsampling == "resize":
        conv = ResizeConv(in_channels, out_channels)
    else:
        conv = nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1, bias=not has_norm)
    return nn.Sequential(ReLU(), conv, *([InstanceNorm(out_channels)] if has_norm else []))


def init_translation(module: nn.Module) -> None:
    """N(0, 0.02) for the weights of a convolution and zero for its bias: `network.apply(...)`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class MultiScaleDiscriminator(nn.Module):
    """A PatchGAN at each of several scales: the image, a half of it, a quarter of it, ...

    Source: Wang et al. 2018, arXiv:1711.11585, section 3.2.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        num_layers: int,
        num_scales: int,
        *,
        affine: bool = False,
        normalize: bool = True,
    ) -> None:
        """Build it; all but `num_scales` are the arguments of `PatchDiscriminator`."""
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(channels, width, num_layers, affine=affine, normalize=normalize)
            for _ in range(num_scales)
        )

    def forward(self, img: Tensor) -> list[Tensor]:
        """[N, channels, H, W] -> float32 logits [N, 1, h, w] by scale, from the finest."""
        return [scale(shown) for scale, shown in zip(self.scales, self._sizes(img), strict=True)]

    def features(self, img: Tensor) -> list[list[Tensor]]:
        """[N, channels, H, W] -> `PatchDiscriminator.features` by scale."""
        found: list[list[Tensor]] = []
        for scale, shown in zip(self.scales, self._sizes(img), strict=True):
            assert isinstance(scale, PatchDiscriminator)
            found.append(scale.features(shown))
        return found

    def _sizes(self, img: Tensor) -> list[Tensor]:
        sizes = [img]
        for _ in self.scales[1:]:
            half = nn.functional.avg_pool2d(sizes[-1], 3, 2, 1, count_include_pad=False)
            sizes.append(half)
        return sizes

    @staticmethod
    def smallest_size(num_layers: int, num_scales: int) -> int:
        """Smallest height and width, a multiple of 4, whose coarsest scale is large enough."""
        return PatchDiscriminator.smallest_size(num_layers) << (num_scales - 1)
