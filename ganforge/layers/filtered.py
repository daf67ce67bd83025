"""Alias-free nonlinearities, and their low-pass filters.

Source: Karras et al. 2021, arXiv:2106.12423, Sec. 3 and appendices B and C.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganforge.layers.activation import leaky_relu
from ganforge.layers.resample import Resample2d


def kaiser_taps(
    num_taps: int, cutoff: float, transition: float, sampling_rate: float
) -> tuple[float, ...]:
    """A low-pass filter of one axis: a sinc under a Kaiser window, with sum one.

    Args:
        num_taps: length; 1 gives the filter that changes nothing.
        cutoff: frequency at which the gain is one half, in the unit of `sampling_rate`.
        transition: distance from the end of the pass band to the start of the stop band.
        sampling_rate: samples per unit of length.

    Source: Karras et al. 2021, arXiv:2106.12423, appendix B; Kaiser 1974.
    """
    if num_taps == 1:
        return (1.0,)
    # The attenuation that this length reaches, in dB, and the window's shape for it.
    width = transition / (sampling_rate / 2)
    attenuation = 2.285 * (num_taps - 1) * math.pi * width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation >= 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    # On the CPU even where networks are counted on the meta device.
    steps = torch.arange(num_taps, dtype=torch.float64, device="cpu")
    time = (steps - (num_taps - 1) / 2) / sampling_rate
    window = torch.kaiser_window(
        num_taps, periodic=False, beta=beta, dtype=torch.float64, device="cpu"
    )
    taps = torch.sinc(2 * cutoff * time) * window
    return tuple((taps / taps.sum()).tolist())


class FilteredLeakyReLU(nn.Module):
    """Leaky ReLU between filtered upsampling and filtered downsampling.

    A rectifier makes frequencies of any height; at the higher sampling rate most of them do not
    fold back, and the second filter removes them.

    Args:
        up: factor of enlargement before the rectifier.
        down: factor of reduction after it.
        up_taps: low-pass filter of one axis at the higher rate, of any sum.
        down_taps: the same for the way down.
        padding: zeros before and after each axis at the higher rate; may be negative.
        clamp: limit of the activations, or None.
    """

    def __init__(
        self,
        up: int,
        down: int,
        up_taps: Sequence[float],
        down_taps: Sequence[float],
        padding: tuple[int, int],
        *,
        clamp: float | None = None,
        slope: float = 0.2,
        gain: float = math.sqrt(2.0),
    ) -> None:
        super().__init__()
        self.clamp, self.slope, self.gain = clamp, slope, gain
        self.enlarge = Resample2d(up=up, taps=up_taps, padding=padding)
        self.reduce = Resample2d(down=down, taps=down_taps, padding=(0, 0))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H', W'], where an axis of length L becomes M long.

        M = (L * up + sum(padding) - U - D + 1) // down + 1 for filters of U and D taps.
        """
        y = leaky_relu(self.enlarge(x), self.slope) * self.gain
        y = y if self.clamp is None else y.clamp(-self.clamp, self.clamp)
        reduced: Tensor = self.reduce(y)
        return reduced
