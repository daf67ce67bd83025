import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from ganforge.layers import (
    ConvResampler,
    Resample2d,
    fir_kernel,
    resample,
    resample2d,
    same_padding,
    upsample_nearest,
)


def direct(img, taps, up, down, padding):
    """Resampling by its definition, one sample of one axis at a time."""
    for _ in range(2):
        rows = img.reshape(-1, img.shape[-1]).tolist()
        results = []
        for row in rows:
            inserted = [v for value in row for v in (value, *[0.0] * (up - 1))]
            padded = [0.0] * max(padding[0], 0) + inserted + [0.0] * max(padding[1], 0)
            padded = padded[max(-padding[0], 0) : len(padded) - max(-padding[1], 0)]
            size = len(padded) - len(taps) + 1
            full = [
                sum(padded[i + j] * taps[len(taps) - 1 - j] for j in range(len(taps)))
                for i in range(size)
            ]
            results.append(full[::down])
        img = torch.tensor(results, dtype=torch.float64).reshape(*img.shape[:-1], -1)
        img = img.transpose(2, 3)
    return img


FILTERS = [
    ((1.0, 3.0, 3.0, 1.0), 2, 1, (2, 1)),
    ((1.0, 3.0, 3.0, 1.0), 1, 2, (1, 1)),
    ((1.0, 3.0, 3.0, 1.0), 1, 1, (2, 1)),
    ((1.0, 2.0, -4.0), 2, 1, (0, 3)),
    ((1.0, 2.0, -4.0), 3, 2, (4, 1)),
    ((1.0, 2.0, -4.0, 0.5, 7.0), 2, 1, (-1, 2)),
    ((1.0, 2.0, -4.0), 1, 2, (-1, -1)),
    ((1.0, -2.0), 3, 1, (1, 1)),
]


@pytest.mark.parametrize(("taps", "up", "down", "padding"), FILTERS)
@pytest.mark.parametrize("max_side", [0, 64], ids=["convolution", "matrix"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_resample2d_any_filter_equals_the_definition(
    taps, up, down, padding, max_side, layout, monkeypatch
):
    monkeypatch.setattr(resample, "_MAX_MATRIX_SIDE", max_side)
    img = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    kernel = torch.tensor(taps, dtype=torch.float64)
    out = resample2d(
        img.contiguous(memory_format=layout), kernel, up=up, down=down, padding=padding
    )
    assert_close(out, direct(img, taps, up, down, padding))
    if max_side and max(up, down) > 1:
        assert out.is_contiguous(memory_format=layout)


def on_gpu(img, kernel, up, down, padding):
    """The form that a GPU uses, on a CPU."""
    return resample._sum_shifted(img, kernel, up, down, padding)


@pytest.mark.parametrize(("taps", "up", "down", "padding"), FILTERS)
def test_sum_of_shifted_copies_equals_the_definition(taps, up, down, padding):
    img = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    out = on_gpu(img, torch.tensor(taps, dtype=torch.float64), up, down, padding)
    assert_close(out, direct(img, taps, up, down, padding))


@pytest.mark.parametrize("up, down", [(2, 1), (1, 2), (1, 1)])
def test_sum_of_shifted_copies_has_the_derivatives_of_the_other_forms(up, down):
    padding = same_padding(4, up=up, down=down)
    single = torch.randn(2, 3, 8, 10)
    found = on_gpu(single, fir_kernel(), up, down, padding)
    expected = resample2d(single, fir_kernel(), up=up, down=down, padding=padding)
    assert_close(found, expected, rtol=0, atol=2e-7 * float(expected.abs().max()))

    img, kernel = single.double().requires_grad_(), fir_kernel().double()
    results = []
    for form in (on_gpu, resample2d):
        out = form(img, kernel, up=up, down=down, padding=padding)
        (grad,) = torch.autograd.grad(out.pow(3).sum(), img, create_graph=True)
        (second,) = torch.autograd.grad(grad.square().sum(), img)
        results.append((out, grad, second))
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected)


def test_sum_of_shifted_copies_adds_in_float32_and_keeps_the_precision():
    img, kernel = torch.randn(1, 2, 64, 64).bfloat16(), fir_kernel()
    out = on_gpu(img, kernel, 1, 2, (1, 1))
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, on_gpu(img.float(), kernel, 1, 2, (1, 1)).bfloat16())


