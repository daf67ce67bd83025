import torch

from ganforge.training.engine.host_copy import HostCopy


def test_host_copy_reads_the_values():
    assert HostCopy(torch.tensor([1.0, 0.5])).read() == [1.0, 0.5]
