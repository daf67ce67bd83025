import math

import torch
from torch.testing import assert_close

from ganforge.layers import PixelNorm, ScaledLeakyReLU, pixel_norm


def test_scaled_leaky_relu_known_values_follow_slope_and_gain():
    out = ScaledLeakyReLU(slope=0.2, gain=math.sqrt(2))(torch.tensor([-1.0, 0.0, 3.0]))
    assert_close(out, torch.tensor([-0.2, 0.0, 3.0]) * math.sqrt(2))


def test_scaled_leaky_relu_negative_gain_scale_keeps_second_moment_of_a_rectifier():
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    second = ScaledLeakyReLU(slope=0.0)(x).square().mean()
    assert_close(second, torch.tensor(1.0), atol=0.02, rtol=0)


def test_pixel_norm_known_vector_has_unit_mean_square():
    out = pixel_norm(torch.tensor([[3.0, 4.0]]))
    assert_close(out, torch.tensor([[3.0, 4.0]]) / math.sqrt(12.5))


def test_pixel_norm_feature_map_normalises_each_pixel_and_keeps_its_type():
    x = torch.randn(2, 8, 3, 3).bfloat16()
    out = PixelNorm()(x)
    assert out.dtype == torch.bfloat16
    assert_close(out.float().square().mean(dim=1), torch.ones(2, 3, 3), atol=0.02, rtol=0)


def test_pixel_norm_zero_vector_stays_zero_with_finite_gradient():
    x = torch.zeros(1, 4, requires_grad=True)
    pixel_norm(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
