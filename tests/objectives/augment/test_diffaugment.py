"""DiffAugment: each policy against its definition."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganforge import objectives
from ganforge.errors import ConfigError, ShapeError
from ganforge.interfaces.objective import Augmentation
from ganforge.objectives.augment.diffaugment import DiffAugment
from ganforge.registry.plugins import Plugin, empty_registry


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def build(**options: object) -> DiffAugment:
    registry = empty_registry()
    registry.register(objectives, Plugin("objectives", "ganforge.objectives", "ganforge", "0"))
    return registry.build(Augmentation, "diffaugment", options, "augment")


@pytest.mark.parametrize("options", [{"p": 0.0}, {"policy": []}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_diffaugment_without_strength_is_bit_equal(options, dtype):
    img = torch.randn(3, 3, 6, 5).to(dtype)
    assert torch.equal(build(**options)(img), img)


@pytest.mark.parametrize("policy", ["color", "translation", "cutout"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_diffaugment_changes_images_and_keeps_shape_and_type(policy, channels):
    img = torch.randn(12, channels, 16, 24).bfloat16()
    out = build(policy=[policy])(img)
    assert out.shape == img.shape and out.dtype is torch.bfloat16
    assert (out != img).flatten(1).any(1).sum() >= 8


def test_diffaugment_color_is_affine_about_gray_and_mean():
    img = torch.randn(500, 3, 4, 4, dtype=torch.float64)
    out = build(policy=["color"])(img)
    # Means: brightness moves the mean of an image by at most 1/2, the others keep it.
    shift = (out - img).mean((1, 2, 3))
    assert shift.abs().max() <= 0.5 and shift.abs().max() > 0.48
    # Luma about its mean is scaled by the contrast alone, in [1/2, 3/2].
    luma = [x.mean(1) - x.mean((1, 2, 3))[:, None, None] for x in (img, out)]
    contrast = (luma[1] * luma[0]).sum((1, 2)) / luma[0].square().sum((1, 2))
    assert_close(luma[1], contrast[:, None, None] * luma[0])
    assert 0.5 <= contrast.min() < 0.52 and 1.48 < contrast.max() <= 1.5
    # Chroma is scaled by contrast times saturation, the latter in [0, 2].
    chroma = [x - x.mean(1, keepdim=True) for x in (img, out)]
    factor = (chroma[1] * chroma[0]).sum((1, 2, 3)) / chroma[0].square().sum((1, 2, 3))
    assert_close(chroma[1], factor[:, None, None, None] * chroma[0])
    saturation = factor / contrast
    assert 0 <= saturation.min() < 0.03 and 1.97 < saturation.max() <= 2


def test_diffaugment_color_leaves_alpha_alone():
    img = torch.randn(4, 4, 5, 5)
    assert torch.equal(build(policy=["color"])(img)[:, 3], img[:, 3])


def test_diffaugment_translation_shifts_by_whole_pixels_with_zeros():
    height, width = 8, 16
    img = torch.rand(200, 1, height, width) + 1
    out = build(policy=["translation"])(img)
    found = set()
    for before, after in zip(img[:, 0], out[:, 0], strict=True):
        matches = []
        for dy in range(-1, 2):
            for dx in range(-2, 3):
                want = torch.zeros_like(before)
                want[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = before[
                    max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
                ]
                if torch.equal(want, after):
                    matches.append((dy, dx))
        assert len(matches) == 1
        found.update(matches)
    assert len(found) == 15  # every shift up to an eighth of each side


@pytest.mark.parametrize(("hole", "height", "width"), [(0.5, 4, 6), (0.25, 2, 3)])
def test_diffaugment_cutout_removes_one_rectangle(hole, height, width):
    out = build(policy=["cutout"], hole=hole)(torch.ones(300, 2, 8, 12))
    assert torch.equal(out[:, 0], out[:, 1])
    gone = 1 - out[:, 0]
    rows, columns = gone.amax(2), gone.amax(1)
    assert torch.equal(gone, rows[:, :, None] * columns[:, None])
    assert rows.sum(1).max() == height and columns.sum(1).max() == width
    assert rows.sum(1).min() < height, "it may hang over the border"
    assert (gone.sum(0) > 0).all()


def test_diffaugment_strength_is_the_share_of_changed_images():
    img = torch.randn(4000, 1, 4, 4)
    out = build(policy=["color"], p=0.3)(img)
    changed = (out != img).flatten(1).any(1).float().mean().item()
    assert_close(changed, 0.3, atol=0.03, rtol=0)


def test_diffaugment_differentiates_twice():
    augmentation = build()
    img = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)

    def run(values: Tensor) -> Tensor:
        torch.manual_seed(4)
        return augmentation(values).tanh()

    assert torch.autograd.gradcheck(run, (img,))
    assert torch.autograd.gradgradcheck(run, (img,))


def test_diffaugment_compiled_equals_eager_to_first_order():
    img = torch.randn(3, 3, 8, 8, requires_grad=True)
    augmentation = build()
    compiled = torch.compile(augmentation, backend="aot_eager", fullgraph=True)
    results = []
    for run in (augmentation, compiled):
        torch.manual_seed(2)
        out = run(img)
        results.append((out, *torch.autograd.grad(out.square().sum(), img)))
    for eager, fast in zip(*results, strict=True):
        assert_close(fast, eager)


def test_diffaugment_on_what_is_no_image_batch_says_what_it_wants():
    with pytest.raises(ShapeError, match=r"'diffaugment' got \[3, 8, 8\].*\[N, C, H, W\].*remove"):
        build()(torch.zeros(3, 8, 8))


def test_diffaugment_with_unknown_policy_lists_the_valid_ones():
    with pytest.raises(
        ConfigError, match=r"augment\.policy\.0.*'color', 'translation' or 'cutout'"
    ):
        build(policy=["blur"])
