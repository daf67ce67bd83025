import pytest
import torch
from torch.testing import assert_close

from ganforge.errors import ShapeError
from ganforge.layers import SelfAttention


def test_self_attention_at_initialization_is_the_identity():
    x = torch.randn(2, 8, 4, 4)
    assert_close(SelfAttention(8)(x), x)


def test_self_attention_known_weights_equal_the_formula():
    torch.manual_seed(0)
    layer = SelfAttention(8).double()
    with torch.no_grad():
        layer.gain.fill_(0.7)
    x = torch.randn(1, 8, 2, 2, dtype=torch.float64)
    # With 2x2 input there is one pooled key, so each position reads the same pooled value.
    value = torch.einsum("oi,nihw->nohw", layer.value.weight[:, :, 0, 0], x).amax(dim=(2, 3))
    read = layer.out.weight[:, :, 0, 0] @ value[0]
    assert_close(layer(x), x + 0.7 * read[None, :, None, None])


def test_self_attention_positions_read_what_matches_their_query():
    layer = SelfAttention(8)
    with torch.no_grad():
        for conv in (layer.query, layer.key, layer.value, layer.out):
            conv.weight.zero_()
        layer.query.weight[0, 0] = layer.key.weight[0, 0] = 100.0
        layer.value.weight[0, 1] = layer.out.weight[2, 0] = 1.0
        layer.gain.fill_(1.0)
    x = torch.zeros(1, 8, 2, 4)
    x[:, 0, :, 0] = 1.0  # only the left column asks, and only the left block answers
    x[:, 1, :, :2] = 5.0
    out = layer(x)
    assert_close(out[0, 2, 0, 0], torch.tensor(5.0))
    assert_close(out[0, 2, 0, 3], torch.tensor(2.5))  # no query: the mean of both blocks


def test_self_attention_has_second_derivatives():
    layer = SelfAttention(8, spectral=True)
    with torch.no_grad():
        layer.gain.fill_(1.0)
    x = torch.randn(1, 8, 4, 4, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    grad.square().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_self_attention_with_few_channels_is_refused():
    with pytest.raises(ShapeError, match=r"12 channels.*multiple of 8"):
        SelfAttention(12)
