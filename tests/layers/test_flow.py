import pytest
import torch
import torch.nn.functional as F

from ganforge.layers import estimate_flow, flow_confidence, resize_flow, warp

HEIGHT, WIDTH, MARGIN = 48, 64, 40


@pytest.fixture
def texture():
    """A smooth random image, large enough to look at through a window that moves."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 32, 36, generator=generator) * 2 - 1
    return F.interpolate(coarse, scale_factor=4, mode="bicubic").clamp(-1, 1)


def view(texture, x, y):
    """What a window at (x, y) shows: moving it to the right moves the picture to the left."""
    flow = torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1)
    moved = warp(texture, flow.expand(1, 2, *texture.shape[2:]))
    return moved[:, :, MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH]


def inner(value, margin=10):
    return value[..., margin:-margin, margin:-margin]


@pytest.mark.parametrize(
    ("x", "y"), [(1, 0), (0, -1), (0.5, -0.25), (-0.1, 0.9), (2.3, 1.7), (-4, 3), (6, -5)]
)
def test_estimate_flow_finds_known_shifts(texture, x, y):
    flow = estimate_flow(view(texture, x, y), view(texture, 0, 0))
    error = (flow - torch.tensor([x, y]).view(1, 2, 1, 1)).norm(dim=1)
    assert inner(error).mean() < 0.1


def test_estimate_flow_of_equal_images_is_zero(texture):
    img = view(texture, 0, 0)
    assert not estimate_flow(img, img).any()


def test_estimate_flow_without_texture_stays_at_zero():
    flow = estimate_flow(torch.ones(1, 1, 16, 16), -torch.ones(1, 1, 16, 16))
    assert flow.abs().max() < 1e-3


def test_estimate_flow_follows_two_motions_in_one_image(texture):
    left, right = view(texture, 1.5, 0), view(texture, -1, 0.5)
    current, before = left.clone(), view(texture, 0, 0)
    current[..., WIDTH // 2 :] = right[..., WIDTH // 2 :]
    flow = estimate_flow(current, before)[0, :, 10:-10]
    assert (flow[0, :, 10:20] - 1.5).abs().mean() < 0.1
    assert (flow[:, :, -20:-10] - torch.tensor([-1, 0.5]).view(2, 1, 1)).abs().mean() < 0.1


def test_estimate_flow_of_several_pairs_equals_one_by_one(texture):
    now = torch.cat([view(texture, 1, 0), view(texture, 0, 2)])
    before = view(texture, 0, 0).expand(2, -1, -1, -1)
    alone = [estimate_flow(now[i : i + 1], before[:1]) for i in range(2)]
    torch.testing.assert_close(estimate_flow(now, before), torch.cat(alone))


def test_estimate_flow_has_no_gradient_and_is_float32(texture):
    img = view(texture, 0, 0).requires_grad_(True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        flow = estimate_flow(img, view(texture, 1, 0))
    assert flow.dtype == torch.float32 and not flow.requires_grad


def test_flow_confidence_is_zero_where_the_past_does_not_show_the_pixel(texture):
    before = view(texture, 0, 0)
    current = before.clone()
    current[..., 10:20, 30:40] = -current[..., 10:20, 30:40].sign()
    found = flow_confidence(current, before, torch.zeros(1, 2, HEIGHT, WIDTH))
    wrong = torch.zeros(1, 1, HEIGHT, WIDTH)
    wrong[..., 10:20, 30:40] = 1
    assert torch.equal(found, 1 - wrong)


def test_resize_flow_scales_the_motion_with_the_size():
    flow = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1).expand(1, 2, 4, 6)
    larger = resize_flow(flow, 8, 9)
    assert larger.shape == (1, 2, 8, 9)
    torch.testing.assert_close(larger[0, :, 3, 3], torch.tensor([1.5, 4.0]))
    assert resize_flow(flow, 4, 6) is flow
