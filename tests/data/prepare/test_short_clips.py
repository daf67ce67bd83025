import pytest

from ganforge.config.data import DataConfig
from ganforge.data.prepare.short_clips import LongClips
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample


def clips(*lengths):
    return iter([Sample(f"clip{n}", {"frames": [b""] * n}) for n in lengths])


def long_clips(**clip):
    return LongClips(DataConfig(clip=clip or None), "source 'x'")


@pytest.mark.parametrize(
    ("clip", "kept"),
    [
        ({"num_frames": 4}, ["clip4", "clip9"]),
        ({"num_frames": 3, "stride": 2}, ["clip9"]),
        ({"num_frames": {"from": 2, "to": 5, "over_kimg": 1}}, ["clip9"]),
        ({}, ["clip3", "clip4", "clip9"]),
    ],
)
def test_clips_shorter_than_the_longest_window_are_left_out(clip, kept):
    long = long_clips(**clip)
    assert [sample.key for sample in long.of(clips(3, 4, 9))] == kept


def test_clips_that_are_left_out_are_counted_and_listed(caplog):
    long = long_clips(num_frames=5)
    assert len(list(long.of(clips(4, *range(20))))) == 15
    long.report()
    assert "Left out: 6 of 21 clips of source 'x' have fewer than 5 frames" in caplog.text
    assert "'clip4 (4)', 'clip0 (0)'" in caplog.text


def test_clips_that_are_all_too_short_are_an_error():
    long = long_clips(num_frames=50)
    assert list(long.of(clips(*range(20)))) == []
    with pytest.raises(DataError, match="All 20 clips .*'clip0 .*and 10 more. Lower num_frames"):
        long.report()


def test_images_are_never_too_short():
    long = long_clips(num_frames=5)
    assert len(list(long.of(iter([Sample("a", {"image": b""})])))) == 1
