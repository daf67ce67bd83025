import torch
from dancer import dance
from ganforge_video.faces import faces_of
from torch.testing import assert_close

SIZE = (40, 48)


def poses(*middles):
    """One pose about each (x, y); the nose is 9 above it."""
    found = [torch.tensor(dance(1, x, y)[0], dtype=torch.float32).flatten() for x, y in middles]
    return torch.stack(found)


def images(count):
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_squares_lie_around_the_face_and_inside_of_the_frame():
    faces = faces_of(poses((20, 25), (2, 3), (47, 60)), 8, *SIZE)
    # The middle of the five joints is at y - 9.08.
    assert faces.top.tolist() == [12, 0, 32]
    assert faces.left.tolist() == [16, 0, 40]
    assert faces.is_seen.all()


def test_cut_and_put_are_inverse_and_touch_nothing_else():
    img, faces = images(2), faces_of(poses((20, 25), (30, 30)), 8, *SIZE)
    cut = faces.cut(img)
    assert torch.equal(cut[0], img[0, :, 12:20, 16:24])
    assert torch.equal(cut[1], img[1, :, 17:25, 26:34])
    assert torch.equal(faces.put(img, cut), img)
    made = faces.put(img, torch.zeros_like(cut))
    is_changed = (made != img).any(1)
    assert is_changed[0, 12:20, 16:24].all() and is_changed.sum() == 2 * 64


def test_put_leaves_frames_without_a_face_as_they_are():
    found = poses((20, 25), (20, 25)).view(2, 17, 3)
    found[1, :5] = 0
    faces = faces_of(found.flatten(1), 8, *SIZE)
    assert faces.is_seen.tolist() == [True, False]
    img = images(2)
    made = faces.put(img, torch.zeros(2, 3, 8, 8))
    assert torch.equal(made[1], img[1]) and not torch.equal(made[0], img[0])


def test_missing_joints_of_the_face_do_not_count():
    found = poses((20, 25)).view(17, 3)
    found[1:5] = 0
    faces = faces_of(found.view(1, -1), 8, *SIZE)
    assert (faces.top.item(), faces.left.item()) == (12, 16)


def test_gradient_reaches_the_cut_pixels_once():
    img = images(1).requires_grad_()
    faces_of(poses((20, 25)), 8, *SIZE).cut(img).sum().backward()
    expected = torch.zeros_like(img)
    expected[:, :, 12:20, 16:24] = 1
    assert_close(img.grad, expected)
