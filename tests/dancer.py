"""A synthetic dancer: COCO-17 poses that move, and files of them, written without ganforge."""

import json

import numpy as np

STANDING = [
    (0, -9), (0.4, -9.4), (-0.4, -9.4), (0.8, -9), (-0.8, -9), (2, -7), (-2, -7), (3, -4.5),
    (-3, -4.5), (3, -2), (-3, -2), (1.2, -2), (-1.2, -2), (1.3, 2.5), (-1.3, 2.5), (1.3, 7),
    (-1.3, 7)
]  # fmt: skip
"""Joints of COCO-17 about the middle of a body that is 16.4 units tall."""


def pose(x, y, unit=1.0, turn=0.0):
    """A pose [17, 3] whose middle is at (x, y); `turn` lifts one arm."""
    joints = np.array(STANDING, dtype=np.float64)
    joints[[7, 9], 1] -= turn * np.array([2, 5])
    return np.column_stack([joints * unit + (x, y), np.ones(17)])


def dance(frames=6, x=20.0, y=20.0, unit=1.0, step=1.0):
    """Poses [T, 17, 3] that walk to the right."""
    return np.stack([pose(x + n * step, y, unit, np.sin(n) ** 2) for n in range(frames)])


def coco(poses, first=0):
    """COCO's results of one person a frame."""
    return [
        {"image_id": first + n, "category_id": 1, "keypoints": p.ravel().tolist(), "score": 0.9}
        for n, p in enumerate(poses)
    ]


def write_coco(path, poses):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco(poses)))
    return path


def write_openpose(folder, people_of_frames):
    """A file a frame, each with the poses [25, 3] of its people."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, people in enumerate(people_of_frames):
        persons = [{"person_id": [-1], "pose_keypoints_2d": p.ravel().tolist()} for p in people]
        path = folder / f"clip_{number:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": persons}))
    return folder
