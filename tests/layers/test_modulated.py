import pytest
import torch
from torch.testing import assert_close

from ganforge.layers import ConvResampler, ModulatedConv2d, demodulation, modulated_conv2d


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("mode", [None, "up", "down"])
def test_modulated_conv_both_forms_agree_in_value_and_gradient(demodulate, mode):
    torch.manual_seed(0)
    weight, styles = torch.randn(6, 4, 3, 3) / 6, torch.randn(3, 4)
    x, probe = torch.randn(3, 4, 8, 8), None
    results = []
    for form in ("scaled", "grouped"):
        leaves = [t.clone().requires_grad_() for t in (x, weight, styles)]
        out = modulated_conv2d(*leaves, ConvResampler(3, mode), demodulate=demodulate, form=form)
        probe = torch.randn_like(out) if probe is None else probe
        results.append([out, *torch.autograd.grad((out * probe).sum(), leaves)])
    for scaled, grouped in zip(*results, strict=True):
        assert_close(scaled, grouped, atol=1e-5, rtol=1e-5)


def test_modulated_conv_equals_per_sample_convolution_of_the_paper():
    torch.manual_seed(0)
    x, weight, styles = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3), torch.randn(2, 3)
    out = modulated_conv2d(x, weight, styles, ConvResampler(3))
    for n in range(2):
        modulated = weight * styles[n][None, :, None, None]
        norm = modulated.square().sum(dim=(1, 2, 3), keepdim=True).add(1e-8).sqrt()
        expected = torch.nn.functional.conv2d(x[n : n + 1], modulated / norm, padding=1)
        assert_close(out[n : n + 1], expected, atol=1e-5, rtol=1e-5)


def test_demodulation_known_weight_is_the_inverse_norm():
    weight = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    assert_close(demodulation(weight, torch.tensor([[1.0, 1.0], [2.0, 0.0]])),
                 torch.tensor([[1 / 5.0], [1 / 6.0]]))  # fmt: skip


def test_demodulation_bfloat16_styles_is_computed_in_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        factors = demodulation(torch.randn(4, 8, 3, 3), torch.randn(2, 8).bfloat16())
    assert factors.dtype == torch.float32


def test_modulated_module_style_scale_cancels_only_with_demodulation():
    torch.manual_seed(0)
    x, w = torch.randn(2, 4, 8, 8), torch.zeros(2, 6)
    for demodulate in (True, False):
        layer = ModulatedConv2d(4, 5, 3, 6, demodulate=demodulate)
        before = layer(x, w)
        with torch.no_grad():
            layer.affine.bias.mul_(3.0)
        expected = before if demodulate else before * 3
        assert_close(layer(x, w), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", ["scaled", "grouped"])
def test_modulated_module_demodulated_output_has_unit_variance(form):
    torch.manual_seed(0)
    layer = ModulatedConv2d(32, 64, 3, 16, form=form)
    out = layer(torch.randn(4, 32, 16, 16), torch.randn(4, 16))
    assert_close(out[..., 1:-1, 1:-1].var(), torch.tensor(1.0), atol=0.1, rtol=0)


def test_modulated_module_zero_w_leaves_the_channels_as_they_are():
    layer = ModulatedConv2d(4, 3, 1, 6, demodulate=False)
    x = torch.randn(2, 4, 3, 3)
    expected = torch.einsum("oi,nihw->nohw", layer.weight[:, :, 0, 0] / 2, x)
    assert_close(layer(x, torch.zeros(2, 6)), expected)


def test_modulated_module_has_second_derivatives():
    torch.manual_seed(0)
    layer = ModulatedConv2d(2, 2, 3, 3, resample="up").double()
    # The module keeps its style path in float32, too coarse for finite differences.
    weight, convolve = layer.weight.detach(), layer.convolve
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    styles = torch.randn(1, 2, requires_grad=True)
    out = modulated_conv2d(x, weight, styles.double(), convolve)
    (first,) = torch.autograd.grad((out**2).sum(), styles, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), x)
    assert torch.isfinite(second).all() and second.abs().sum() > 0


def test_modulated_module_under_autocast_stays_near_float32():
    torch.manual_seed(0)
    layer, x, w = ModulatedConv2d(8, 8, 3, 4), torch.randn(2, 8, 8, 8), torch.randn(2, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x.bfloat16(), w)
    assert out.dtype == torch.bfloat16
    assert_close(out.float(), layer(x, w), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("form", ["scaled", "grouped"])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulated_module_gain_multiplies_the_result(form, demodulate):
    layer = ModulatedConv2d(4, 5, 3, 6, demodulate=demodulate, form=form)
    x, w = torch.randn(2, 4, 8, 8), torch.randn(2, 6)
    assert_close(layer(x, w, torch.tensor(3.0)), layer(x, w) * 3, atol=1e-5, rtol=1e-4)


def test_modulated_module_padding_adds_borders_of_the_full_convolution():
    layer = ModulatedConv2d(4, 5, 3, 6, padding=2)
    x, w = torch.randn(2, 4, 8, 8), torch.randn(2, 6)
    out = layer(x, w)
    assert out.shape == (2, 5, 10, 10)
    layer.convolve = ConvResampler(3)
    assert_close(out[..., 1:-1, 1:-1], layer(x, w), atol=1e-5, rtol=1e-4)
