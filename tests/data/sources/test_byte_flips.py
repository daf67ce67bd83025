"""One changed byte anywhere in an archive or video: an error, or the samples as they were.

In a child process with a time limit, because damage may crash or hang the readers. A plain tar has
checksums of its headers only, so that a change in a member's content reaches the decoder.
GANFORGE_TEST_FLIPS sets the number for each format.
"""

import gzip
import multiprocessing
import os
import random
import struct
from pathlib import Path

import pytest

from ganforge.errors import DataError, GanforgeError
from ganforge.imaging.codec import Undecodable
from ganforge.interfaces.source import Frames, Source
from ganforge.registry.plugins import get_registry

FLIPS = int(os.environ.get("GANFORGE_TEST_FLIPS", "60"))
LIMIT_SEC = 20
FILES = {
    "cat/000.png": b"0" * 600,
    "cat/001.png": b"1" * 30,
    "cat/._1.png": b"x" * 8,
    "dog/002.png": b"2" * 30,
    "dog/003.png": b"3" * 30,
    "notes.md": b"hello",
}
TABLE = "image,label,x\n" + "".join(f"{n}.png,{'ab'[n % 2]},{n} {n}\n" for n in range(9))
ROWS = "".join(f'{{"image": "{n}.png", "label": {n % 3}, "x": [{n}, 2]}}\n' for n in range(9))
IDX = b"\0\0\x08\3" + struct.pack(">3I", 7, 4, 4) + bytes(range(7 * 16))
OPTIONS = {
    "zip": ("path", {}),
    "webdataset": ("urls", {}),
    "idx": ("images", {}),
    "manifest": ("path", {"columns": {"x": "x"}}),
    "video": ("path", {}),
}


def read(path, kind):
    """Class names, and keys, labels and other fields of the samples."""
    option, others = OPTIONS[kind]
    source = get_registry().build(Source, kind, {option: str(path), **others}, "data.source")
    samples = list(source.samples())
    fault = next((s.fault for s in samples if s.fault), None)
    if fault is not None:
        raise DataError(fault)
    found = [(s.key, s.fields.get("label"), content(s.fields)) for s in samples]
    return tuple(source.class_names()), found


def content(fields):
    values = {name: value for name, value in fields.items() if name != "label"}
    if isinstance(values.get("frames"), Frames):
        values["frames"] = [frame.tobytes() for frame in values["frames"]]
    return repr(values)


def outcome(path, kind, right):
    """Of one damaged file: "error", "right", "content", or what went wrong."""
    try:
        classes, found = read(path, kind)
    except (GanforgeError, Undecodable):
        return "error"
    except Exception as err:  # noqa: BLE001  # whatever escapes is a finding
        return f"{type(err).__name__}: {err}"
    if (classes, found) == right:
        return "right"
    alike = classes == right[0] and [s[:2] for s in found] == [s[:2] for s in right[1]]
    return "content" if alike else f"wrong samples: {classes} {found}"


def flip(path, kind, num_flips, seed, results):
    """The outcomes of seeded changes; the extremes of a format get as many as its data."""
    rng, whole = random.Random(seed), path.read_bytes()
    right = read(path, kind)
    for number in range(num_flips):
        places = (rng.randrange(len(whole)), rng.randrange(len(whole) - 500, len(whole)))
        place = places[number % 2] % len(whole)
        value = whole[place] ^ rng.randrange(1, 256)
        path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        results.put((outcome(path, kind, right), place, value))
    results.put(None)


def flip_in_child(path, kind, num_flips, seed):
    """Outcomes in a process of its own."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=flip, args=(path, kind, num_flips, seed, results))
    child.start()
    results._writer.close()  # so that the end of the child is the end of the results
    found = []
    while results._reader.poll(LIMIT_SEC):
        try:
            result = results.get()
        except EOFError:
            break
        if result is None:
            child.join()
            return found
        found.append(result)
    child.kill()
    return [*found, ("hang or crash", None, None)]


def check(path, kind, allowed):
    found = flip_in_child(Path(path), kind, FLIPS, seed=0)
    assert [result for result in found if result[0] not in allowed] == []
    assert len(found) == FLIPS
    return found


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2", "a.zip"])
def test_changed_byte_of_an_archive_is_an_error_or_changes_no_sample(make_tar, make_zip, name):
    suffix = Path(name).suffix[1:]
    if suffix == "zip":
        path, kind = make_zip(FILES, name), "zip"
    else:
        path, kind = make_tar(FILES, name, "w" if suffix == "tar" else f"w:{suffix}"), "webdataset"
    allowed = {"error", "right"} | ({"content"} if name == "a.tar" else set())
    found = check(path, kind, allowed)
    assert sum(result[0] == "error" for result in found) > FLIPS // 4


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_changed_byte_of_an_idx_file_is_an_error_or_changes_pixels(tmp_path, pack):
    path = tmp_path / "idx3"
    path.write_bytes(pack(IDX))
    allowed = {"error", "right", "content"} if pack is bytes else {"error", "right"}
    check(path, "idx", allowed)


@pytest.mark.parametrize(("name", "text"), [("m.csv", TABLE), ("m.jsonl", ROWS)])
def test_changed_byte_of_a_manifest_raises_nothing_foreign(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = flip_in_child(tmp_path / name, "manifest", FLIPS, seed=0)
    # A table has no checksums, so that other names and labels are what it says.
    allowed = ("error", "right", "content", "wrong samples")
    assert [result for result in found if not result[0].startswith(allowed)] == []
    assert len(found) == FLIPS


def test_changed_byte_of_a_video_raises_nothing_foreign(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", 12)
    check(path, "video", {"error", "right", "content"})
