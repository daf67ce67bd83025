"""Batch moments agree with torch's batch normalization, also where groups are joined."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.layers import SyncBatchNorm
from ganforge.layers.batchnorm import BatchNorm, join_moments, moments, normalize, unbias


def draw(*shape):
    return torch.randn(shape, dtype=torch.double, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4)])
def test_moments_and_normalize_are_torchs_batch_norm(shape):
    x, weight, bias = draw(*shape), draw(3) + 2, draw(3)
    running_mean, running_var = torch.zeros(3).double(), torch.zeros(3).double()
    expected = functional.batch_norm(
        x, running_mean, running_var, weight, bias, training=True, momentum=1.0, eps=1e-3
    )
    mean, var = moments(x)
    assert_close(normalize(x, mean, var, weight, bias, 1e-3), expected)
    assert_close(mean, running_mean)
    assert_close(var * unbias(x.numel() / 3), running_var)


def test_normalize_without_weight_and_bias_gives_unit_moments():
    x = 3 * draw(8, 2, 4) + 100
    y = normalize(x, *moments(x), None, None, 0.0)
    assert_close(torch.stack(moments(y)), torch.tensor([[0.0, 0.0], [1.0, 1.0]]).double())


def test_unbias_of_a_single_value_is_one():
    assert unbias(1) == 1
    assert unbias(5) == 1.25


def test_join_moments_of_unequal_groups_are_those_of_all_values():
    groups = [draw(2, 3) + 5, 2 * draw(6, 3)]
    means, variances = (torch.stack(found) for found in zip(*map(moments, groups), strict=True))
    joint = join_moments(means, variances, torch.tensor([[0.25], [0.75]]).double())
    assert_close(joint, moments(torch.cat(groups)))


def test_join_moments_of_equal_groups_takes_one_share():
    x = draw(12, 3) + torch.arange(12)[:, None]
    means, variances = zip(*(moments(group) for group in x.chunk(4)), strict=True)
    assert_close(join_moments(torch.stack(means), torch.stack(variances), 1 / 4), moments(x))


def test_batch_norm_base_class_covers_every_kind_and_nothing_else():
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, SyncBatchNorm)
    assert all(isinstance(norm(2), BatchNorm) for norm in norms)
    assert not isinstance(nn.InstanceNorm2d(2), BatchNorm)


def test_layers_import_without_torchs_compiler():
    # It takes two seconds, which every command would pay at its start.
    code = "import sys, ganforge.layers; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
