"""The clip container: frames of any size, found and checked one by one."""

import numpy as np
import pytest

from ganforge.data.shards.clip import (
    check_frame,
    head_bytes,
    pack_clip,
    read_count,
    read_table,
)
from ganforge.imaging.codec import Undecodable

FRAMES = (b"one", b"", b"three" * 50)


def test_clip_gives_back_each_frame():
    clip = pack_clip(FRAMES)
    table = read_table(clip[: head_bytes(3)], len(clip))
    found = [clip[int(e["offset"]) :][: int(e["size"])] for e in table]
    assert tuple(found) == FRAMES
    assert read_count(clip[: head_bytes(0)]) == 3
    for frame, entry in zip(found, table, strict=True):
        check_frame(frame, entry)


def test_clip_with_a_changed_byte_is_refused():
    clip = bytearray(pack_clip(FRAMES))
    clip[-1] ^= 1
    last = read_table(clip, len(clip))[-1]
    with pytest.raises(Undecodable, match="has changed"):
        check_frame(bytes(clip[int(last["offset"]) :]), last)


@pytest.mark.parametrize("damage", [b"", b"GFCLIP1\n", b"\x89PNG\r\n\x1a\n" + b"0" * 20])
def test_clip_of_other_bytes_is_refused(damage):
    with pytest.raises(Undecodable, match="is no clip"):
        read_table(damage, len(damage))


def test_clip_cut_in_its_head_is_refused():
    clip = pack_clip(FRAMES)
    with pytest.raises(Undecodable, match="3 frames that is cut short"):
        read_table(clip[: head_bytes(2)], len(clip))


def test_clip_of_frames_beyond_its_end_is_refused():
    clip = pack_clip(FRAMES)
    with pytest.raises(Undecodable, match="lie outside"):
        read_table(clip, len(clip) - 1)


def test_clip_without_frames_has_an_empty_table():
    clip = pack_clip([])
    assert np.array_equal(read_table(clip, len(clip))["size"], [])
