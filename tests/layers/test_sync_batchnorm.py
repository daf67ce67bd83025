import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.layers import SyncBatchNorm, convert_sync_batchnorm, sum_over_ranks

WORKER = Path(__file__).with_name("sync_batchnorm_worker.py")


def run_two_ranks(folder):
    env = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(folder)],
            env=env, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], errors


@pytest.mark.dist
def test_sync_batchnorm_two_ranks_equal_one_process_on_the_joint_batch(tmp_path):
    run_two_ranks(tmp_path)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    torch.manual_seed(0)
    x = torch.randn(5, 3, 4, 4) * 2 + 100
    probe, weight = torch.randn(5, 3, 4, 4), torch.rand(3) + 0.5
    norm = nn.BatchNorm2d(3)
    norm.weight.data.copy_(weight)
    x.requires_grad_()
    out = norm(x)
    loss = (out**3 * probe).sum()
    (grad,) = torch.autograd.grad(loss, x, create_graph=True)
    grad.square().sum().backward()
    close = {"atol": 2e-4, "rtol": 1e-3}
    assert_close(torch.cat([p["out"] for p in parts]), out, **close)
    assert_close(torch.cat([p["compiled"] for p in parts]), out, **close)
    assert_close(torch.cat([p["grad"] for p in parts]), grad, **close)
    assert_close(torch.cat([p["second"] for p in parts]), x.grad, **close)
    # Each rank holds its share of the weight's gradient; the engine adds them up.
    assert_close(sum(p["weight_grad"] for p in parts), norm.weight.grad, **close)
    for part in parts:
        assert_close(part["running_mean"], norm.running_mean)
        assert_close(part["running_var"], norm.running_var)


def test_sync_batchnorm_in_one_process_is_plain_batch_norm():
    x, plain = torch.randn(4, 3, 2, 2), nn.BatchNorm2d(3)
    sync = convert_sync_batchnorm(nn.BatchNorm2d(3))
    assert_close(sync(x), plain(x), atol=0, rtol=0)
    assert_close(sync.running_var, plain.running_var, atol=0, rtol=0)
    assert sum_over_ranks(x) is x


def test_convert_sync_batchnorm_keeps_parameters_names_and_mode():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()))
    network.eval()
    weight, keys = network[1][0].weight, list(network.state_dict())
    assert convert_sync_batchnorm(network) is network
    assert isinstance(network[1][0], SyncBatchNorm)
    assert network[1][0].weight is weight
    assert list(network.state_dict()) == keys
    assert not network[1][0].training


def test_convert_sync_batchnorm_leaves_other_norms_alone():
    network = nn.Sequential(nn.InstanceNorm2d(2), nn.GroupNorm(1, 2))
    convert_sync_batchnorm(network)
    assert [type(m) for m in network] == [nn.InstanceNorm2d, nn.GroupNorm]


def test_convert_sync_batchnorm_replaces_torchs_own_and_keeps_what_is_converted():
    network = nn.Sequential(nn.SyncBatchNorm(2), SyncBatchNorm(3))
    convert_sync_batchnorm(network)
    assert [type(m) for m in network] == [SyncBatchNorm, SyncBatchNorm]
