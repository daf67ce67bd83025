"""Convolutions of small grids equal torch's, and take over only where they are faster."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.training.cpu import small_grids
from ganforge.training.cpu.kernels import CpuKernels
from ganforge.training.cpu.small_grids import conv2d_side_by_side, conv_transpose2d_side_by_side

SIZES = list(itertools.product((3, 4), (2, 5, 8), (1, 2, 3, 4, 5), (1, 2, 3), (0, 1, 2)))


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.double, generator=generator)


def test_conv2d_side_by_side_equals_conv2d_at_every_size():
    for height, width, kernel, stride, padding in SIZES:
        if min(height, width) + 2 * padding < kernel:
            continue
        x, weight, bias = draw(3, 2, height, width), draw(4, 2, kernel, kernel), draw(4)
        found = conv2d_side_by_side(x, weight, bias, (stride,) * 2, (padding,) * 2)
        assert_close(found, functional.conv2d(x, weight, bias, stride, padding))


@pytest.mark.parametrize("output_padding", [0, 1, 2])
def test_conv_transpose2d_side_by_side_equals_conv_transpose2d_at_every_size(output_padding):
    for height, width, kernel, stride, padding in SIZES:
        side = (min(height, width) - 1) * stride - 2 * padding + kernel + output_padding
        if output_padding >= stride or side < 1:
            continue
        x, weight, bias = draw(3, 2, height, width), draw(2, 4, kernel, kernel), draw(4)
        options = (stride, padding, output_padding)
        found = conv_transpose2d_side_by_side(x, weight, bias, *((o, o) for o in options))
        assert_close(found, functional.conv_transpose2d(x, weight, bias, *options))


def test_conv2d_side_by_side_takes_other_settings_for_each_axis():
    x, weight = draw(3, 2, 7, 6), draw(4, 2, 3, 5)
    found = conv2d_side_by_side(x, weight, None, (2, 1), (0, 2))
    assert_close(found, functional.conv2d(x, weight, None, (2, 1), (0, 2)))


def test_side_by_side_has_gradients_of_gradients():
    weight = draw(2, 2, 3, 3).requires_grad_()

    def twice(x):
        y = conv2d_side_by_side(x, weight, None, (1, 1), (1, 1))
        return conv_transpose2d_side_by_side(y, weight, None, (2, 2), (1, 1), (0, 0)).tanh()

    assert torch.autograd.gradgradcheck(twice, draw(2, 2, 2, 2, seed=1).requires_grad_())


def laid_side_by_side(monkeypatch, layer, x, *, dtype=torch.bfloat16):
    """Whether the context lays the images of `x` side by side for a layer under autocast."""
    seen = []
    side_by_side = small_grids._side_by_side
    monkeypatch.setattr(small_grids, "_side_by_side", lambda *a: seen.append(a) or side_by_side(*a))
    enabled = dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled), torch.no_grad():
        expected = layer(x)
        with CpuKernels(matrix_units=True):
            found = layer(x)
    assert_close(found, expected, atol=0.02, rtol=0.02)
    return bool(seen)


@pytest.mark.parametrize(
    ("layer", "side", "expected"),
    [
        (nn.Conv2d(128, 128, 3, padding=1), 8, True),
        (nn.Conv2d(64, 160, 4, 2, 1, bias=False), 16, True),
        (nn.ConvTranspose2d(160, 64, 4, 2, 1), 8, True),
        (nn.Conv2d(128, 128, 3, padding=1), 9, False),  # wide enough by itself
        (nn.ConvTranspose2d(160, 64, 4, 2, 1), 9, False),
        (nn.Conv2d(64, 48, 3, padding=1), 8, False),  # too little work
        (nn.Conv2d(128, 128, 1), 8, False),  # no neighbors, no padding
        (nn.Conv2d(256, 256, 3, padding=1, groups=2), 8, False),
        (nn.Conv2d(128, 128, 3, padding=2, dilation=2), 8, False),
        (nn.Conv2d(128, 128, 3, padding="same"), 8, False),
        (nn.Conv2d(128, 128, 4), 4, False),  # one column is left
    ],
)
def test_small_grids_takes_over_where_it_pays(monkeypatch, layer, side, expected):
    x = torch.randn(3, layer.in_channels, side, side)
    assert laid_side_by_side(monkeypatch, layer, x) is expected


def test_small_grids_leaves_single_images_and_float32_alone(monkeypatch):
    layer = nn.Conv2d(128, 128, 3, padding=1)
    assert not laid_side_by_side(monkeypatch, layer, torch.randn(1, 128, 8, 8))
    x = torch.randn(3, 128, 8, 8)
    assert not laid_side_by_side(monkeypatch, layer, x, dtype=torch.float32)


def test_small_grids_takes_over_in_compiled_networks():
    layer, x = nn.Conv2d(128, 128, 3, padding=1), torch.randn(3, 128, 4, 4)
    counted = torch.compile(layer, backend="eager")
    with torch.autocast("cpu", torch.bfloat16), CpuKernels(matrix_units=True):
        assert_close(counted(x), layer(x), atol=0, rtol=0)


@pytest.mark.parametrize("rectify", [nn.ReLU(), nn.LeakyReLU(0.1), nn.LeakyReLU(0.1, inplace=True)])
@pytest.mark.parametrize("side", [4, 20])
def test_rectifiers_of_small_grids_are_the_same_function(rectify, side):
    x = torch.randn(2, 3, side, side).requires_grad_()
    probe = torch.randn(2, 3, side, side)
    compiled = torch.compile(lambda x: rectify(x * 2), backend="aot_eager")
    with CpuKernels(matrix_units=True):
        found = compiled(x)
    expected = rectify(x * 2)
    assert_close(found, expected)
    grads = (torch.autograd.grad((y * probe).sum(), x)[0] for y in (found, expected))
    assert_close(*grads)


@pytest.mark.parametrize(("side", "masks"), [(8, 0), (9, 1)])
def test_rectifiers_of_small_grids_keep_no_mask(side, masks):
    def rectified(x):
        return functional.pad(functional.relu(x * 2), (1, 1))

    kept = []
    compiled = torch.compile(rectified, backend="aot_eager_decomp_partition")
    x = torch.randn(2, 3, side, side).requires_grad_()
    with (
        CpuKernels(matrix_units=True),
        torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t),
    ):
        compiled(x)
    assert sum(t.dtype == torch.bool for t in kept) == masks
