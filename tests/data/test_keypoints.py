import json
import logging

import numpy as np
import pytest
from dancer import coco, dance, pose, write_coco, write_openpose

from ganforge.data.keypoints import find_poses, holds_keypoints, read_poses, write_poses
from ganforge.errors import DataError
from ganforge.interfaces.source import Poses


def written(tmp_path, content):
    path = tmp_path / "clip.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def xy(poses):
    return poses.points.reshape(len(poses), -1, 3)


def openpose(x, joints=25):
    """A pose of 25 joints around column x, as large as its place in the frame is far right."""
    found = np.ones((joints, 3))
    found[:, 0], found[:, 1] = x + np.linspace(0, x / 10, joints), np.linspace(0, x, joints)
    return found


def test_coco_results_are_one_pose_a_frame_and_gaps_are_frames_with_nobody(tmp_path, caplog):
    entries = coco(dance(5), first=7)
    del entries[2]
    poses = read_poses(written(tmp_path, entries[::-1]))
    assert len(poses) == 5 and poses.frame_size is None
    np.testing.assert_allclose(xy(poses)[[0, 1, 3, 4]], dance(5)[[0, 1, 3, 4]], atol=1e-5)
    assert not poses.points[2].any()
    assert "nobody is in 1 of 5 frames" in caplog.text


def test_coco_results_with_names_follow_the_natural_order(tmp_path):
    entries = coco(dance(11))
    for entry in entries:
        entry["image_id"] = f"frame{entry['image_id']}.jpg"
    poses = read_poses(written(tmp_path, entries[::-1]))
    np.testing.assert_allclose(xy(poses), dance(11), atol=1e-5)


def test_coco_annotations_have_frames_without_persons_and_a_frame_size(tmp_path):
    images = [{"id": n, "height": 48, "width": 64} for n in (5, 3, 9)]
    entries = [{"image_id": 9, "keypoints": pose(9, 20).ravel().tolist()}]
    poses = read_poses(written(tmp_path, {"images": images, "annotations": entries}))
    assert poses.frame_size == (48, 64)
    assert poses.points.any(axis=1).tolist() == [False, False, True]


def test_written_poses_are_read_back(tmp_path):
    poses = Poses(dance(3).reshape(3, -1).astype(np.float32), (48, 64))
    poses.points[1] = 0
    write_poses(tmp_path / "out.json", poses)
    back = read_poses(tmp_path / "out.json")
    np.testing.assert_allclose(back.points, poses.points, atol=1e-3)
    assert back.frame_size == (48, 64)


def test_openpose_folder_is_one_clip_in_natural_order(tmp_path):
    folder = write_openpose(tmp_path / "a", [[openpose(n + 1)] for n in range(12)])
    poses = read_poses(folder)
    assert poses.points.shape == (12, 75)
    assert xy(poses)[:, 0, 0].tolist() == list(range(1, 13))


def test_of_several_persons_the_largest_then_the_nearest_is_followed(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    left, right = openpose(20), openpose(60)
    crowd = [[], [left, right], [openpose(90), openpose(58)], [], [openpose(57), openpose(95)]]
    poses = read_poses(write_openpose(tmp_path / "a", crowd))
    assert xy(poses)[:, 0, 0].tolist() == [0, 60, 58, 0, 57]
    assert "nobody is in 2 of 5 frames" in caplog.text
    assert "up to 2 persons a frame" in caplog.text


def test_joint_of_no_confidence_is_missing(tmp_path):
    person = openpose(5)
    person[3] = (200, 100, 0.04)
    poses = read_poses(write_openpose(tmp_path / "a", [[person]]))
    assert xy(poses)[0, 3].tolist() == [0, 0, 0] and xy(poses)[0, 4].all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", "clip.json cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ({"frames": []}, "holds no keypoints: it is neither a list nor"),
        ({"people": 3}, "has no list of `people`"),
        ({"people": [{"pose_keypoints_2d": [1] * 54}]}, r"has 54 numbers, .* no known layout"),
        ({"people": [{"pose_keypoints_2d": ["a"] * 75}]}, "something other than numbers"),
        ({"people": [{"pose_keypoints_2d": [float("nan")] * 75}]}, "numbers that are no pixels"),
        ({"people": [{}]}, "a person has no list `pose_keypoints_2d`"),
        ({"people": []}, "has nobody in any of 1 frames"),
        ([], "has nobody in any of 0 frames"),
        ([{"keypoints": [1] * 51}], "an entry has no `image_id`"),
        ([{"image_id": n, "keypoints": [1] * 51} for n in (0, 10**9)], "no clip of 100000"),
        ([{"image_id": n, "keypoints": [1] * 51} for n in (0, "a")], "numbers and names"),
        ([{"image_id": 0, "keypoints": [1] * n} for n in (51, 75)], "different layouts"),
        (
            {"images": [{"id": 1}], "annotations": [{"image_id": 2, "keypoints": [1] * 51}]},
            "image_id 2 is no image",
        ),
        ({"images": [{"id": 1}] * 2, "annotations": []}, "two images have one id"),
        (
            {"images": [{"id": n, "height": n, "width": 5} for n in (1, 2)], "annotations": []},
            "several sizes",
        ),
        ({"images": [{"id": 1, "height": -4, "width": 5}], "annotations": []}, "-4 x 5"),
    ],
)  # fmt: skip
def test_what_is_no_keypoints_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_poses(written(tmp_path, content))


def test_folder_without_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no keypoints"):
        read_poses(tmp_path)


def test_find_poses_names_files_and_folders_of_frames(tmp_path):
    write_coco(tmp_path / "b" / "one.json", dance(2))
    write_openpose(tmp_path / "two", [[openpose(5)]] * 2)
    assert dict(find_poses(tmp_path)) == {
        "b/one": tmp_path / "b" / "one.json",
        "two": tmp_path / "two",
    }


def test_holds_keypoints_is_about_json_alone(tmp_path):
    write_coco(tmp_path / "poses" / "one.json", dance(2))
    assert holds_keypoints(tmp_path / "poses") and holds_keypoints(tmp_path / "poses" / "one.json")
    (tmp_path / "poses" / "0.png").touch()
    assert not holds_keypoints(tmp_path / "poses") and not holds_keypoints(tmp_path / "a.mp4")
