import math

import pytest
import torch
from torch.testing import assert_close

from ganforge.errors import ShapeError
from ganforge.layers import MinibatchDiscrimination, MinibatchStdDev


def test_minibatch_stddev_known_batch_appends_its_mean_deviation():
    x = torch.zeros(2, 2, 1, 1)
    x[0, 0], x[1, 0], x[0, 1], x[1, 1] = 1.0, -1.0, 5.0, 11.0
    out = MinibatchStdDev(group_size=2)(x)
    assert_close(out[:, :2], x)
    assert_close(out[:, 2], torch.full((2, 1, 1), (1.0 + 3.0) / 2))


def test_minibatch_stddev_groups_see_only_their_own_samples():
    x = torch.zeros(4, 1, 2, 2)
    x[0], x[2] = 1.0, -1.0  # groups are strided: samples 0 and 2, 1 and 3
    out = MinibatchStdDev(group_size=2)(x)
    assert_close(out[:, 1, 0, 0], torch.tensor([1.0, 1e-4, 1.0, 1e-4]))


def test_minibatch_stddev_without_group_size_takes_the_whole_batch():
    x = torch.randn(6, 2, 2, 2)
    assert_close(MinibatchStdDev(group_size=None)(x), MinibatchStdDev(group_size=6)(x))


def test_minibatch_stddev_several_channels_describe_parts_of_the_features():
    x = torch.zeros(2, 4, 1, 1)
    x[0, 2:] = 2.0
    out = MinibatchStdDev(group_size=4, num_channels=2)(x)
    assert_close(out[0, 4:, 0, 0], torch.tensor([1e-4, 1.0]))


def test_minibatch_stddev_gradient_of_equal_samples_is_finite():
    x = torch.ones(4, 2, 2, 2, requires_grad=True)
    MinibatchStdDev()(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_minibatch_stddev_batch_not_divisible_says_what_to_change():
    with pytest.raises(ShapeError, match=r"batch of 6 into groups of 4.*train\.batch_size"):
        MinibatchStdDev(group_size=4)(torch.zeros(6, 2, 2, 2))


def test_minibatch_stddev_channels_not_divisible_says_what_to_change():
    with pytest.raises(ShapeError, match=r"5 features into num_channels=2.*divisor of 5"):
        MinibatchStdDev(num_channels=2)(torch.zeros(4, 5, 2, 2))


def test_minibatch_discrimination_known_distance_appends_closeness():
    layer = MinibatchDiscrimination(1, num_kernels=1, kernel_dim=2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0]]))
    out = layer(torch.tensor([[0.0], [1.0], [1.0]]))
    far = math.exp(-3.0)
    assert_close(out[:, 1], torch.tensor([1 + 2 * far, 2 + far, 2 + far]))


def test_minibatch_discrimination_collapsed_batch_is_closer_than_a_diverse_one():
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(4, num_kernels=3, kernel_dim=2)
    collapsed = layer(torch.ones(5, 4))[:, 4:]
    assert_close(collapsed, torch.full((5, 3), 5.0))
    assert (layer(torch.randn(5, 4) * 100)[:, 4:] < collapsed).all()
