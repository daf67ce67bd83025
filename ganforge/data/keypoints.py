"""Files of keypoints: those of OpenPose, one a frame, and those of COCO, one a clip.

The formats are described in docs/poses.md. Each file gives one person; see `_follow`.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.data.sources.class_names import natural_order
from ganforge.data.sources.walk import walk
from ganforge.errors import DataError
from ganforge.imaging.pose_layouts import LAYOUTS, pose_layout
from ganforge.interfaces.source import Poses
from ganforge.io.atomic import write_text

logger = logging.getLogger(__name__)
KEYPOINT_SUFFIX = ".json"
LEAST_CONFIDENCE = 0.05
"""A joint below it is missing; OpenPose does not draw it either."""
_MOST_FRAMES = 100_000
_FURTHEST = 1e6
"""Pixels from the corner of a frame."""

Person = NDArray[np.float64]
"""[J, 3]: x, y and confidence of each joint; zeros where it is missing."""
_Frames = list[list[Person]]


def read_poses(path: Path) -> Poses:
    """The pose of one person in each frame, from a file, or from a folder of OpenPose's files.

    Raises:
        DataError: these are no keypoints of a known layout, or nobody is in any frame.
    """
    if not path.is_dir():
        return _poses_of(read_json(path), path)
    files = sorted(path.glob(f"*{KEYPOINT_SUFFIX}"), key=lambda p: natural_order(p.name))
    if not files:
        raise DataError(f"{path} holds no keypoints (*{KEYPOINT_SUFFIX}). Check the path.")
    return _follow([_openpose(read_json(file), file) for file in files], None, path)


def find_poses(place: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of every clip below a folder: a file, or a folder of OpenPose's files."""
    clips: dict[str, Path] = {}
    for path in sorted(place.rglob(f"*{KEYPOINT_SUFFIX}"), key=lambda p: natural_order(str(p))):
        parent = str(path.parent.relative_to(place))
        if parent in clips:
            continue
        try:
            is_frame = is_of_one_frame(read_json(path))
        except DataError:  # reading the clip will say it
            is_frame = False
        if is_frame:
            clips[parent] = path.parent
        else:
            clips[str(path.relative_to(place).with_suffix(""))] = path
    yield from clips.items()


def holds_keypoints(place: Path) -> bool:
    """Whether this is a JSON file, or a folder of nothing but JSON files."""
    if not place.is_dir():
        return place.suffix.lower() == KEYPOINT_SUFFIX
    files = [Path(entry.name) for entry in walk(place) if entry.kind == "file"]
    return bool(files) and all(file.suffix == KEYPOINT_SUFFIX for file in files)


def is_of_one_frame(content: Any) -> bool:
    """Whether the content of a file is what OpenPose writes for a frame."""
    return isinstance(content, dict) and "people" in content


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(
            f"{path} cannot be read as JSON ({err}). Write the keypoints again."
        ) from err


def write_poses(path: Path, poses: Poses) -> None:
    """Write a clip as one file in the format of COCO's annotations."""
    size = (
        {}
        if poses.frame_size is None
        else dict(zip(("height", "width"), poses.frame_size, strict=True))
    )
    images = [{"id": number, **size} for number in range(len(poses))]
    annotations = [
        {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "keypoints": [round(value, 3) for value in row.tolist()],
        }
        for number, row in enumerate(poses.points)
        if row.any()
    ]
    write_text(path, json.dumps({"images": images, "annotations": annotations}))


def _poses_of(content: Any, path: Path) -> Poses:
    if is_of_one_frame(content):
        return _follow([_openpose(content, path)], None, path)
    if isinstance(content, list):
        return _follow(_by_frame(content, None, path), None, path)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        images = content.get("images")
        if images is not None and not isinstance(images, list):
            raise _unknown(path, "its `images` are no list")
        size = None if images is None else _frame_size(images, path)
        return _follow(_by_frame(content["annotations"], images, path), size, path)
    raise _unknown(path, "it is neither a list nor has it `people` or `annotations`")


def _unknown(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} holds no keypoints: {why}. Give OpenPose's files (--write_json), one a frame, or "
        f"COCO's results or annotations, one file a clip; see docs/poses.md."
    )


def _openpose(content: Any, path: Path) -> list[Person]:
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise _unknown(path, "it has no list of `people`")
    return [_person(person, "pose_keypoints_2d", path) for person in people]


