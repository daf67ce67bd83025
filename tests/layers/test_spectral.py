import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.layers import init_normal, init_orthogonal, spectral_norm


def top_singular_value(matrix):
    return torch.linalg.svdvals(matrix)[0]


@pytest.mark.parametrize(
    "module, flat",
    [
        (nn.Linear(6, 4), lambda w: w),
        (nn.Conv2d(3, 5, 3), lambda w: w.reshape(5, -1)),
        (nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last), lambda w: w.reshape(5, -1)),
        (nn.ConvTranspose2d(3, 5, 3), lambda w: w.transpose(0, 1).reshape(5, -1)),
        (nn.Embedding(7, 3), lambda w: w),
    ],
)
def test_spectral_norm_after_iterations_equals_division_by_svd(module, flat):
    plain = module.weight.detach().clone()
    wrapped = spectral_norm(copy.deepcopy(module), num_iterations=100)
    expected = plain / top_singular_value(flat(plain))
    assert_close(wrapped.weight, expected, atol=1e-4, rtol=1e-4)
    assert_close(top_singular_value(flat(wrapped.weight)), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_spectral_norm_training_and_evaluation_agree_on_the_same_state():
    wrapped = spectral_norm(nn.Linear(6, 4))
    trained = wrapped.weight.detach()
    wrapped.eval()
    assert_close(wrapped.weight, trained)
    assert_close(wrapped.weight, trained, atol=0, rtol=0, msg="evaluation must not iterate")


def test_spectral_norm_gradient_matches_the_exact_derivative():
    torch.manual_seed(0)
    wrapped = spectral_norm(nn.Linear(5, 3, bias=False), num_iterations=200)
    probe = torch.randn(3, 5)
    (wrapped.weight * probe).sum().backward()
    original = wrapped.parametrizations.weight.original
    exact = original.detach().clone().requires_grad_()
    (exact / top_singular_value(exact) * probe).sum().backward()
    assert_close(original.grad, exact.grad, atol=1e-4, rtol=1e-3)


def test_spectral_norm_of_a_zero_weight_is_zero_with_finite_gradients():
    wrapped = spectral_norm(nn.Linear(4, 3))
    original = wrapped.parametrizations.weight.original
    nn.init.zeros_(original)
    wrapped.weight.sum().backward()
    assert_close(wrapped.weight, torch.zeros(3, 4))
    assert original.grad.isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_spectral_norm_of_a_convolution_copies_no_weight(layout):
    conv = spectral_norm(nn.Conv2d(3, 5, 3).to(memory_format=layout))
    original = conv.parametrizations.weight.original
    matrix = conv.parametrizations.weight[0]._matrix(original)
    assert matrix.shape == (5, 27)
    assert matrix.data_ptr() == original.data_ptr()


def test_spectral_norm_two_forwards_then_two_backwards_gives_each_forwards_gradient():
    wrapped = spectral_norm(nn.Linear(4, 3))
    original = wrapped.parametrizations.weight.original
    first, second = torch.randn(2, 4), torch.randn(2, 4)
    start = copy.deepcopy(wrapped)
    losses = [wrapped(first).square().sum(), wrapped(second).square().sum()]
    for loss in losses:  # the second forward has changed the singular vector since the first
        loss.backward()
    for x in (first, second):
        start(x).square().sum().backward()
    assert_close(original.grad, start.parametrizations.weight.original.grad)


def test_spectral_norm_state_is_one_float_buffer_and_moves_with_state_dict():
    wrapped = spectral_norm(nn.Linear(4, 3))
    buffers = dict(wrapped.named_buffers())
    assert [b.dtype for b in buffers.values()] == [torch.float32]
    other = spectral_norm(nn.Linear(4, 3))
    other.load_state_dict(wrapped.state_dict())
    assert_close(other.eval().weight, wrapped.eval().weight, atol=0, rtol=0)


def test_spectral_norm_under_autocast_estimates_in_float32():
    wrapped = spectral_norm(nn.Linear(64, 64)).eval()
    exact = wrapped.weight
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(wrapped.weight, exact, atol=0, rtol=0)


def test_init_orthogonal_behind_spectral_norm_reaches_the_parameter_and_the_estimate():
    wrapped = spectral_norm(nn.Linear(6, 3))
    init_orthogonal(wrapped, gain=5.0)
    original = wrapped.parametrizations.weight.original
    assert_close(original @ original.T, 25 * torch.eye(3), atol=1e-4, rtol=0)
    assert_close(top_singular_value(wrapped.eval().weight), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_init_normal_behind_spectral_norm_renews_the_estimate():
    torch.manual_seed(0)
    wrapped = spectral_norm(nn.Linear(3, 3)).eval()
    init_normal(wrapped)
    original = wrapped.parametrizations.weight.original
    assert_close(wrapped.weight, original / top_singular_value(original), atol=1e-2, rtol=0.05)


def test_spectral_norm_builds_on_the_meta_device():
    with torch.device("meta"):
        layer = spectral_norm(nn.Conv2d(2, 3, 3))
    assert layer.weight.is_meta
