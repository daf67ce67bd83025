"""How networks are compiled and laid out in memory."""

import sys

import torch
from torch import nn
from training.toy import toy_config

from ganforge.training.build import choose_compile, to_channels_last


def test_choose_compile_says_why(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setenv("CXX", sys.executable)  # a program that is there

    def chosen(compile, total_kimg, precision):
        config = toy_config({"compile": compile, "total_kimg": total_kimg, "batch_size": 10})
        return choose_compile(config, cpu, precision)

    assert chosen(True, 1, "fp32")[0] and not chosen(False, 1000, "bf16")[0]
    wanted, why = chosen("auto", 4, "bf16")
    assert not wanted and "400 steps are too few" in why
    assert chosen("auto", 6, "bf16")[0]
    wanted, why = chosen("auto", 6, "fp32")
    assert not wanted and "600 steps in fp32 on a CPU are too few" in why
    assert chosen("auto", 300, "fp32")[0]
    monkeypatch.setenv("CXX", "no-such-compiler")
    wanted, why = chosen("auto", 300, "bf16")
    assert not wanted and "no-such-compiler" in why


def test_to_channels_last_leaves_3d_convolutions_alone():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(3, 4))
    to_channels_last(module)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert module[1].weight.is_contiguous()
