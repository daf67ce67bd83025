import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge import layers


class WithInputs(nn.Module):
    """Gives every layer the same signature: [8, 8, 8, 8] -> tensor."""

    def __init__(self, layer, *extra):
        super().__init__()
        self.layer, self.extra = layer, extra

    def forward(self, x):
        return self.layer(x, *self.extra)


def build(name):
    torch.manual_seed(0)
    cond = torch.randn(8, 3)
    return {
        "equalized": lambda: layers.EqualizedConv2d(8, 4, 3, resample="down"),
        "modulated": lambda: WithInputs(
            layers.ModulatedConv2d(8, 4, 3, 3, resample="up"), cond
        ),
        "filtered": lambda: layers.FilteredLeakyReLU(
            2, 2, layers.BINOMIAL_TAPS, layers.BINOMIAL_TAPS, (3, 2)
        ),
        "stddev": lambda: layers.MinibatchStdDev(),
        "attention": lambda: layers.SelfAttention(8, spectral=True),
        "conditional": lambda: WithInputs(layers.ConditionalBatchNorm2d(8, 3), cond),
        "up": lambda: WithInputs(layers.ResidualUpBlock(8, 4, cond_dim=3), cond),
        "down": lambda: layers.ResidualDownBlock(8, 4, spectral=True),
    }[name]()  # fmt: skip


NAMES = [
    "equalized", "modulated", "filtered", "stddev", "attention", "conditional", "up", "down",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_layer_channels_last_gives_the_same_numbers_in_channels_last(name):
    module, x = build(name), torch.randn(8, 8, 8, 8)
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)
    out = last(x.contiguous(memory_format=torch.channels_last))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert_close(out, module(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_layer_gradient_penalty_reaches_input_and_parameters(name):
    module = build(name)
    x = torch.randn(8, 8, 8, 8, requires_grad=True)
    (grad,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
    grad.square().sum().backward()
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    assert all(torch.isfinite(g).all() for g in grads)
    assert len(grads) == len(list(module.parameters())) or name in ("equalized", "up", "down")


def test_layers_state_is_float_except_the_batch_counter():
    for name in NAMES:
        for key, buffer in build(name).named_buffers():
            assert buffer.is_floating_point() or key.endswith("num_batches_tracked")


def test_layers_compile_in_one_graph_and_agree_with_eager():
    def network(x):
        return [module(x) for module in modules]

    modules = [build(name).eval() for name in ("equalized", "modulated", "stddev", "attention")]
    x = torch.randn(8, 8, 8, 8)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    for mine, theirs in zip(compiled(x), network(x), strict=True):
        assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
