import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from ganforge.layers import sample_bilinear, warp


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def images(height: int, width: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, dtype=torch.float64)


def positions(height: int, width: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    x = torch.rand(batch, 6, 7, dtype=torch.float64) * (width + 1) - 1
    y = torch.rand(batch, 6, 7, dtype=torch.float64) * (height + 1) - 1
    return x, y


def by_torch(img: Tensor, x: Tensor, y: Tensor) -> Tensor:
    height, width = img.shape[2:]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    return F.grid_sample(img, grid, padding_mode="border", align_corners=True)


def test_sample_bilinear_agrees_with_torch_in_value_and_gradient():
    img = images(5, 8).requires_grad_(True)
    x, y = (p.requires_grad_(True) for p in positions(5, 8))
    got, want = sample_bilinear(img, x, y), by_torch(img, x, y)
    assert_close(got, want)
    direction = torch.randn_like(got)
    got_grads = torch.autograd.grad((got * direction).sum(), [img, x, y])
    want_grads = torch.autograd.grad((want * direction).sum(), [img, x, y])
    for mine, theirs in zip(got_grads, want_grads, strict=True):
        assert_close(mine, theirs)


def test_sample_bilinear_on_pixels_returns_them():
    img = images(4, 6)
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing="ij")
    x, y = (p.double().expand(2, 4, 6) for p in (x, y))
    assert torch.equal(sample_bilinear(img, x, y), img)


def test_sample_bilinear_differentiates_twice_in_image_and_positions():
    img = images(3, 4, batch=1).requires_grad_(True)
    x = torch.tensor([[0.3, 1.6, 2.2]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.4, 0.2, 0.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sample_bilinear, (img, x, y))
    assert torch.autograd.gradgradcheck(sample_bilinear, (img, x, y))


def shift(x, y, height, width, batch=2):
    return (
        torch.tensor([x, y], dtype=torch.float64).view(1, 2, 1, 1).expand(batch, 2, height, width)
    )


def test_warp_by_whole_pixels_moves_the_image_and_repeats_its_edge():
    img = images(5, 6)
    assert torch.equal(warp(img, shift(0, 0, 5, 6)), img)
    found = warp(img, shift(2, -1, 5, 6))
    assert torch.equal(found[:, :, 1:, :-2], img[:, :, :-1, 2:])
    assert torch.equal(found[:, :, 0, :-2], img[:, :, 0, 2:])
    assert torch.equal(found[:, :, 1:, -1], img[:, :, :-1, -1])


@pytest.mark.parametrize(("x", "y"), [(0.25, 0), (0, -0.5), (1.75, -0.4)])
def test_warp_by_parts_of_a_pixel_is_exact_on_a_ramp(x, y):
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    ramp = (3 * columns + 5 * rows).double().expand(2, 1, 8, 9)
    found = warp(ramp, shift(x, y, 8, 9))
    assert_close(found[..., 1:-2, :-2], (ramp + 3 * x + 5 * y)[..., 1:-2, :-2])


def test_warp_gives_each_pixel_a_flow_and_each_image_too():
    img = torch.arange(12.0).view(1, 1, 3, 4).repeat(2, 1, 1, 1)
    flow = torch.zeros(2, 2, 3, 4)
    flow[1, 0, 2, 1], flow[1, 1, 2, 1] = 2, -1
    found = warp(img, flow)
    assert torch.equal(found[0], img[0])
    changed = (found[1] != img[1]).nonzero().tolist()
    assert changed == [[0, 2, 1]] and found[1, 0, 2, 1] == 7.0


def test_warp_differentiates_twice_in_image_and_flow():
    img = images(3, 4, batch=1).requires_grad_(True)
    flow = (shift(0.3, -0.4, 3, 4, batch=1) + 0.1 * torch.rand(1, 2, 3, 4)).requires_grad_(True)
    assert torch.autograd.gradcheck(warp, (img, flow))
    assert torch.autograd.gradgradcheck(warp, (img, flow))


def test_warp_of_half_precision_is_float32():
    found = warp(torch.ones(1, 1, 4, 4).bfloat16(), torch.zeros(1, 2, 4, 4).bfloat16())
    assert found.dtype == torch.float32
