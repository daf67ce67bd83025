import math

import torch
from torch.nn import functional
from torch.testing import assert_close

from ganforge.layers import EqualizedConv2d, EqualizedLinear


def test_equalized_linear_known_weights_are_scaled_at_run_time():
    layer = EqualizedLinear(4, 2, bias_init=0.5, lr_mult=0.1)
    with torch.no_grad():
        layer.weight.fill_(10.0)
    out = layer(torch.ones(1, 4))
    assert_close(out, torch.full((1, 2), 4 * 10.0 * 0.1 / math.sqrt(4) + 0.5))


def test_equalized_linear_lr_mult_keeps_the_function_at_initialization():
    torch.manual_seed(0)
    x = torch.randn(64, 256)
    for lr_mult in (1.0, 0.01):
        layer = EqualizedLinear(256, 512, lr_mult=lr_mult)
        assert_close(layer.weight.std() * lr_mult, torch.tensor(1.0), atol=0.02, rtol=0)
        assert_close(layer(x).std(), torch.tensor(1.0), atol=0.05, rtol=0)


def test_equalized_linear_step_along_the_gradient_scales_with_lr_mult():
    changes = []
    for lr_mult in (1.0, 0.01):
        layer = EqualizedLinear(4, 1, bias=False, lr_mult=lr_mult)
        before = layer(torch.ones(1, 4))
        with torch.no_grad():
            layer.weight.add_(0.1)  # as an Adam step does, whatever the scale
        changes.append(layer(torch.ones(1, 4)) - before)
    assert_close(changes[1], changes[0] * 0.01, rtol=1e-3, atol=1e-6)


def test_equalized_conv_matches_a_plain_convolution_by_scaled_weights():
    layer = EqualizedConv2d(3, 5, 3, lr_mult=0.1)
    with torch.no_grad():
        layer.bias.normal_()
    x = torch.randn(2, 3, 6, 8)
    gain = 0.1 / math.sqrt(27)
    expected = functional.conv2d(x, layer.weight * gain, layer.bias * 0.1, padding=1)
    assert_close(layer(x), expected)


def test_equalized_conv_resampling_gives_twice_or_half_the_size_and_keeps_variance():
    torch.manual_seed(0)
    x = torch.randn(2, 64, 16, 8)
    up = EqualizedConv2d(64, 4, 3, resample="up")(x)
    down = EqualizedConv2d(64, 4, 3, resample="down", bias=False)(x)
    assert up.shape == (2, 4, 32, 16)
    assert down.shape == (2, 4, 8, 4)


def test_equalized_conv_under_autocast_returns_bfloat16_near_float32():
    torch.manual_seed(0)
    layer, x = EqualizedConv2d(8, 8, 3, resample="up"), torch.randn(2, 8, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    assert_close(out.float(), layer(x), atol=0.05, rtol=0.05)