def _by_frame(entries: Sequence[Any], images: Sequence[Any] | None, path: Path) -> _Frames:
    """The persons of each frame, from COCO's list of persons with the ids of their images."""
    persons: dict[Any, list[Person]] = {}
    for entry in entries:
        persons.setdefault(_id(entry, "image_id", path), []).append(
            _person(entry, "keypoints", path)
        )
    if images is None:
        return [persons.get(frame, []) for frame in _frame_ids(persons, path)]
    frames = [_id(image, "id", path) for image in images]
    known = set(frames)
    lost = next((frame for frame in persons if frame not in known), None)
    if lost is not None or len(known) < len(frames):
        fault = "two images have one id" if lost is None else f"image_id {lost!r} is no image"
        raise _unknown(path, fault)
    return [persons.get(frame, []) for frame in frames]


def _id(entry: Any, name: str, path: Path) -> int | str:
    found = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(found, int | str):
        raise _unknown(path, f"an entry has no `{name}`")
    return found


def _frame_ids(persons: Mapping[Any, Any], path: Path) -> Sequence[int | str]:
    """Ids of all frames in order of time: numbers without gaps, or names."""
    if all(isinstance(frame, str) for frame in persons):
        return sorted(persons, key=natural_order)
    if not all(isinstance(frame, int) for frame in persons):
        raise _unknown(path, "its image_ids are numbers and names")
    first, last = min(persons), max(persons)
    if last - first >= _MOST_FRAMES:
        raise DataError(
            f"{path}: image_id goes from {first} to {last}, which is no clip of {_MOST_FRAMES} "
            f"frames or fewer. Number the frames of one clip one by one."
        )
    return range(first, last + 1)


def _frame_size(images: Sequence[Any], path: Path) -> tuple[int, int] | None:
    """Height and width that all images have; None where they do not say it."""
    sizes = {(str(i.get("height")), str(i.get("width"))) for i in images if isinstance(i, dict)}
    if len(sizes) > 1:
        raise DataError(f"{path} has images of several sizes. Give the frames of one clip.")
    height, width = sizes.pop() if sizes else ("None", "None")
    if (height, width) == ("None", "None"):
        return None
    if not (height.isdecimal() and width.isdecimal() and 0 < len(height + width) < 12):
        raise _unknown(path, f"its images are {height} x {width} (height x width)")
    return int(height), int(width)


def _person(entry: Any, name: str, path: Path) -> Person:
    numbers = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(numbers, list):
        raise _unknown(path, f"a person has no list `{name}`")
    try:
        values = np.asarray(numbers, dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError) as err:
        raise _unknown(path, f"`{name}` holds something other than numbers") from err
    if pose_layout(values.size) is None:
        known = " and ".join(f"{layout.name} ({layout.size})" for layout in LAYOUTS)
        raise DataError(
            f"{path}: `{name}` of a person has {values.size} numbers, which is no known layout. "
            f"The known ones are {known}: x, y and confidence of each joint. Run the pose "
            f"estimator with one of them (OpenPose: --model_pose BODY_25)."
        )
    if not (np.abs(values) <= _FURTHEST).all():
        raise _unknown(path, f"`{name}` has numbers that are no pixels")
    person = values.reshape(-1, 3).copy()
    person[person[:, 2] < LEAST_CONFIDENCE] = 0
    return person


def _follow(frames: _Frames, size: tuple[int, int] | None, path: Path) -> Poses:
    """One person: the largest in the first frame that has any, then the nearest to the last one."""
    layouts = {len(person) for persons in frames for person in persons}
    if len(layouts) > 1:
        raise _unknown(path, "its persons have different layouts")
    followed: list[Person | None] = []
    last: Person | None = None
    for persons in frames:
        seen = [person for person in persons if person[:, 2].any()]
        chosen = min(seen, key=lambda p: (_distance(p, last), -_extent(p)), default=None)
        followed.append(chosen)
        last = last if chosen is None else chosen
    empty = sum(person is None for person in followed)
    if last is None:
        raise DataError(f"{path} has nobody in any of {len(frames)} frames. Check the detections.")
    if empty:
        logger.warning(
            "%s: nobody is in %d of %d frames; nothing is drawn there.", path, empty, len(frames)
        )
    if (most := max(map(len, frames))) > 1:
        logger.info("%s: up to %d persons a frame; one of them is followed.", path, most)
    nobody = np.zeros_like(last)
    points = np.stack([nobody if person is None else person for person in followed])
    return Poses(points.reshape(len(points), -1).astype(np.float32), size)


def _distance(person: Person, last: Person | None) -> float:
    """Mean distance of the joints that both have; infinite if there are none."""
    if last is None:
        return np.inf
    both = (person[:, 2] > 0) & (last[:, 2] > 0)
    if not both.any():
        return np.inf
    return float(np.hypot(*(person - last)[both, :2].T).mean())


def _extent(person: Person) -> float:
    """Area of the box around the joints."""
    points = person[person[:, 2] > 0, :2]
    return float(np.prod(np.ptp(points, axis=0)))
