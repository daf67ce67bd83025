"""Resampling with FIR filters, alone or fused with a convolution.

Filters are separable. They are applied as depthwise convolutions, as products with banded matrices
(small images on a CPU) or as sums of shifted copies (short filters on a GPU). All forms can be
differentiated any number of times.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

BINOMIAL_TAPS = (1.0, 3.0, 3.0, 1.0)
"""The low-pass filter of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, appendix B)."""

ResampleMode = Literal["up", "down"]

_MAX_MATRIX_SIDE = 64
"""The largest side, the smaller of input and output, at which matrices are used. They took 1/20 to
all of the time of depthwise convolutions in bfloat16 (forward and backward, one core), and about
the same in float32."""

_MAX_SUMMED_TAPS = 8
"""The longest filter that a GPU applies as a sum of shifted copies. Inductor fuses the sum with
what comes before and after it, and its second derivative is another sum. Not measured on a GPU."""


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeat each pixel 2 x 2: [N, C, H, W] -> [N, C, 2H, 2W] in channels_last.

    Equal to `interpolate(x, scale_factor=2)`, whose backward pass took 10 times as long when
    compiled for a CPU (torch 2.15).
    """
    n, c, h, w = x.shape
    pixels = x.permute(0, 2, 3, 1)[:, :, None, :, None]
    return pixels.expand(n, h, 2, w, 2, c).reshape(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)


def fir_kernel(taps: Sequence[float] = BINOMIAL_TAPS) -> Tensor:
    """Return the taps as a float32 vector whose sum is one."""
    kernel = torch.tensor(taps, dtype=torch.float32)
    return kernel / kernel.sum()


def resample2d(
    img: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1, padding: tuple[int, int] = (0, 0)
) -> Tensor:
    """Insert zeros, pad, filter and subsample, along both axes alike.

    Each axis of length L becomes `(L * up + sum(padding) - K) // down + 1` long.

    Args:
        img: [N, C, H, W].
        kernel: [K] taps of the filter along one axis; not normalized here.
        up: insert `up - 1` zeros after each sample.
        down: keep every down-th result.
        padding: zeros before and after each axis, after the insertion; negative values crop.
    """
    taps = kernel.to(img.dtype)
    is_small = max(img.shape[2:]) <= _MAX_MATRIX_SIDE * down
    if is_small and max(up, down) > 1 and img.device.type == "cpu":
        rows, columns = (_matrix(taps, length, up, down, padding) for length in img.shape[2:])
        return _multiply(img, rows, columns)
    if img.device.type == "cuda" and kernel.numel() <= _MAX_SUMMED_TAPS:
        return _sum_shifted(img, kernel, up, down, padding)
    rows, columns = taps.reshape(1, 1, -1, 1), taps.reshape(1, 1, 1, -1)
    if up > 1:
        img = _insert_and_filter(_insert_and_filter(img, columns, up, padding), rows, up, padding)
        return img[..., ::down, ::down]
    img = functional.pad(img, (*padding, *padding))
    return _filter(_filter(img, columns, down), rows, down)


def _matrix(taps: Tensor, length: int, up: int, down: int, padding: tuple[int, int]) -> Tensor:
    """The matrix [new length, length] that resamples one axis."""
    num_taps = taps.numel()
    after = (length * up + sum(padding) - num_taps) // down + 1
    outputs = torch.arange(after, device=taps.device)[:, None] * down + num_taps - 1 - padding[0]
    tap = outputs - torch.arange(length, device=taps.device) * up
    inside = (tap >= 0) & (tap < num_taps)
    return taps[tap.clamp(0, num_taps - 1)] * inside


