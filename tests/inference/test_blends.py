import torch
from torch.testing import assert_close

from ganforge.inference.blends import interpolation, means_and_sum, mixed_styles
from ganforge.interfaces.generation import GenerateRequest


def keyframes(num):
    return GenerateRequest(range(num), label=torch.eye(num), truncation=0.7)


def path(num, steps, loop):
    """Weights [frames, keyframes] of an interpolation."""
    request = interpolation(keyframes(num), steps, loop, "z", False)
    starts, ends = (part.seeds for part in request.blend.parts)
    dense = torch.zeros(len(starts), num)
    for frame, (start, end) in enumerate(zip(starts, ends, strict=True)):
        dense[frame, start] += request.blend.weights[0, frame]
        dense[frame, end] += request.blend.weights[1, frame]
    assert_close(request.label, dense, msg="conditions follow the latents")
    return dense


def test_interpolation_moves_evenly_and_ends_at_the_last_keyframe():
    expected = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]])
    assert_close(path(3, 2, loop=False), expected)


def test_interpolation_loop_returns_to_the_first_without_repeating_it():
    expected = torch.tensor([[1.0, 0], [0.5, 0.5], [0, 1], [0.5, 0.5]])
    assert_close(path(2, 2, loop=True), expected)


def test_interpolation_keeps_space_path_and_truncation():
    request = interpolation(keyframes(2), 3, False, "w", True)
    assert (request.blend.space, request.blend.is_spherical, request.truncation) == ("w", True, 0.7)
    assert request.attributes is None


def test_mixed_styles_gives_fine_layers_to_the_column():
    request = mixed_styles(keyframes(3), 1, slice(2, 4), 4, "w")
    assert [part.seeds for part in request.blend.parts] == [[0, 0], [1, 2]]
    coarse, fine = request.blend.weights
    assert_close(fine, torch.tensor([[0.0, 0, 1, 1]] * 2))
    assert_close(coarse, 1 - fine)


def test_means_and_sum_weigh_seeds_by_term():
    request = means_and_sum(keyframes(3), [(1.0, [0, 1]), (-2.0, [2])], "z")
    expected = torch.tensor([[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 1, -2]])
    assert_close(request.blend.weights, expected)
    assert_close(request.label, expected.T)
