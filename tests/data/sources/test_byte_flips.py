"""One changed byte anywhere in an archive: an error, or the samples as they were.

In a child process with a time limit, because damage may crash or hang the readers. A plain tar has
checksums of its headers only, so that a change in a member's content reaches the decoder.
"""

import multiprocessing
import random
from pathlib import Path

import pytest

from ganforge.data.sources.webdataset import WebDatasetSource
from ganforge.data.sources.zip import ZipSource
from ganforge.errors import DataError, GanforgeError

FLIPS = 150
LIMIT_SEC = 20
FILES = {
    "cat/000.png": b"0" * 600,
    "cat/001.png": b"1" * 30,
    "cat/._1.png": b"x" * 8,
    "dog/002.png": b"2" * 30,
    "dog/003.png": b"3" * 30,
    "notes.md": b"hello",
}


def read(path):
    """Class names, and keys, labels and images of the samples."""
    if path.suffix == ".zip":
        source = ZipSource(ZipSource.Config(path=str(path)))
    else:
        source = WebDatasetSource(WebDatasetSource.Config(urls=str(path)))
    samples = list(source.samples())
    fault = next((s.fault for s in samples if s.fault), None)
    if fault is not None:
        raise DataError(fault)
    found = [(s.key, s.fields["label"], s.fields["image"]) for s in samples]
    return tuple(source.class_names()), found


def outcome(path, right):
    """Of one damaged archive: "error", "right", "content", or what went wrong."""
    try:
        classes, found = read(path)
    except GanforgeError:
        return "error"
    except Exception as err:  # noqa: BLE001  # whatever escapes is a finding
        return f"{type(err).__name__}: {err}"
    if (classes, found) == right:
        return "right"
    alike = classes == right[0] and [s[:2] for s in found] == [s[:2] for s in right[1]]
    return "content" if alike else f"wrong samples: {classes} {found}"


def flip(path, num_flips, seed, results):
    """Count the outcomes of seeded changes; the extremes of a format get as many as its data."""
    rng, whole = random.Random(seed), path.read_bytes()
    right = read(path)
    for number in range(num_flips):
        places = (rng.randrange(len(whole)), rng.randrange(len(whole) - 500, len(whole)))
        place = places[number % 2] % len(whole)
        value = whole[place] ^ rng.randrange(1, 256)
        path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        results.put((outcome(path, right), place, value))
    results.put(None)


def flip_in_child(path, num_flips, seed):
    """Outcomes in a process of its own."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=flip, args=(path, num_flips, seed, results))
    child.start()
    found = []
    while results._reader.poll(LIMIT_SEC):
        result = results.get()
        if result is None:
            child.join()
            return found
        found.append(result)
    child.kill()
    return [*found, ("hang or crash", None, None)]


@pytest.mark.parametrize("kind", ["a.tar", "a.tar.gz", "a.tar.xz", "a.zip"])
def test_changed_byte_is_an_error_or_changes_no_sample(make_tar, make_zip, kind):
    mode = {".gz": "w:gz", ".xz": "w:xz"}.get(Path(kind).suffix, "w")
    path = Path(make_zip(FILES, kind) if kind == "a.zip" else make_tar(FILES, kind, mode))
    allowed = {"error", "right"} | ({"content"} if kind == "a.tar" else set())
    found = flip_in_child(path, FLIPS, seed=0)
    assert len(found) == FLIPS
    assert [result for result in found if result[0] not in allowed] == []
    assert sum(result[0] == "error" for result in found) > FLIPS // 4
