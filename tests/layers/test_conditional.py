import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.errors import ShapeError
from ganforge.layers import ConditionalBatchNorm2d


def test_conditional_batch_norm_class_rows_choose_gain_and_bias():
    layer = ConditionalBatchNorm2d(2, 3)
    with torch.no_grad():
        layer.gain.weight.copy_(torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]]))
        layer.bias.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [5.0, 6.0, 7.0]]))
    x = torch.randn(3, 2, 4, 4)
    normal = nn.BatchNorm2d(2)(x)
    out = layer(x, torch.eye(3))
    for n, (gain, bias) in enumerate([(1.0, 5.0), (2.0, 6.0), (3.0, 7.0)]):
        assert_close(out[n, 0], normal[n, 0] * gain)
        assert_close(out[n, 1], normal[n, 1] + bias)


def test_conditional_batch_norm_without_condition_is_plain_batch_norm():
    layer, plain = ConditionalBatchNorm2d(3, 0), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 2, 2)
    assert_close(layer(x), plain(x))
    assert_close(layer(x, torch.zeros(4, 0)), plain(x))
    assert {n for n, _ in layer.named_parameters()} == {"norm.weight", "norm.bias"}


def test_conditional_batch_norm_spectral_predictors_have_unit_norm():
    layer = ConditionalBatchNorm2d(3, 4, spectral=True)
    value = torch.linalg.svdvals(layer.gain.weight)[0]
    assert_close(value, torch.tensor(1.0), atol=1e-2, rtol=0)


@pytest.mark.parametrize("cond", [None, torch.zeros(2, 5), torch.zeros(1, 3)])
def test_conditional_batch_norm_wrong_condition_says_what_it_wants(cond):
    with pytest.raises(ShapeError, match=r"over 4 channels.*wants \[2, 3\]: ?|cond_dim=0"):
        ConditionalBatchNorm2d(4, 3)(torch.zeros(2, 4, 2, 2), cond)


def test_conditional_batch_norm_under_autocast_keeps_the_input_type():
    layer = ConditionalBatchNorm2d(2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(torch.randn(2, 2, 4, 4).bfloat16(), torch.eye(3)[:2])
    assert out.dtype == torch.bfloat16
