from fractions import Fraction

import av
import numpy as np
import pytest
from clips import make_video, read_video

from ganforge.errors import ConfigError
from ganforge.imaging.video import Timing, VideoFile
from ganforge.imaging.video_writer import check_video_file, video_writer

NTSC = Timing.constant(Fraction(30000, 1001))
RED = np.full((16, 24, 3), (200, 30, 60), dtype=np.uint8)


def copied(source, target, audio=True):
    """Decode a video and write it again."""
    file = VideoFile(source)
    with video_writer(target, file.timing, file, audio) as writer:
        for frame in file.frames():
            writer.write(frame.pixels, frame.time)
    return target


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv"])
def test_video_writer_keeps_rate_size_and_colors(tmp_path, name):
    with video_writer(tmp_path / "new" / name, NTSC) as writer:
        for number in range(5):
            writer.write(RED, number)
    images, _, rate, audio = read_video(tmp_path / "new" / name)
    assert (len(images), rate, audio) == (5, NTSC.rate, [])
    np.testing.assert_allclose(images[2], RED, atol=6)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


@pytest.mark.parametrize("size", [(15, 24), (16, 23), (15, 23)])
def test_video_writer_keeps_odd_sizes(tmp_path, size):
    with video_writer(tmp_path / "clip.mp4", NTSC) as writer:
        writer.write(np.full((*size, 3), 90, np.uint8), 0)
    (image,), *_ = read_video(tmp_path / "clip.mp4")
    assert image.shape == (*size, 3)


def test_video_writer_keeps_a_variable_rate(tmp_path):
    times = [0, 40, 80, 200, 240, 500]
    source = make_video(tmp_path / "in.mp4", times=times)
    _, seconds, *_ = read_video(copied(source, tmp_path / "out.mp4"))
    assert seconds == [Fraction(time, 1000) for time in times]


@pytest.mark.parametrize(
    ("source", "target", "codec"),
    [
        ("in.mp4", "out.mp4", "aac"),
        ("in.mkv", "out.mkv", "libmp3lame"),
        ("in.mkv", "out.mp4", "aac"),
        ("in.mp4", "out.mov", "aac"),
    ],
)
def test_video_writer_copies_the_audio_bit_for_bit(tmp_path, source, target, codec):
    make_video(tmp_path / source, 30, audio=codec)
    before = read_video(tmp_path / source)
    after = read_video(copied(tmp_path / source, tmp_path / target))
    assert len(before[3]) > 30 and after[3] == before[3]
    assert after[1] == before[1], "frames are shown when they were"
    silent = copied(tmp_path / source, tmp_path / f"silent-{target}", audio=False)
    assert read_video(silent)[3] == []


def test_video_writer_audio_stays_beside_the_frames(tmp_path):
    make_video(tmp_path / "in.mp4", 60, audio="aac")
    copied(tmp_path / "in.mp4", tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        order = [packet.stream.type for packet in container.demux() if packet.size]
    assert "audio" in order[: len(order) // 2] and "video" in order[len(order) // 2 :]


def test_video_writer_keeps_how_colors_are_coded(tmp_path):
    with video_writer(tmp_path / "in.mp4", NTSC) as writer:
        writer.write(RED, 0)
    assert VideoFile(tmp_path / "in.mp4").colors == (1, 1, 1, 1)
    untagged = make_video(tmp_path / "untagged.mp4")
    for source in (tmp_path / "in.mp4", untagged):
        again = copied(source, tmp_path / "out.mp4")
        assert VideoFile(again).colors == VideoFile(source).colors
    np.testing.assert_allclose(read_video(copied(tmp_path / "in.mp4", again))[0][0], RED, atol=8)


def test_video_writer_audio_that_a_container_cannot_hold_is_refused(tmp_path, monkeypatch):
    make_video(tmp_path / "in.mkv", audio="aac")
    containers = type(av.open(str(tmp_path / "probe.mp4"), "w"))
    monkeypatch.setattr(containers, "supported_codecs", {"h264"}, raising=False)
    with pytest.raises(ConfigError, match=r".mp4 cannot hold the audio .*\(aac\).*--no-audio"):
        copied(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_video_writer_that_is_stopped_leaves_nothing(tmp_path, error):
    with pytest.raises(error), video_writer(tmp_path / "clip.mp4", NTSC) as writer:
        writer.write(RED, 0)
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["clip.gif", "clip.webm", "clip"])
def test_check_video_file_lists_the_extensions_that_are_written(tmp_path, name):
    with pytest.raises(ConfigError, match="are written as .mp4, .mov, .mkv. Use one of these"):
        check_video_file(tmp_path / name)
