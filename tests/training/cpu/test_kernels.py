"""CPU kernels equal torch's functions, and every network in training uses them."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close
from training.toy import advance, toy_config, toy_run

from ganforge.training import runtime
from ganforge.training.cpu import kernels, small_grids
from ganforge.training.cpu.kernels import CpuKernels, batch_norm_by_image


def replaced():
    """The torch functions that are replaced here and now."""
    modes = torch.overrides._get_current_function_mode_stack()
    return {func for mode in modes if isinstance(mode, CpuKernels) for func in mode.replacements}


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.double, generator=generator)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_by_image_equals_batch_norm_with_gradients_of_gradients(affine):
    # Every image has another mean, so that the joint variance is not the mean of theirs.
    x = (draw(5, 3, 4, 6) + draw(5, 3, 1, 1, seed=1)).requires_grad_()
    probe, weight, bias = draw(5, 3, 4, 6, seed=2), draw(3, seed=3), draw(3, seed=4)
    inputs = [x, weight.requires_grad_(), bias.requires_grad_()] if affine else [x]
    parameters = inputs[1:] or [None, None]
    results = []
    for kernel in (functional.batch_norm, batch_norm_by_image):
        mean, var = draw(3, seed=5), draw(3, seed=6)
        training = [True] if kernel is functional.batch_norm else []
        y = kernel(x, mean, var, *parameters, *training, 0.3, 1e-4)
        grads = torch.autograd.grad((y**3 * probe).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(grads[0].square().sum(), inputs, materialize_grads=True)
        results.append([y, mean, var, *grads, *second])
    for expected, found in zip(*results, strict=True):
        assert_close(found, expected)


def test_batch_norm_by_image_keeps_bfloat16_and_is_exact_where_means_are_large():
    x = (draw(4, 2, 8, 8) + 100).float()
    y = batch_norm_by_image(x, None, None, None, None, 0.1, 1e-5)
    exact = functional.batch_norm(x.double(), None, None, training=True)
    assert_close(y.double(), exact, atol=1e-4, rtol=1e-4)
    low = batch_norm_by_image(x.bfloat16(), None, None, None, None, 0.1, 1e-5)
    assert low.dtype == torch.bfloat16


def taken_by_image(monkeypatch, module, x, *, is_compiled=True):
    """Call the module with the kernels: the number of normalizations by image, and the result."""
    seen = []
    monkeypatch.setattr(
        kernels, "batch_norm_by_image", lambda *a: seen.append(a) or batch_norm_by_image(*a)
    )
    torch.compiler.reset()
    call = torch.compile(module, backend="eager") if is_compiled else module
    with CpuKernels(matrix_units=False):
        result = call(x)
    return len(seen), result


def test_compiled_batches_are_normalized_by_image(monkeypatch):
    x, plain, norm = draw(4, 3, 5, 5).float(), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    num, found = taken_by_image(monkeypatch, norm, x)
    assert num == 1
    assert_close(found, plain(x))
    for name, buffer in plain.named_buffers():
        assert_close(norm.get_buffer(name), buffer, msg=name)


@pytest.mark.parametrize(
    ("module", "shape", "is_compiled"),
    [
        (nn.BatchNorm2d(3), (4, 3, 5, 5), False),
        (nn.BatchNorm2d(3).eval(), (4, 3, 5, 5), True),
        (nn.BatchNorm1d(3), (4, 3), True),
        (nn.BatchNorm3d(3), (2, 3, 4, 4, 4), True),
    ],
)
def test_other_batch_norms_are_left_to_torch(monkeypatch, module, shape, is_compiled):
    num, _ = taken_by_image(monkeypatch, module, draw(*shape).float(), is_compiled=is_compiled)
    assert num == 0


def test_a_single_value_for_each_channel_is_refused_as_by_torch(monkeypatch):
    with pytest.raises(Exception, match="more than 1 value per channel"):
        taken_by_image(monkeypatch, nn.BatchNorm2d(3), draw(1, 3, 1, 1).float())


@pytest.mark.parametrize(("flags", "expected"), [({"amx_bf16"}, True), ({"avx512_bf16"}, False)])
def test_runtime_lays_images_side_by_side_with_matrix_units_in_bf16(monkeypatch, flags, expected):
    monkeypatch.setattr(small_grids, "cpu_flags", lambda: flags)
    monkeypatch.setattr(runtime, "has_bf16", lambda device: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for precision, wanted in (("bf16", expected), ("fp32", False)):
        with runtime.Runtime(precision).training_forward():
            assert (torch.conv2d in replaced()) is wanted
            assert functional.batch_norm in replaced()
        assert not replaced()


def test_every_phase_of_a_step_uses_the_kernels_and_generation_does_not():
    run = toy_run(toy_config())
    seen = []

    def noted(phase):
        def loss(nets, batch):
            seen.append(bool(replaced()))
            return phase.loss(nets, batch)

        return replace(phase, loss=loss)

    run.phases = [noted(phase) for phase in run.phases]
    advance(run, 1)
    assert seen == [True, True]
    with run.runtime.autocast():
        assert not replaced()


def test_runtime_without_cpu_kernels_leaves_torch_untouched_in_every_phase(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = toy_run(toy_config())
    run.runtime = runtime.Runtime("fp32", cpu_kernels=False)
    modes = []

    def noted(phase):
        def loss(nets, batch):
            modes.append(torch.overrides._get_current_function_mode_stack())
            return phase.loss(nets, batch)

        return replace(phase, loss=loss)

    run.phases = [noted(phase) for phase in run.phases]
    advance(run, 1)
    assert modes == [[], []]


def test_description_names_every_replaced_function():
    assert CpuKernels(matrix_units=False).description == "faster kernels for batch_norm"
    names = ("conv2d", "conv_transpose2d", "relu", "leaky_relu")
    description = CpuKernels(matrix_units=True).description
    assert all(name in description for name in names)
