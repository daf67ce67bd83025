import torch
from torch import nn
from torch.testing import assert_close

from ganforge.layers import init_normal, init_orthogonal, init_xavier


def test_init_normal_draws_weights_gains_and_zero_biases():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 64, 3), nn.BatchNorm2d(4096), nn.Linear(64, 64))
    init_normal(network, std=0.02)
    for weight in (network[0].weight, network[2].weight):
        assert_close(weight.std(), torch.tensor(0.02), atol=2e-3, rtol=0)
        assert_close(weight.mean(), torch.tensor(0.0), atol=2e-3, rtol=0)
    assert_close(network[1].weight.mean(), torch.tensor(1.0), atol=2e-3, rtol=0)
    assert_close(network[1].weight.std(), torch.tensor(0.02), atol=2e-3, rtol=0)
    for module in network:
        assert not module.bias.any()


def test_init_orthogonal_rows_are_orthonormal():
    network = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.Embedding(4, 9))
    init_orthogonal(network)
    flat = network[0].weight.reshape(8, -1)
    assert_close(flat @ flat.T, torch.eye(8), atol=1e-5, rtol=0)
    assert_close(network[2].weight @ network[2].weight.T, torch.eye(4), atol=1e-5, rtol=0)
    assert_close(network[1].weight, torch.ones(8))


def test_init_xavier_bounds_weights_by_the_fans():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 64, 3), nn.Linear(64, 64))
    init_xavier(network, gain=2.0)
    for layer, fans in ((network[0], 9 * (16 + 64)), (network[1], 128)):
        bound = 2 * (6 / fans) ** 0.5
        assert_close(layer.weight.abs().max(), torch.tensor(bound), atol=0, rtol=0.01)
        assert_close(layer.weight.std(), torch.tensor(bound / 3**0.5), atol=0, rtol=0.05)
        assert not layer.bias.any()


def test_init_normal_skips_layers_without_bias_or_affine():
    init_normal(nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm2d(2, affine=False)))
