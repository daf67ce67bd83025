import pytest
import torch

from ganforge.errors import ConfigError
from ganforge.inference.devices import resolve_device


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps:7", "meta", "cpu:3", ""])
def test_resolve_device_that_is_not_there_names_those_there_are(device):
    with pytest.raises(ConfigError, match=rf"device='{device}': there is no such.*has cpu"):
        resolve_device(device)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", torch.device("cpu")])
def test_resolve_device_knows_the_cpu_under_each_name(device):
    assert resolve_device(device).type == "cpu"


@pytest.mark.parametrize("is_available", [False, True])
def test_resolve_device_defaults_to_the_gpu_if_there_is_one(monkeypatch, is_available):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_available)
    assert resolve_device(None).type == ("cuda" if is_available else "cpu")


def test_resolve_device_takes_the_gpus_by_index(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match=r"device='cuda:2'.*has cpu, cuda, cuda:0, cuda:1"):
        resolve_device("cuda:2")
