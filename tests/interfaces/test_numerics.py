import pytest
import torch

from ganforge.interfaces.numerics import cudnn_benchmark, set_tf32, tf32


@pytest.fixture(autouse=True)
def put_back():
    with tf32(torch.backends.cudnn.allow_tf32):
        yield


def switches():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def test_tf32_holds_for_convolutions_and_products_until_the_context_ends():
    set_tf32(True)
    with pytest.raises(ValueError, match="x"), tf32(False):
        assert switches() == (False, False)
        raise ValueError("x")
    assert switches() == (True, True)
    set_tf32(False)
    with tf32(True):
        assert switches() == (True, True)
    assert switches() == (False, False)


def test_cudnn_benchmark_ends_with_the_context():
    before = torch.backends.cudnn.benchmark
    with cudnn_benchmark(not before):
        assert torch.backends.cudnn.benchmark is not before
    assert torch.backends.cudnn.benchmark is before
