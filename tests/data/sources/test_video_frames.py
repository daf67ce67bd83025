import pickle
import struct
from fractions import Fraction

import numpy as np
import pytest

from ganforge.data.sources import video_frames as module
from ganforge.data.sources.video_frames import scan_video
from ganforge.errors import DataError

av = pytest.importorskip("av")
CODECS = [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mpg", "mpeg2video"), ("a.mkv", "ffv1")]


@pytest.mark.parametrize(("name", "codec"), CODECS)
def test_all_frames_are_found_and_decoded_in_order(tmp_path, write_video, values, name, codec):
    video = scan_video(write_video(tmp_path / name, 60, codec), None, 1)
    assert len(video) == 60
    assert values(video) == pytest.approx([2 * n for n in range(60)], abs=2)


@pytest.mark.parametrize(("name", "codec"), CODECS)
@pytest.mark.parametrize("part", [(11, 13), (12, 14), (13, 40), (59, 60)])
def test_part_of_a_video_holds_exactly_its_frames(tmp_path, write_video, values, name, codec, part):
    video = scan_video(write_video(tmp_path / name, 60, codec), None, 1)
    piece = pickle.loads(pickle.dumps(video[slice(*part)]))
    assert values(piece) == values(video)[slice(*part)]


def test_part_of_a_video_without_frames_is_empty(tmp_path, write_video):
    assert list(scan_video(write_video(tmp_path / "a.mkv", 2, "ffv1"), None, 1)[1:1]) == []


@pytest.mark.parametrize(
    ("fps", "every", "expected"),
    [
        (None, 4, range(0, 20, 4)),
        (25, 1, range(20)),
        (5, 1, [0, 5, 10, 15]),
        (12.5, 3, [0, 6, 12, 18]),
        (50, 1, [n // 2 for n in range(39)]),
    ],
)
def test_frame_rate_and_steps_choose_frames(tmp_path, write_video, values, fps, every, expected):
    video = scan_video(write_video(tmp_path / "a.mkv", 20, "ffv1"), fps, every)
    assert values(video) == pytest.approx([2 * n for n in expected], abs=2)


def test_resampling_between_odd_rates_keeps_every_frame_once():
    times = [n * 1001 for n in range(300)]
    assert module._resampled(times, Fraction(1, 30000), 29.97) == times


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((1, 0, 0, 1), 0), ((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
)
def test_videos_are_turned_upright(tmp_path, write_video, matrix, turns):
    path = write_video(tmp_path / "a.mp4", 2)
    straight = next(iter(scan_video(path, None, 1)))
    data = bytearray(path.read_bytes())
    # The display matrix of the track header: 40 bytes into the content of its box.
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    turned = next(iter(scan_video(path, None, 1)))
    np.testing.assert_array_equal(turned, np.rot90(straight, turns))


def test_gray_videos_have_one_channel_and_keep_ids(tmp_path, write_video):
    video = scan_video(write_video(tmp_path / "a.mkv", 5, "ffv1", "gray"), None, 1)
    frames = list(video)
    assert frames[0].shape == (32, 48, 1)
    assert [int(f[-1, -1, 0]) for f in frames] == [0, 2, 4, 6, 8]


def test_video_is_decoded_one_frame_at_a_time(tmp_path, write_video, monkeypatch):
    video = scan_video(write_video(tmp_path / "a.mp4", 60), None, 1)
    decoded = []
    upright = module._upright
    monkeypatch.setattr(module, "_upright", lambda f: decoded.append(f.pts) or upright(f))
    frames = iter(video)
    next(frames), next(frames)
    assert len(decoded) == 2


def test_video_cut_short_is_refused_in_the_worker(tmp_path, write_video):
    path = write_video(tmp_path / "a.mkv", 60, "ffv1")
    video = scan_video(path, None, 1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"a.mkv lacks frame \d+ of 60.*re-encode it"):
        list(video)
    path.unlink()
    with pytest.raises(DataError, match="a.mkv cannot be read"):
        list(video)


def test_file_without_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match="a.mp4 cannot be read as a video"):
        scan_video(tmp_path / "a.mp4", None, 1)
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame(layout="mono", samples=80, format="s16")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(DataError, match="a.wav has no video stream"):
        scan_video(tmp_path / "a.wav", None, 1)


def test_frames_without_times_are_refused(tmp_path, write_video):
    path = write_video(tmp_path / "a.h264", 5)
    with pytest.raises(DataError, match="a.h264 has no frames with times: re-encode it"):
        scan_video(path, None, 1)