def test_gpu_sums_short_filters_and_convolves_with_long_ones(monkeypatch):
    used = []
    monkeypatch.setattr(resample, "_sum_shifted", lambda img, *rest: used.append("sum") or img)
    monkeypatch.setattr(resample, "_filter", lambda img, *rest: used.append("filter") or img)

    class OnGpu(torch.Tensor):
        device = torch.device("cuda")

    img = torch.randn(1, 1, 32, 32).as_subclass(OnGpu)
    resample2d(img, torch.ones(8))
    resample2d(img, torch.ones(12))
    assert used == ["sum", "filter", "filter"]


@pytest.mark.parametrize("up, down", [(2, 1), (1, 2), (1, 1)])
@pytest.mark.parametrize("taps", [(1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 3.0, 3.0, 1.0)])
def test_resample_default_padding_gives_exact_size_and_keeps_constants(taps, up, down):
    out = Resample2d(up=up, down=down, taps=taps)(torch.ones(1, 2, 8, 12))
    assert out.shape == (1, 2, 8 * up // down, 12 * up // down)
    assert_close(out[..., 2:-2, 2:-2], torch.ones_like(out[..., 2:-2, 2:-2]))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_upsample_nearest_is_interpolate_with_its_gradient_in_channels_last(memory_format):
    x = torch.randn(2, 3, 4, 5).to(memory_format=memory_format).requires_grad_()
    weight = torch.randn(2, 3, 8, 10)

    out, wanted = upsample_nearest(x), torch.nn.functional.interpolate(x, scale_factor=2.0)

    assert out.is_contiguous(memory_format=torch.channels_last)
    assert_close(out, wanted, rtol=0, atol=0)
    grads = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (out, wanted)]
    assert_close(*grads)


def test_resample_up_binomial_interpolates_linearly_in_the_interior():
    img = torch.randn(1, 2, 6, 6)
    expected = functional.interpolate(img, scale_factor=2, mode="bilinear")
    out = Resample2d(up=2)(img)
    assert_close(out[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_resample_kernel_is_a_constant_that_checkpoints_leave_out():
    module = Resample2d(up=2)
    assert_close(module.kernel, torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4)
    assert not module.state_dict()
    assert_close(fir_kernel().sum(), torch.tensor(1.0))


@pytest.mark.parametrize("up, down", [(2, 1), (1, 2), (1, 1)])
def test_resample2d_second_derivative_matches_finite_differences(up, down):
    img = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    kernel = fir_kernel().double()
    padding = same_padding(4, up=up, down=down)

    def cubed(value):
        return resample2d(value, kernel, up=up, down=down, padding=padding) ** 3

    assert torch.autograd.gradcheck(cubed, img)
    assert torch.autograd.gradgradcheck(cubed, img)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_resampler_up_equals_enlarging_before_the_convolution(kernel_size, groups):
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    weight = torch.randn(6, 4 // groups, kernel_size, kernel_size, dtype=torch.float64)
    enlarged = resample2d(x, fir_kernel().double() * 2, up=2, padding=(2, 1))
    # A transposed convolution runs the kernel the other way round.
    expected = functional.conv2d(
        enlarged, weight.flip((2, 3)), padding=kernel_size // 2, groups=groups
    )
    out = ConvResampler(kernel_size, "up").double()(x, weight, groups)
    assert out.shape == (2, 6, 16, 16)
    assert_close(out[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_conv_resampler_down_equals_filter_convolution_and_subsampling(kernel_size):
    x = torch.randn(2, 4, 12, 8, dtype=torch.float64)
    weight = torch.randn(3, 4, kernel_size, kernel_size, dtype=torch.float64)
    filtered = resample2d(x, fir_kernel().double(), padding=(1, 2))
    expected = functional.conv2d(filtered, weight, padding=kernel_size // 2)[..., ::2, ::2]
    out = ConvResampler(kernel_size, "down").double()(x, weight)
    assert out.shape == (2, 3, 6, 4)
    assert_close(out[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_conv_resampler_without_mode_is_a_same_size_convolution():
    x, weight = torch.randn(1, 2, 5, 7), torch.randn(3, 2, 3, 3)
    assert_close(ConvResampler(3)(x, weight), functional.conv2d(x, weight, padding=1))
    assert_close(ConvResampler(3, padding=2)(x, weight), functional.conv2d(x, weight, padding=2))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("size", [(0, 3, 5, 6), (2, 1, 5, 6)], ids=str)
def test_resample2d_of_no_images_or_one_channel_has_the_right_shape(size, layout):
    img = torch.randn(size).contiguous(memory_format=layout)
    kernel = fir_kernel()
    assert resample2d(img, kernel, up=2, padding=(2, 1)).shape == (*size[:2], 10, 12)
    assert resample2d(img, kernel, down=2, padding=(2, 1)).shape == (*size[:2], 3, 3)
