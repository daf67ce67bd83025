"""Points follow what is done to the pixels: drawn shapes are found where the numbers say."""

import numpy as np
import pytest

from ganforge.data.shards.coordinates import crop_points, mirror_points, move_points

KINDS = {
    "xyxy": [1, 2, 4, 7, 0, 0, 2, 2],
    "xywh": [1, 2, 3, 5, 0, 0, 2, 2],
    "xy": [1, 2, 4, 7],
    "xyv": [1, 2, 1, 4, 7, 2],
}


def vector(kind):
    return np.array(KINDS[kind], dtype=np.float32)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("xyxy", [6, 2, 9, 7, 8, 0, 10, 2]),
        ("xywh", [6, 2, 3, 5, 8, 0, 2, 2]),
        ("xy", [9, 2, 6, 7]),
        ("xyv", [9, 2, 1, 6, 7, 2]),
    ],
)
def test_mirror_takes_x_to_the_width_minus_x(kind, expected):
    assert mirror_points(vector(kind), kind, 10).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_mirror_twice_gives_the_points_back(kind):
    once = mirror_points(vector(kind), kind, 10, [(0, 1)])
    assert mirror_points(once, kind, 10, [(0, 1)]).tolist() == KINDS[kind]


def test_mirror_swaps_pairs_of_points():
    face = np.array([2, 3, 7, 3, 5, 6], dtype=np.float32)
    left, right, nose = mirror_points(face, "xy", 10, [(0, 1)]).reshape(3, 2).tolist()
    assert (left, right, nose) == ([3, 3], [8, 3], [5, 6])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("xyxy", [0, 2, 6, 12, -2, -2, 2, 2]),
        ("xywh", [0, 2, 6, 10, -2, -2, 4, 4]),
        ("xy", [0, 2, 6, 12]),
        ("xyv", [0, 2, 1, 6, 12, 2]),
    ],
)
def test_crop_translates_and_scales(kind, expected):
    assert crop_points(vector(kind), kind, (1, 1, 4, 5), (8, 10)).tolist() == expected


def test_move_scales_then_moves_each_axis():
    corners = np.array([1, 2, 3, 4], dtype=np.float32)
    assert move_points(corners, "xyxy", (10, 2), (5, 7)).tolist() == [9, 25, 13, 45]
    assert move_points(corners, "xywh", (10, 2), (5, 7)).tolist() == [9, 25, 6, 40]


def test_crop_scales_each_axis_by_its_own_factor():
    box = np.array([2, 3, 4, 6], dtype=np.float32)
    assert crop_points(box, "xywh", (0, 0, 3, 2), (9, 4)).tolist() == [4, 9, 8, 18]


def test_keypoints_that_are_not_visible_keep_their_numbers():
    points = np.array([0, 0, 0, 3, 4, 2], dtype=np.float32)
    assert crop_points(points, "xyv", (1, 1, 8, 8), (8, 8)).tolist() == [0, 0, 0, 2, 3, 2]
    assert mirror_points(points, "xyv", 8, [(0, 1)]).tolist() == [5, 4, 2, 0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_points_of_several_frames_move_like_those_of_one(kind):
    frames = np.stack([vector(kind), vector(kind) + 1])
    for move in (
        lambda v: mirror_points(v, kind, 10, [(0, 1)]),
        lambda v: crop_points(v, kind, (1, 2, 3, 4), (6, 8)),
    ):
        np.testing.assert_array_equal(move(frames), np.stack([move(v) for v in frames]))
    np.testing.assert_array_equal(frames[0], vector(kind))
