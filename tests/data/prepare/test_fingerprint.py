import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data.prepare.fingerprint import fingerprint
from ganforge.interfaces.source import Frames, ImageHalf, Poses, Sample


class Still(Frames):
    """A clip of one frame, which is no dataclass."""

    def __init__(self, value: int, path: Path | None = None) -> None:
        self.value, self.path = value, path
        self.name = None if path is None else path.name

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[int]:
        yield self.value


VALUES = {
    "bytes": lambda: b"1",
    "other bytes": lambda: b"2",
    "no bytes": lambda: b"",
    "text": lambda: "1",
    "number": lambda: 1,
    "numpy number": lambda: np.int64(1),
    "list": lambda: [1],
    "two": lambda: [1, 1],
    "nested": lambda: [[1], 1],
    "array": lambda: np.ones(3, np.uint8),
    "array of floats": lambda: np.ones(3, np.float32),
    "array of another shape": lambda: np.ones((3, 1), np.uint8),
    "left half": lambda: ImageHalf(b"1", "left"),
    "right half": lambda: ImageHalf(b"1", "right"),
    "poses": lambda: Poses(np.zeros((1, 51), np.float32)),
    "other poses": lambda: Poses(np.ones((1, 51), np.float32)),
    "image": lambda: Image.new("RGB", (2, 2)),
    "other image": lambda: Image.new("RGB", (2, 2), "red"),
    "frames": lambda: Still(1),
    "other frames": lambda: Still(2),
    "frames of a file": lambda: Still(1, Path("a/b.npy")),
}


def test_fingerprint_is_the_same_for_equal_values_and_differs_for_others():
    first, second = (
        [fingerprint(Sample("a", {"x": make()})) for make in VALUES.values()] for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == len(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_fingerprint_of_a_pickled_copy_is_the_same(name):
    # A worker has a copy; the next prepare has the original.
    sample = Sample("a", {"x": VALUES[name]()})
    assert fingerprint(pickle.loads(pickle.dumps(sample))) == fingerprint(sample)


def test_fingerprint_of_what_cannot_be_compared_never_comes_again():
    sample = Sample("a", {"x": threading.Lock()})
    assert fingerprint(sample) != fingerprint(sample)


def test_fingerprint_covers_key_group_fault_and_names_of_fields():
    samples = [
        Sample("a", {"x": 1}),
        Sample("b", {"x": 1}),
        Sample("a", {"y": 1}),
        Sample("a", {"x": 1}, group="g"),
        Sample("a", {"x": 1}, fault="g"),
        Sample("a", {"x": 1, "y": 1}),
    ]
    assert len(set(map(fingerprint, samples))) == len(samples)


@pytest.mark.parametrize(
    "wrap", [lambda path: path, lambda path: [path], ImageHalf, lambda path: Still(1, path)]
)
def test_fingerprint_of_a_file_tells_its_size_and_time_of_change(tmp_path, wrap):
    path = tmp_path / os.fsdecode(b"not utf-8 \xff")
    value = wrap(path, "left") if wrap is ImageHalf else wrap(path)

    def found():
        return fingerprint(Sample("a", {"x": value}))

    seen = [found()]
    for data, time in ((b"1", 1), (b"12", 1), (b"12", 2)):
        path.write_bytes(data)
        os.utime(path, (time, time))
        seen.append(found())
        assert seen[-1] == found()
    assert len(set(seen)) == 4
