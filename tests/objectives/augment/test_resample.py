"""The affine resampler: exact where it must be, close to analytic elsewhere, smooth twice."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from ganforge.objectives.augment import geometry, resample

SIZES = [(4, 4), (5, 8), (13, 10), (28, 28), (65, 7), (6, 130)]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def images(height: int, width: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, dtype=torch.float64)


def scalars(*values: float) -> list[Tensor]:
    return [torch.full((2,), value, dtype=torch.float64) for value in values]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_affine_resample_by_identity_returns_the_image(height, width):
    img = images(height, width)
    assert_close(resample.affine_resample(img, geometry.scaling(*scalars(1, 1))), img)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_affine_resample_by_flip_is_exact(height, width):
    img = images(height, width)
    assert_close(resample.affine_resample(img, geometry.scaling(*scalars(-1, 1))), img.flip(3))
    assert_close(resample.affine_resample(img, geometry.scaling(*scalars(1, -1))), img.flip(2))


@pytest.mark.parametrize("size", [4, 9, 32, 70])
def test_affine_resample_by_quarter_turn_is_exact(size):
    img = images(size, size)
    got = resample.affine_resample(img, geometry.rotation(*scalars(0, 1)))
    # x_in = -y_out and y_in = x_out, with y pointing down
    assert_close(got, torch.rot90(img, 1, (2, 3)))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_affine_resample_by_whole_pixels_is_exact_with_mirrored_border(height, width):
    img = images(height, width)
    inverse = geometry.translation(*scalars(2, -1))
    want = F.pad(img, (0, 2, 1, 0), mode="reflect")[:, :, :height, 2:]
    assert_close(resample.affine_resample(img, inverse), want)


def wave(x: Tensor, y: Tensor) -> Tensor:
    return torch.cos(0.3 * x + 0.2) * torch.cos(0.25 * y - 0.4)


def test_affine_resample_of_a_smooth_image_is_close_to_analytic():
    size = 48
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle = torch.full((1,), 0.6, dtype=torch.float64)
    inverse = geometry.compose(
        geometry.scaling(0.9 * torch.ones_like(angle), 1.1 * torch.ones_like(angle)),
        geometry.rotation(angle.cos(), angle.sin()),
        geometry.translation(0.37 * torch.ones_like(angle), -1.6 * torch.ones_like(angle)),
    )
    got = resample.affine_resample(wave(x, y)[None, None], inverse)[0, 0]
    x_in, y_in = (inverse[0, :2] @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)).reshape(
        2, size, size
    )
    inner = slice(14, -14)  # away from what mirrors in
    assert_close(got[inner, inner], wave(x_in, y_in)[inner, inner], atol=0.02, rtol=0)


def test_affine_resample_when_shrinking_does_not_alias():
    # The finest checkerboard has mean 0; taking every second pixel would return all ones.
    board = (-1.0) ** torch.arange(32, dtype=torch.float64)
    img = (board[:, None] * board)[None, None].expand(2, 1, 32, 32)
    got = resample.affine_resample(img, geometry.scaling(*scalars(2, 2)))
    assert got[:, :, 10:-10, 10:-10].abs().max() < 0.2


def test_filters_are_biorthogonal_and_of_unit_gain():
    up = torch.tensor([*resample._UP[:0:-1], *resample._UP], dtype=torch.float64)
    down = torch.tensor([*resample._DOWN[:0:-1], *resample._DOWN], dtype=torch.float64)
    assert_close(up.sum().item(), 2.0)
    assert_close(down.sum().item(), 1.0)
    products = F.conv1d(F.pad(up, (7, 7))[None, None], down[None, None], stride=2)[0, 0]
    assert_close(products.max().item(), 1.0)
    assert_close(products.sum().item(), 1.0)
    assert_close(products.abs().sum().item(), 1.0)


@pytest.mark.parametrize("block", [64, 3])
def test_affine_resample_differentiates_twice(block, monkeypatch):
    monkeypatch.setattr(resample, "_BLOCK", block)  # 3: several blocks, the last one overhanging
    img = torch.randn(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    angle = torch.tensor([0.4], dtype=torch.float64)
    inverse = geometry.rotation(angle.cos(), angle.sin())
    assert torch.autograd.gradcheck(resample.affine_resample, (img, inverse))
    assert torch.autograd.gradgradcheck(
        lambda v: resample.affine_resample(v, inverse).tanh(), (img,)
    )


def test_affine_resample_in_blocks_equals_in_one(monkeypatch):
    img = images(17, 22)
    inverse = geometry.rotation(
        *(f(torch.tensor([0.4, 2.0]).double()) for f in (torch.cos, torch.sin))
    )
    whole = resample.affine_resample(img, inverse)
    monkeypatch.setattr(resample, "_BLOCK", 5)
    assert_close(resample.affine_resample(img, inverse), whole)


def test_mirror_folds_about_the_first_and_last_pixel():
    got = resample.mirror(torch.tensor([-1.5, 0.0, 2.25, 3.0, 4.0, 6.0, 7.0, -5.0]), 4)
    assert_close(got, torch.tensor([1.5, 0.0, 2.25, 3.0, 2.0, 0.0, 1.0, 1.0]))


# Matrices --------------------------------------------------------------------------------------


def test_compose_is_the_matrix_product_in_order():
    matrices = torch.randn(3, 5, 3, 3, dtype=torch.float64)
    assert_close(geometry.compose(*matrices), matrices[0] @ matrices[1] @ matrices[2])


def test_gate_opens_with_its_probability():
    got = geometry.gate(torch.tensor(0.3), torch.full((20000,), 5.0), 1.0)
    assert set(got.unique().tolist()) == {1.0, 5.0}
    assert_close((got == 5).float().mean().item(), 0.3, atol=0.02, rtol=0)


def test_blit_has_the_papers_distribution():
    p = torch.tensor(0.4, dtype=torch.float64)
    matrix = geometry.blit(20000, 40, 80, p)
    assert_close(matrix, matrix.round())
    flipped = matrix[:, :2, :2].det() < 0
    assert_close(flipped.double().mean().item(), 0.2, atol=0.02, rtol=0)
    turned = matrix[:, 0, 0] == 0
    assert_close(turned.double().mean().item(), 0.2, atol=0.02, rtol=0)  # 1 or 3 turns of 4
    # Undo flip and turn to read the shift: it is at most an eighth of each side.
    shift = (matrix[:, :2, :2].mT @ matrix[:, :2, 2:]).squeeze(2).abs()
    assert shift[:, 0].max() == 10 and shift[:, 1].max() == 5
    assert_close((shift[:, 0] > 0).double().mean().item(), 0.4 * 0.95, atol=0.02, rtol=0)


def test_geometric_has_the_papers_distribution():
    p = torch.tensor(1.0, dtype=torch.float64)
    matrix = geometry.geometric(20000, 40, 80, p)
    linear = matrix[:, :2, :2]
    octaves = linear.det().log2() / 2  # stretching keeps the area
    assert_close(octaves.std().item(), 0.2, atol=0.01, rtol=0)
    assert_close(octaves.mean().item(), 0.0, atol=0.01, rtol=0)
    values = torch.linalg.svdvals(linear)
    stretch = (values[:, 0] / values[:, 1]).log2() / 2  # |N(0, 0.2)|
    assert_close(stretch.mean().item(), 0.2 * math.sqrt(2 / math.pi), atol=0.01, rtol=0)
    shift = torch.linalg.solve(linear, -matrix[:, :2, 2:]).squeeze(2)
    assert_close(shift.std(0), torch.tensor([10.0, 5.0]).double(), atol=0.2, rtol=0)
    angle = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
    assert_close((angle.abs() < math.pi / 2).double().mean().item(), 0.5, atol=0.02, rtol=0)


@pytest.mark.parametrize("transform", [geometry.blit, geometry.geometric])
def test_shifts_of_both_axes_come_together_with_probability_p(transform):
    # So large that hardly any whole-pixel shift is rounded to zero.
    shifts = transform(20000, 4096, 4096, torch.tensor(0.2))[:, :2, 2]
    moved = shifts != 0
    assert_close(moved.all(1).double().mean().item(), 0.2, atol=0.01, rtol=0)
    assert_close(moved.any(1).double().mean().item(), 0.2, atol=0.01, rtol=0)


def test_geometric_rotates_with_probability_p_in_all():
    p = torch.tensor(0.36, dtype=torch.float64)
    matrix = geometry.geometric(20000, 40, 40, p)
    assert_close((matrix[:, 0, 1] != 0).double().mean().item(), 0.36, atol=0.02, rtol=0)


def test_geometric_at_zero_is_exactly_the_identity():
    p = torch.tensor(0.0)
    both = geometry.compose(geometry.blit(50, 8, 8, p), geometry.geometric(50, 8, 8, p))
    assert torch.equal(both, torch.eye(3).expand(50, 3, 3))
