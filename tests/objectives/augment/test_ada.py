"""ADA: identity at p = 0, the color algebra, the feedback on p, and double backward."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from ganforge import objectives
from ganforge.errors import ConfigError, ShapeError
from ganforge.interfaces.objective import Augmentation
from ganforge.objectives.augment import color
from ganforge.objectives.augment.ada import Ada
from ganforge.registry.plugins import Plugin, empty_registry

PIPES = ["blit", "geom", "color", "bg", "bgc"]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def build(**options: object) -> Ada:
    registry = empty_registry()
    registry.register(objectives, Plugin("objectives", "ganforge.objectives", "ganforge", "0"))
    return registry.build(Augmentation, "ada", options, "augment")


# Identity and invariances ----------------------------------------------------------------------


@pytest.mark.parametrize("pipe", PIPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ada_at_zero_is_bit_equal_even_when_it_may_not_read_p(pipe, channels, dtype, monkeypatch):
    img = torch.randn(3, channels, 6, 5).to(dtype)
    assert build(pipe=pipe)(img) is img
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(build(pipe=pipe)(img), img)


@pytest.mark.parametrize("pipe", PIPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ada_at_one_changes_images_and_keeps_shape_and_type(pipe, channels, dtype):
    img = torch.randn(16, channels, 6, 9).to(dtype)
    out = build(pipe=pipe, p=1.0)(img)
    assert out.shape == img.shape and out.dtype is dtype and out.isfinite().all()
    changed = (out != img).flatten(1).any(1)
    assert changed.sum() >= 12


@pytest.mark.parametrize("pipe", ["blit", "bgc"])
def test_ada_leaves_an_undrawn_image_bit_equal_beside_changed_ones(pipe):
    img = torch.randn(400, 3, 4, 4)
    out = build(pipe=pipe, p=0.1)(img)
    same = (out == img).flatten(1).all(1)
    assert 0 < same.sum() < 400


def test_ada_blit_only_moves_pixels():
    img = torch.randn(20, 1, 7, 7, dtype=torch.float64)
    out = build(pipe="blit", p=1.0)(img)
    for before, after in zip(img.flatten(1), out.flatten(1), strict=True):
        assert (after[:, None] - before).abs().min(1).values.max() < 1e-12


def test_ada_geometry_keeps_a_constant_image():
    img = torch.full((20, 3, 9, 6), 0.3, dtype=torch.float64)
    assert_close(build(pipe="bg", p=1.0)(img), img)


def test_ada_color_leaves_alpha_alone():
    img = torch.randn(8, 4, 5, 5)
    out = build(pipe="color", p=1.0)(img)
    assert torch.equal(out[:, 3], img[:, 3])
    assert not torch.equal(out[:, :3], img[:, :3])


def test_ada_with_the_same_seed_is_bit_equal():
    img, ada = torch.randn(4, 3, 8, 8), build(p=0.7)
    outs = []
    for _ in range(2):
        torch.manual_seed(11)
        outs.append(ada(img))
    assert torch.equal(*outs)


def test_ada_under_autocast_computes_in_float32():
    img = torch.randn(4, 3, 8, 8)
    torch.manual_seed(1)
    want = build(p=1.0)(img)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = build(p=1.0)(img)
    assert torch.equal(got, want)


# Color ----------------------------------------------------------------------------------------


def luma_chroma(luma: float, chroma: float, angle: float) -> Tensor:
    values = (torch.tensor([v], dtype=torch.float64) for v in (luma, chroma, angle))
    return color._luma_chroma(*values)[0]


def test_luma_chroma_turn_by_a_third_rotates_the_channels():
    third = luma_chroma(1.0, 1.0, 2 * math.pi / 3)
    rgb = torch.tensor([0.1, 0.5, -0.7], dtype=torch.float64)
    assert_close(third @ rgb, rgb.roll(1))


def test_luma_chroma_flip_negates_luma_and_keeps_the_rest():
    rgb = torch.tensor([0.1, 0.5, -0.7], dtype=torch.float64)
    got = luma_chroma(-1.0, 1.0, 0.0) @ rgb
    assert_close(got, rgb - 2 * rgb.mean())


def test_luma_chroma_scales_saturation_about_gray():
    rgb = torch.tensor([0.1, 0.5, -0.7], dtype=torch.float64)
    assert_close(luma_chroma(1.0, 3.0, 0.0) @ rgb, rgb.mean() + 3 * (rgb - rgb.mean()))


def test_luma_chroma_hue_is_a_rotation():
    turn = luma_chroma(1.0, 1.0, 0.77)
    assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    assert_close(turn.det().item(), 1.0)
    assert_close(turn.trace().item(), 1 + 2 * math.cos(0.77))


def test_color_matrix_keeps_gray_gray_and_has_the_papers_distribution():
    matrix = color.color_matrix(20000, torch.tensor(1.0, dtype=torch.float64))
    luma, shift = matrix[:, 0, :3].sum(1), matrix[:, :, 3]
    assert_close(matrix[:, :, :3].sum(2), luma[:, None].expand(-1, 3))
    assert_close(shift, shift[:, :1].expand(-1, 3))
    assert_close((luma < 0).double().mean().item(), 0.5, atol=0.02, rtol=0)
    octaves = luma.abs().log2()
    assert_close(octaves.std().item(), 0.5, atol=0.02, rtol=0)
    # Brightness comes before contrast: (x + b) * contrast.
    assert_close((shift[:, 0] / luma).std().item(), 0.2, atol=0.01, rtol=0)
    chroma = (matrix[:, :, :3] - luma[:, None, None] / 3).square().sum((1, 2)).div(2).sqrt()
    saturation = chroma.log2() - octaves
    assert_close(saturation.std().item(), 1.0, atol=0.03, rtol=0)


def test_color_of_gray_image_is_that_of_equal_channels():
    gray = torch.randn(5, 1, 4, 4, dtype=torch.float64)
    matrix = color.color_matrix(5, torch.tensor(1.0, dtype=torch.float64))
    as_rgb = color.apply_color(gray.expand(-1, 3, -1, -1), matrix)
    assert_close(color.apply_color(gray, matrix).expand(-1, 3, -1, -1), as_rgb)


def test_color_of_rgb_is_the_affine_map_of_each_pixel():
    img = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    matrix = torch.randn(2, 3, 4, dtype=torch.float64)
    want = torch.einsum("nij,njhw->nihw", matrix[:, :, :3], img) + matrix[:, :, 3, None, None]
    assert_close(color.apply_color(img, matrix), want)


# Gradients and compilation ---------------------------------------------------------------------


def test_ada_differentiates_twice():
    ada = build(p=1.0)
    img = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)

    def run(values: Tensor) -> Tensor:
        torch.manual_seed(4)
        return ada(values).tanh()

    assert torch.autograd.gradcheck(run, (img,))
    assert torch.autograd.gradgradcheck(run, (img,))


def test_penalty_through_ada_has_the_numerical_gradient_in_the_critic():
    ada, img = build(p=1.0), torch.randn(2, 3, 4, 4, dtype=torch.float64)

    def penalty(weight: Tensor) -> Tensor:
        torch.manual_seed(4)
        leaf = img.clone().requires_grad_(True)
        logits = torch.tanh(ada(leaf).flatten(1) @ weight)
        (gradient,) = torch.autograd.grad(logits.sum(), leaf, create_graph=True)
        return gradient.square().sum()

    weight = (0.3 * torch.randn(48, dtype=torch.float64)).requires_grad_(True)
    assert torch.autograd.gradcheck(penalty, (weight,))


def test_ada_compiled_equals_eager_to_first_order():
    img = torch.randn(3, 3, 8, 8, requires_grad=True)
    ada = build(p=1.0)
    compiled = torch.compile(ada, backend="aot_eager", fullgraph=True)
    results = []
    for run in (ada, compiled):
        torch.manual_seed(2)
        out = run(img)
        results.append((out, *torch.autograd.grad(out.square().sum(), img)))
    for eager, fast in zip(*results, strict=True):
        assert_close(fast, eager)


# Feedback --------------------------------------------------------------------------------------


def logits(share_positive: float, size: int = 10) -> Tensor:
    positive = round(size * share_positive)
    return torch.cat([torch.full((positive,), 3.0), torch.full((size - positive,), -0.2)])


def test_ada_rises_when_the_discriminator_overfits_and_falls_otherwise():
    ada = build(interval=2, speed_kimg=1.0)
    for _ in range(2):
        ada.observe(logits(1.0))  # mean sign 1 > 0.6
        ada.step_end(50)
    assert_close(ada.p.item(), 2 * 50 / 1000)
    for _ in range(2):
        ada.observe(logits(0.7))  # mean sign 0.4 < 0.6
        ada.step_end(25)
    assert_close(ada.p.item(), 0.1 - 2 * 25 / 1000)


def test_ada_moves_only_each_interval_and_forgets_what_it_used():
    ada = build(interval=3, speed_kimg=1.0, target=0.5)
    seen = []
    for share in (0.0, 1.0, 1.0, 0.8, 0.7, 0.7):  # mean signs 1/3 and 0.47, both below
        ada.p.fill_(0.5)
        ada.observe(logits(share))
        ada.step_end(10)
        seen.append(round(ada.p.item(), 4))
    assert seen == [0.5, 0.5, 0.47, 0.5, 0.5, 0.47]
    assert ada.sign_count.item() == 0


def test_ada_stays_in_the_unit_interval():
    ada = build(interval=1, speed_kimg=0.01)
    for share, want in ((0.0, 0.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)):
        ada.observe(logits(share))
        ada.step_end(1000)
        assert ada.p.item() == want


def test_ada_without_observation_stays_where_it_is():
    ada = build(interval=1)
    ada.p.fill_(0.25)
    ada.step_end(64)
    assert ada.p.item() == 0.25


def test_ada_default_speed_crosses_the_unit_interval_in_500_kimg():
    ada = build()
    for _ in range(8):
        ada.observe(logits(1.0))
        ada.step_end(64)
    assert_close(ada.p.item(), 8 * 64 / 500_000)


def test_ada_mean_over_slots_equals_all_logits_in_one():
    together, slots = build(interval=1, target=0.3), [build(interval=1, target=0.3) for _ in "ab"]
    parts = (logits(1.0, 4), logits(0.25, 4))  # mean sign 0.25 together, 1 and -0.5 apart
    together.observe(torch.cat(parts))
    together.step_end(8)
    for slot, part in zip(slots, parts, strict=True):
        slot.observe(part)
    for name, value in slots[0].named_buffers():
        value.copy_((value + slots[1].get_buffer(name)) / 2)
    slots[0].step_end(8)
    assert_close(slots[0].p, together.p)
    assert all(buffer.dtype is torch.float32 for buffer in together.buffers())


def test_ada_with_fixed_strength_keeps_it():
    ada = build(p=0.3)
    ada.p.fill_(0.9)  # as from a checkpoint of another configuration
    ada.observe(logits(1.0))
    ada.step_end(64)
    assert_close(ada.p.item(), 0.3)


def test_ada_ramp_is_half_a_cosine():
    ada = build(p=0.4, ramp_kimg=1.0)
    assert ada.p.item() == 0.0
    for images, want in ((250, 0.4 * (1 - math.cos(math.pi / 4)) / 2), (500, 0.2), (750, None),
                         (1000, 0.4), (1250, 0.4)):  # fmt: skip
        ada.step_end(250)
        if want is not None:
            assert_close(ada.p.item(), want, msg=lambda m, n=images: f"at {n} images: {m}")


# Errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 3, 3, 16), (2, 4, 3, 16, 3)])
def test_ada_on_what_is_no_image_batch_says_what_it_wants(shape):
    with pytest.raises(ShapeError, match=r"augment 'ada' got \[.*\[N, C, H, W\].*remove `augment`"):
        build()(torch.zeros(shape))


def test_ada_on_unknown_colors_says_which_pipe_to_use():
    with pytest.raises(ShapeError, match=r"\[2, 6, 8, 8\].*augment\.pipe to 'bg'"):
        build()(torch.zeros(2, 6, 8, 8))
    assert build(pipe="bg", p=1.0)(torch.zeros(2, 6, 8, 8)).shape == (2, 6, 8, 8)


def test_ada_takes_a_condition_of_any_channels_beside_the_image():
    with pytest.raises(ShapeError, match=r"augment\(img, along=condition\)"):
        build(p=1.0)(torch.zeros(2, 6, 8, 8))
    _, moved = build(p=1.0).paired(torch.zeros(2, 3, 8, 8), torch.zeros(2, 35, 8, 8))
    assert moved.shape == (2, 35, 8, 8)


def test_ada_ramp_without_strength_is_refused():
    with pytest.raises(ConfigError, match=r"augment.*ramp_kimg=5\.0.*set p, or remove ramp_kimg"):
        build(ramp_kimg=5)


def test_ada_strength_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"augment\.p.*1\.5"):
        build(p=1.5)


def test_ada_state_is_in_the_checkpoint():
    assert set(build().state_dict()) == {"p", "sign_sum", "sign_count", "steps"}
    assert not any(isinstance(v, nn.Parameter) for v in build().parameters())


def test_ada_fixed_at_zero_does_nothing_on_a_device_that_cannot_be_read():
    img = torch.zeros(2, 3, 16, 16, device="meta")  # reading p would raise
    assert build(p=0.0).to("meta")(img) is img
    with pytest.raises(RuntimeError, match="meta"):
        build(p=0.0).to("meta").p.item()
