import math

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from ganforge.layers import (
    LeakyReLU,
    PixelNorm,
    ReLU,
    ScaledLeakyReLU,
    leaky_relu,
    pixel_norm,
    relu,
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ReLU(), functional.relu), (LeakyReLU(0.1), lambda x: functional.leaky_relu(x, 0.1))],
    ids=["relu", "leaky_relu"],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_rectifier_with_or_without_mask_equals_torchs_with_its_gradients(ours, theirs, compiled):
    torch._dynamo.reset()
    x = torch.linspace(-2, 2, 40).requires_grad_()
    weight = torch.linspace(1, 3, 40)
    form = torch.compile(ours, backend="eager", fullgraph=True) if compiled else ours

    out, wanted = form(x), theirs(x)

    assert_close(out, wanted)
    grads = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (out, wanted)]
    assert_close(*grads)
    if compiled:  # the form without a mask, not the other again
        assert "Abs" in str(out.grad_fn.next_functions[1][0].next_functions)


def test_rectifier_at_the_end_of_half_precision_stays_finite():
    x = torch.tensor([60000.0, -60000.0], dtype=torch.float16)
    compiled = torch.compile(relu, backend="eager", fullgraph=True)

    assert compiled(x).tolist() == [60000.0, 0.0]
    assert torch.isfinite(leaky_relu(x)).all()


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


def test_pixel_norm_feature_map_normalizes_each_pixel_and_keeps_its_type():
    x = torch.randn(2, 8, 3, 3).bfloat16()
    out = PixelNorm()(x)
    assert out.dtype == torch.bfloat16
    assert_close(out.float().square().mean(dim=1), torch.ones(2, 3, 3), atol=0.02, rtol=0)


def test_pixel_norm_zero_vector_stays_zero_with_finite_gradient():
    x = torch.zeros(1, 4, requires_grad=True)
    pixel_norm(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
