import pytest
import torch
from torch.nn import functional

from ganforge.planning import roofline
from ganforge.planning.gpus import GPUS
from ganforge.planning.roofline import fuse, kernel_seconds, seconds
from ganforge.planning.trace import Kernel, recording

A100 = GPUS["A100"]


def kernel(flops=0.0, size=0, is_half=False, is_grouped=False):
    return Kernel("k", "dense", flops, is_half, is_grouped, ((1, size),), ((2, 0),))


def test_small_kernel_takes_a_launch():
    assert kernel_seconds(kernel(1, 1), A100) == roofline.LAUNCH_SEC


def test_kernel_with_much_memory_is_bound_by_the_bandwidth():
    wanted = 1e-3 / roofline.MEMORY_EFFICIENCY
    assert kernel_seconds(kernel(1e6, 2_039_000_000), A100) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("is_half", "is_grouped", "tf32", "tflops"),
    [
        (True, False, False, 312 * roofline.HALF_EFFICIENCY),
        (True, True, False, 19.5 * roofline.FLOAT_EFFICIENCY),
        (False, False, False, 19.5 * roofline.FLOAT_EFFICIENCY),
        (False, False, True, 156 * roofline.HALF_EFFICIENCY),
        (False, True, True, 19.5 * roofline.FLOAT_EFFICIENCY),
    ],
)
def test_kernel_with_much_arithmetic_is_bound_by_its_units(is_half, is_grouped, tf32, tflops):
    found = kernel_seconds(kernel(1e15, 1, is_half, is_grouped), A100, tf32=tf32)
    assert found == pytest.approx(1e15 / (tflops * 1e12))


def test_pointwise_chain_becomes_one_kernel():
    x = torch.empty(1000, device="meta")
    with recording(None) as trace:
        y = (x * 2 + 1).tanh()
    (one,) = fuse(trace.kernels)
    assert (len(trace.kernels), one.traffic, y.shape) == (3, 8000, (1000,))
    assert seconds([one], A100) == roofline.LAUNCH_SEC


def test_result_that_a_convolution_reads_is_stored():
    x, weight = torch.empty(1, 3, 8, 8, device="meta"), torch.empty(3, 3, 1, 1, device="meta")
    with recording(None) as trace:
        functional.conv2d(x * 2, weight).tanh()
    assert [each.name for each in fuse(trace.kernels)] == ["mul", "convolution", "tanh"]


def test_reduction_reads_through_what_is_pointwise_and_stores_its_result():
    x = torch.empty(10, 10, device="meta")
    with recording(None) as trace:
        x.mul(2).sum(0) + 1
    first, second = fuse(trace.kernels)
    assert first.name == "sum"
    assert first.reads == trace.kernels[0].reads
    assert second.reads == first.writes


def test_value_that_two_kernels_need_is_computed_twice_and_never_stored():
    x = torch.empty(100, device="meta")
    with recording(None) as trace:
        y = x * 2
        a, b = y.tanh(), y.exp()
    del y
    found = fuse(trace.kernels)
    assert [each.traffic for each in found] == [800, 800]
    assert a.shape == b.shape