def _multiply(img: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows @ img @ columns.T for each channel, in the memory format of the image."""
    num, channels, height, _ = img.shape
    above, across = len(rows), len(columns)
    # One channel is contiguous in both formats; the compiler assumes plain strides for it.
    if channels > 1 and img.is_contiguous(memory_format=torch.channels_last):
        # Each axis in turn is made the first after the batch, so that there are two products for
        # each image instead of one for each row. The transposed tensor is the smaller one.
        last = img.permute(0, 2, 3, 1)
        if above < height:
            full = _leading(_leading(last, rows).transpose(1, 2), columns).transpose(1, 2)
        else:
            full = _leading(_leading(last.transpose(1, 2), columns).transpose(1, 2), rows)
        return full.contiguous().permute(0, 3, 1, 2)
    wide = functional.linear(img, columns).reshape(num * channels, height, across)
    full = torch.bmm(rows.expand(len(wide), -1, -1), wide)
    return full.reshape(num, channels, above, across)


def _leading(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply along the first axis of each image: [N, A, B, C] and [M, A] -> [N, M, B, C]."""
    num, length, other, channels = x.shape
    y = torch.bmm(matrix.expand(num, -1, -1), x.reshape(num, length, other * channels))
    return y.reshape(num, len(matrix), other, channels)


def _sum_shifted(
    img: Tensor, kernel: Tensor, up: int, down: int, padding: tuple[int, int]
) -> Tensor:
    """Both axes in turn, in float32 at least; see `resample2d`."""
    if img.dtype in (torch.bfloat16, torch.float16):
        return _sum_shifted(img.float(), kernel, up, down, padding).to(img.dtype)
    for axis in (3, 2):
        img = _sum_along(img, kernel.to(img.dtype), axis, up, padding)
        if down > 1:
            img = img[..., ::down] if axis == 3 else img[..., ::down, :]
    return img


def _sum_along(img: Tensor, taps: Tensor, axis: int, up: int, padding: tuple[int, int]) -> Tensor:
    """Filter one axis at the higher rate: each of the `up` phases of the output is a sum."""
    length, num_taps = img.shape[axis], taps.numel()
    size = length * up + sum(padding) - num_taps + 1
    count = -(-size // up)
    # Output up * i + phase is the sum of taps[t] * img[i + start(phase, t)] over those t for which
    # the start is whole; the other taps meet inserted zeros.
    first = num_taps - 1 - padding[0]
    starts = [
        [(t, (phase + first - t) // up) for t in range(num_taps) if (phase + first - t) % up == 0]
        for phase in range(up)
    ]
    found = [start for phase in starts for _, start in phase]
    before, after = -min(found), max(found) + count - length
    ends = (before, after) if axis == 3 else (0, 0, before, after)
    padded = functional.pad(img, ends)
    phases = []
    for phase in starts:
        terms = [taps[t] * padded.narrow(axis, start + before, count) for t, start in phase]
        nothing = padded.narrow(axis, 0, count) * 0  # where all taps meet zeros
        phases.append(sum(terms[1:], terms[0]) if terms else nothing)
    if up == 1:
        return phases[0]
    full = torch.stack(phases, dim=axis + 1).flatten(axis, axis + 1)
    return full.narrow(axis, 0, size)


def _filter(img: Tensor, kernel: Tensor, down: int) -> Tensor:
    channels = img.shape[1]
    stride = (down, 1) if kernel.shape[3] == 1 else (1, down)
    # Convolution, as filters are defined, is correlation with the flipped kernel.
    weight = kernel.flip((2, 3)).expand(channels, 1, *kernel.shape[2:])
    if down > 1 and img.device.type == "cpu":
        # The backward pass of a strided depthwise convolution in bfloat16 took 8 times as long as
        # that of filtering everything and dropping half.
        full = functional.conv2d(img, weight, groups=channels)
        return full[:, :, :: stride[0], :: stride[1]]
    return functional.conv2d(img, weight, stride=stride, groups=channels)


def _insert_and_filter(img: Tensor, kernel: Tensor, up: int, padding: tuple[int, int]) -> Tensor:
    """Filter along one axis by a transposed convolution, which never stores the zeros."""
    channels, taps = img.shape[1], kernel.numel()
    vertical = kernel.shape[3] == 1
    # The transposed convolution returns every position where filter and signal overlap; crop
    # these margins to get the padding.
    before, after = taps - 1 - padding[0], taps - up - padding[1]
    inside = before if before == after and before >= 0 else 0
    full = functional.conv_transpose2d(
        img,
        kernel.expand(channels, 1, *kernel.shape[2:]),
        stride=(up, 1) if vertical else (1, up),
        padding=(inside, 0) if vertical else (0, inside),
        groups=channels,
    )
    if inside == before == after:
        return full
    margins = (-before, -after)
    return functional.pad(full, (0, 0, *margins) if vertical else margins)


def same_padding(taps: int, *, up: int = 1, down: int = 1) -> tuple[int, int]:
    """The padding with which `resample2d` turns L samples into exactly L * up / down."""
    if up > 1:
        return (taps + up - 1) // 2, (taps - up) // 2
    return (taps - down + 1) // 2, (taps - down) // 2


class Resample2d(nn.Module):
    """Low-pass filter with up- or downsampling that keeps the mean brightness.

    Args:
        taps: taps of the filter along one axis, of any sum.
        padding: zeros before and after each axis; by default, those that give exactly
            [H * up / down, W * up / down].
        gain: factor along each axis; by default `up`, which compensates for the inserted zeros.
    """

    kernel: Tensor

    def __init__(
        self,
        *,
        up: int = 1,
        down: int = 1,
        taps: Sequence[float] = BINOMIAL_TAPS,
        padding: tuple[int, int] | None = None,
        gain: float | None = None,
    ) -> None:
        super().__init__()
        self.up, self.down = up, down
        self.padding = same_padding(len(taps), up=up, down=down) if padding is None else padding
        kernel = fir_kernel(taps) * (up if gain is None else gain)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, img: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H * up / down, W * up / down]."""
        return resample2d(img, self.kernel, up=self.up, down=self.down, padding=self.padding)


class ConvResampler(nn.Module):
    """Convolution by a given weight, fused with a factor 2 of filtered resampling.

    Up: stride-2 transposed convolution, then the filter. Down: the filter, then a stride-2
    convolution. A 1x1 convolution is done at the lower resolution of the two.

    Args:
        kernel_size: odd side of the weights.
        mode: "up", "down", or None for the plain convolution.
        taps: taps of the filter along one axis.
        padding: zeros on each border of the plain convolution; by default the size is kept.

    Source: Karras et al. 2019, arXiv:1812.04948, Sec. 2; Karras et al. 2020, arXiv:1912.04958.
    """

    def __init__(
        self,
        kernel_size: int,
        mode: ResampleMode | None = None,
        taps: Sequence[float] = BINOMIAL_TAPS,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.mode, self.pointwise = mode, kernel_size == 1
        self.margin = kernel_size // 2 if padding is None else padding
        self.filter: Resample2d | None = None
        if self.pointwise and mode is not None:
            up, down = (2, 1) if mode == "up" else (1, 2)
            self.filter = Resample2d(up=up, down=down, taps=taps)
        elif mode is not None:
            # With this padding the size is exactly doubled or halved.
            pad = len(taps) + (1 - kernel_size if mode == "up" else kernel_size - 3)
            gain = 2.0 if mode == "up" else 1.0
            self.filter = Resample2d(taps=taps, padding=((pad + 1) // 2, pad // 2), gain=gain)

    def forward(self, x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        """[N, I, H, W] and the weight [O, I / groups, k, k] -> [N, O, H', W']."""
        if self.filter is None:
            margin = self.margin
            if margin > (weight.shape[-1] - 1) // 2 and x.device.type == "cpu":
                # Otherwise the gradient of the weight takes 8 times as long in bfloat16 (AMX,
                # torch 2.14).
                x, margin = functional.pad(x, (margin,) * 4), 0
            return functional.conv2d(x, weight, padding=margin, groups=groups)
        if self.mode == "down":
            stride = 1 if self.pointwise else 2
            return functional.conv2d(self._filtered(x), weight, stride=stride, groups=groups)
        if self.pointwise:
            return self._filtered(functional.conv2d(x, weight, groups=groups))
        out, fan, height, width = weight.shape
        swapped = weight.reshape(groups, out // groups, fan, height, width).transpose(1, 2)
        swapped = swapped.reshape(groups * fan, out // groups, height, width)
        return self._filtered(functional.conv_transpose2d(x, swapped, stride=2, groups=groups))

    def _filtered(self, x: Tensor) -> Tensor:
        assert self.filter is not None
        y: Tensor = self.filter(x)
        return y
