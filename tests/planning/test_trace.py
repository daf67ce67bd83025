import pytest
import torch
from torch import nn
from torch.nn import functional

from ganforge.interfaces.batch import full_precision
from ganforge.planning.trace import recording


def empty(*shape, **options):
    return torch.empty(shape, device="meta", **options)


def by_name(trace):
    return {kernel.name: kernel for kernel in trace.kernels}


def test_convolution_counts_two_operations_for_each_weight_and_pixel():
    with recording(None) as trace:
        functional.conv2d(empty(2, 3, 8, 8), empty(5, 3, 3, 3), padding=1)
    (kernel,) = trace.kernels
    assert kernel.flops == 2 * (2 * 5 * 8 * 8) * (3 * 3 * 3)
    assert (kernel.kind, kernel.is_half, kernel.is_grouped) == ("dense", False, False)
    assert kernel.traffic == 4 * (2 * 3 * 64 + 5 * 27 + 2 * 5 * 64)


def test_gradients_of_a_filter_for_each_channel_count_no_other_channels():
    x, weight = empty(2, 6, 8, 8, requires_grad=True), empty(6, 1, 3, 3, requires_grad=True)
    y = functional.conv2d(x, weight, groups=6)
    with recording(None) as trace:
        y.backward(empty(*y.shape))
    kernel = by_name(trace)["convolution_backward"]
    assert kernel.is_grouped
    assert kernel.flops == 2 * (2 * y.numel() * 9)  # at the image and at the filter


def test_transposed_convolution_counts_its_smaller_side():
    with recording(None) as trace:
        functional.conv_transpose2d(empty(1, 3, 4, 4), empty(3, 5, 2, 2), stride=2)
    assert trace.kernels[0].flops == 2 * (3 * 16) * (5 * 4)


def test_matrix_product_counts_its_operations():
    with recording(None) as trace:
        functional.linear(empty(4, 3), empty(5, 3), empty(5))
    assert by_name(trace)["addmm"].flops == 2 * 4 * 3 * 5


def test_views_launch_nothing_and_expanded_tensors_read_what_they_hold():
    x = empty(4, 1)
    with recording(None) as trace:
        expanded = x.expand(4, 100).reshape(4, 10, 10)
        expanded + 1
    (kernel,) = trace.kernels
    assert kernel.name == "add"
    assert kernel.traffic == 4 * 4 + 400 * 4


def test_autocast_casts_products_but_not_within_full_precision():
    x, weight = empty(1, 3, 8, 8), empty(3, 3, 1, 1)
    with recording(torch.bfloat16) as trace:
        y = functional.conv2d(x, weight)
        with full_precision(x):
            z = functional.conv2d(x, weight)
    assert (y.dtype, z.dtype) == (torch.bfloat16, torch.float32)
    assert [k.is_half for k in trace.kernels if k.name == "convolution"] == [True, False]


def test_types_of_the_forward_pass_are_those_of_the_backward_pass():
    layer = nn.Conv2d(3, 3, 1, device="meta")
    with recording(torch.float16) as trace:
        layer(empty(1, 3, 8, 8)).float().sum().backward()
    assert by_name(trace)["convolution_backward"].is_half
    assert layer.weight.grad.dtype == torch.float32


def test_authors_cast_images_of_a_side_on_also_in_penalties():
    weight = empty(3, 3, 1, 1)
    with recording(torch.float16, 8) as trace, full_precision(weight):
        functional.conv2d(empty(1, 3, 8, 8), weight)
        functional.conv2d(empty(1, 3, 4, 4), weight)
    assert [k.is_half for k in trace.kernels if k.name == "convolution"] == [True, False]


def test_peak_is_what_lives_at_the_same_time():
    with recording(None) as trace:
        for _ in range(3):
            x = empty(1000)
            x = x + 1  # 4,000 bytes beside the 4,000 of x
            del x
    assert trace.peak_bytes in (4000, 8000)


def test_memory_of_a_graph_lives_until_its_backward_pass():
    weights = [empty(10, 10, requires_grad=True) for _ in range(5)]
    with recording(None) as trace:
        x = empty(100, 10)
        for weight in weights:
            x = (x @ weight).tanh()
        x.sum().backward()
    activations = 5 * 100 * 10 * 4
    assert activations <= trace.peak_bytes <= 2 * activations


@pytest.mark.parametrize("write", ["add_", "mul_"])
def test_change_in_place_reads_the_old_value_and_writes_a_new_one(write):
    x = empty(10)
    with recording(None) as trace:
        getattr(x, write)(2)
        getattr(x, write)(2)
    first, second = trace.kernels
    assert first.writes[0][0] == second.reads[0][0] != first.reads[0][0]
