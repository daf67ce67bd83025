"""Pairs and clips: one geometry for image, condition and frames; color for the image alone."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganforge.errors import ShapeError
from ganforge.objectives.augment.ada import Ada
from ganforge.objectives.augment.clips import change_color, change_geometry
from ganforge.objectives.augment.diffaugment import DiffAugment

AUGMENTATIONS = [
    (Ada, {"pipe": "blit", "p": 0.8}, 8.325230, 0.76527369),
    (Ada, {"pipe": "geom", "p": 0.8}, 9.757176, 0.44136751),
    (Ada, {"pipe": "color", "p": 0.8}, 14.045440, 0.99362010),
    (Ada, {"pipe": "bg", "p": 0.8}, 1.012226, 0.52780175),
    (Ada, {"pipe": "bgc", "p": 0.8}, 16.009825, 0.41803759),
    (DiffAugment, {"policy": ["color"]}, -9.121378, 0.72038043),
    (DiffAugment, {"policy": ["translation"]}, 1.665192, 0.28683901),
    (DiffAugment, {"policy": ["cutout"]}, -3.879002, 0.28683901),
    (DiffAugment, {"p": 0.7}, -12.882696, 0.74052399),
    (
        DiffAugment,
        {"policy": ["translation", "cutout", "color"], "p": 0.5},
        -15.572448,
        0.74052399,
    ),
]
KINDS = [(kind, options) for kind, options, *_ in AUGMENTATIONS]


def build(kind, options):
    return kind(kind.Config(**options))


def images(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(shape, generator=generator) * 2 - 1).to(dtype)


def seeded(augmentation, *arguments):
    torch.manual_seed(7)
    method = augmentation.paired if len(arguments) == 2 else augmentation
    return method(*arguments)


def without_color(kind, options):
    """The same draws of geometry alone, where color is drawn last or not at all."""
    if kind is Ada:
        return build(kind, {**options, "pipe": {"bgc": "bg"}.get(options["pipe"], options["pipe"])})
    return build(kind, {**options, "policy": [p for p in options["policy"] if p != "color"]})


@pytest.mark.parametrize(("kind", "options", "golden", "next_number"), AUGMENTATIONS)
def test_augmentation_of_images_is_what_it_was(kind, options, golden, next_number):
    # Recorded before pairs and clips: the same random numbers, as many, give the same images.
    out = seeded(build(kind, options), images(4, 3, 8, 10))
    flat = out.double().flatten()
    weights = torch.arange(flat.numel(), dtype=torch.float64).cos()
    assert float((flat * weights).sum()) == pytest.approx(golden, abs=1e-3)
    assert float(torch.rand(())) == pytest.approx(next_number, abs=1e-7)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("channels", [1, 3, 35])
def test_image_of_a_pair_is_bit_equal_to_the_image_alone(kind, options, channels):
    augmentation, img = build(kind, options), images(4, 3, 8, 10)
    out, moved = seeded(augmentation, img, images(4, channels, 8, 10))
    assert torch.equal(out, seeded(augmentation, img))
    assert moved.shape == (4, channels, 8, 10)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Ada, {"pipe": "bgc", "p": 0.8}),
        (Ada, {"pipe": "bg", "p": 0.8}),
        (Ada, {"pipe": "blit", "p": 0.8}),
        (DiffAugment, {"policy": ["translation", "cutout", "color"], "p": 0.6}),
    ],
)
def test_condition_moves_bit_for_bit_as_the_image_and_keeps_its_colors(kind, options):
    img = images(6, 3, 8, 10)
    out, moved = seeded(build(kind, options), img, img)
    assert torch.equal(moved, seeded(without_color(kind, options), img))
    has_color = "c" in options.get("pipe", "") or "color" in options.get("policy", ())
    assert torch.equal(out, moved) == (not has_color)
    assert not torch.equal(moved, img)


@pytest.mark.parametrize(("kind", "options"), [(Ada, {"pipe": "bg", "p": 0.8}), KINDS[6], KINDS[7]])
def test_pair_moves_as_both_halves_of_one_image_do(kind, options):
    img, along = images(6, 3, 8, 10), images(6, 5, 8, 10).flip(0)
    whole = seeded(build(kind, options), torch.cat([img, along], dim=1))
    assert_close(torch.cat(seeded(build(kind, options), img, along), dim=1), whole)


@pytest.mark.parametrize(("kind", "options"), [(Ada, {"pipe": "color", "p": 1.0}), KINDS[5]])
def test_color_leaves_the_condition_untouched(kind, options):
    along = images(4, 1, 8, 10, dtype=torch.bfloat16)
    out, moved = seeded(build(kind, options), images(4, 3, 8, 10), along)
    assert torch.equal(moved, along) and moved.dtype is torch.bfloat16
    assert not torch.equal(out, images(4, 3, 8, 10))


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_frames_of_a_clip_get_the_change_of_one_image(kind, options):
    # Contrast is about the mean of the clip, so frames are equal here.
    img, augmentation = images(4, 3, 8, 10), build(kind, options)
    clip = seeded(augmentation, img[:, None].expand(-1, 3, -1, -1, -1))
    assert clip.shape == (4, 3, 3, 8, 10)
    for frame in clip.unbind(1):
        assert_close(frame, seeded(augmentation, img))
    assert torch.equal(clip[:, 0], clip[:, 2])


@pytest.mark.parametrize(("kind", "options"), [KINDS[4], KINDS[8]])
def test_clips_and_still_conditions_of_other_lengths_move_together(kind, options):
    augmentation, img = build(kind, options), images(4, 3, 8, 10)
    along = images(4, 2, 2, 8, 10)
    out, moved = seeded(augmentation, img, along)
    assert torch.equal(out, seeded(augmentation, img)) and moved.shape == along.shape
    clip = images(4, 5, 3, 8, 10)
    out, still = seeded(augmentation, clip, along[:, 0])
    assert torch.equal(out, seeded(augmentation, clip))
    assert_close(still, moved[:, 0])


@pytest.mark.parametrize(("kind", "options"), [KINDS[4], KINDS[8]])
def test_gradients_reach_image_and_condition(kind, options):
    img, along = (images(2, 3, 8, 8).requires_grad_() for _ in "ab")
    out, moved = seeded(build(kind, options), img, along)
    (out.square().sum() + moved.square().sum()).backward()
    assert img.grad.any() and along.grad.any()


@pytest.mark.parametrize(("kind", "options"), [KINDS[4], KINDS[8]])
def test_pairs_compile_as_they_run(kind, options):
    augmentation = build(kind, options)
    img, along = images(2, 3, 8, 8), images(2, 2, 5, 8, 8)
    compiled = torch.compile(augmentation.paired, backend="aot_eager", fullgraph=True)
    torch.manual_seed(7)
    assert_close(compiled(img, along), seeded(augmentation, img, along))


def test_ada_at_zero_returns_the_condition_itself():
    img, along = images(2, 3, 8, 8), images(2, 1, 8, 8)
    assert build(Ada, {}).paired(img, along) == (img, along)


@pytest.mark.parametrize(("kind", "options"), [KINDS[4], KINDS[8]])
@pytest.mark.parametrize("shape", [(3, 3, 8, 8), (2, 3, 8, 4), (3, 8, 8)])
def test_condition_of_another_number_or_size_is_refused(kind, options, shape):
    with pytest.raises(ShapeError, match=r"along=\[.*need the same N, H and W. Resize the cond"):
        build(kind, options).paired(images(2, 3, 8, 8), torch.zeros(shape))


def test_geometry_sees_frames_as_channels_and_color_sees_a_tall_image():
    clip, seen = images(2, 4, 3, 5, 6), list[tuple[int, ...]]()

    def change(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return x + 1

    assert torch.equal(change_geometry(clip, change), clip + 1)
    assert torch.equal(change_color(clip, change), clip + 1)
    assert seen == [(2, 12, 5, 6), (2, 3, 20, 6)]
