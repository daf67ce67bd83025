import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.layers import FilteredLeakyReLU, kaiser_taps


def response(taps, frequency, rate):
    """Magnitude of a filter's gain at a frequency."""
    time = (torch.arange(len(taps), dtype=torch.float64) - (len(taps) - 1) / 2) / rate
    taps = torch.tensor(taps, dtype=torch.float64)
    return float((taps * torch.cos(2 * math.pi * frequency * time)).sum().abs())


def test_kaiser_taps_are_symmetric_and_keep_constants():
    taps = kaiser_taps(12, 4.0, 4.0, 32.0)
    assert taps == pytest.approx(taps[::-1])
    assert sum(taps) == pytest.approx(1.0)
    assert kaiser_taps(1, 4.0, 4.0, 32.0) == (1.0,)


def test_kaiser_taps_in_numbers_of_the_definition():
    """Four taps, written out: A = 2.285 * 3 * pi * 0.8 + 7.95 = 25.18, so beta = 1.36."""
    attenuation = 2.285 * 3 * math.pi * 0.8 + 7.95
    beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    assert beta == pytest.approx(1.3643, abs=1e-3)
    bessel = lambda x: float(torch.special.i0(torch.tensor(x, dtype=torch.float64)))  # noqa: E731
    sinc = lambda x: math.sin(math.pi * x) / (math.pi * x)  # noqa: E731
    weights = []
    for step in (0.5, 1.5):
        window = bessel(beta * math.sqrt(1 - (2 * step / 3) ** 2)) / bessel(beta)
        weights.append(sinc(2 * 2.0 * step / 10.0) * window)
    total = 2 * sum(weights)
    expected = [weights[1], weights[0], weights[0], weights[1]]
    assert kaiser_taps(4, 2.0, 4.0, 10.0) == pytest.approx([w / total for w in expected])


@pytest.mark.parametrize(
    "num_taps, cutoff, half_width, rate",
    # Filters of the paper's 256x256 network: layer 0 up, layer 4 down, a critical layer.
    [(12, 2.0, 6.0, 32), (12, 8.0, 8.0, 64), (12, 45.25, 18.75, 256), (24, 32.0, 32.0, 512)],
)
def test_kaiser_taps_pass_below_and_stop_above_the_cutoff(num_taps, cutoff, half_width, rate):
    taps = kaiser_taps(num_taps, cutoff, 2 * half_width, rate)
    attenuation = 2.285 * (num_taps - 1) * math.pi * 2 * half_width / (rate / 2) + 7.95
    ripple = 10 ** (-attenuation / 20)
    stop = torch.linspace(cutoff + half_width, rate / 2, 50)
    assert max(response(taps, float(f), rate) for f in stop) < 2 * ripple
    if half_width <= cutoff:  # else the transition reaches down to constants
        assert response(taps, cutoff, rate) == pytest.approx(0.5, abs=0.01)


def test_kaiser_taps_longer_filters_stop_more():
    stopped = [response(kaiser_taps(n, 8.0, 8.0, 64.0), 16.0, 64.0) for n in (6, 12, 24, 48)]
    assert stopped == sorted(stopped, reverse=True)
    assert stopped[-1] < 1e-3 < stopped[0]


def wave(frequency, phase, length, rate):
    """A cosine along the width, at pixel centers."""
    position = (torch.arange(length) - (length - 1) / 2) / rate
    row = torch.cos(2 * math.pi * (frequency * position + phase))
    return row.expand(1, 1, 64, length)


def rectified(x, **options):
    taps = kaiser_taps(24, 8.0, 8.0, 64.0)
    return FilteredLeakyReLU(2, 2, taps, taps, (23, 22), **options)(x)


def test_filtered_leaky_relu_without_rectifier_keeps_low_frequencies_and_the_size():
    x = wave(2.0, 0.1, 64, 32)
    out = rectified(x, slope=1.0, gain=1.0)
    assert out.shape == x.shape
    inner = (..., slice(16, -16), slice(16, -16))
    assert_close(out[inner], x[inner], atol=0.02, rtol=0)


def test_filtered_leaky_relu_moves_with_its_input_and_the_plain_one_does_not():
    """Both are followed by the same filter; only before the rectifier does the rate differ."""
    shift = 0.4 / 32  # of a pixel
    still, moved = wave(5.0, 0.0, 96, 32), wave(5.0, -5.0 * shift, 96, 32)

    def frequencies(features):
        row = features[0, 0, 30, 16:80]  # ten waves, so that each has its own bin
        return torch.fft.rfft(row.double())

    def error(operation):
        """How far harmonics turn from what a shift turns them by, against the strongest."""
        one, other = frequencies(operation(still)), frequencies(operation(moved))
        turn = -2j * math.pi * shift * torch.arange(len(one)) / 64 * 32
        return float((one * torch.exp(turn) - other).abs().max() / one.abs().max())

    plain = lambda x: rectified(nn.functional.leaky_relu(x, 0.2), slope=1.0)  # noqa: E731
    assert error(rectified) < 0.02
    assert error(plain) > 5 * error(rectified)


def test_filtered_leaky_relu_clamps_between_the_filters():
    x = torch.full((1, 1, 32, 32), 100.0)
    out = rectified(x, clamp=1.0)
    assert_close(out[..., 16, 16], torch.ones(1, 1), atol=1e-3, rtol=0)


def test_filtered_leaky_relu_can_be_differentiated_twice():
    layer = FilteredLeakyReLU(2, 4, (1.0, 3.0, 1.0), (1.0, 2.0, 2.0, 1.0), (3, 2)).double()
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)
