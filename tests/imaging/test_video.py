import sys
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import damage, gray_levels, make_video, read_video
from PIL import Image

from ganforge.errors import ConfigError, DataError
from ganforge.imaging.video import Timing, VideoFile, packets
from ganforge.imaging.video_writer import video_writer

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.mov"])
@pytest.mark.parametrize("rate", [Fraction(25), NTSC])
def test_video_file_has_the_exact_rate_whatever_the_unit_of_its_times(tmp_path, name, rate):
    path = make_video(tmp_path / name, rate=rate)
    file = VideoFile(path)
    assert file.timing == Timing(rate, 1 / rate)
    assert (file.num_frames, file.height, file.width) == (6, 16, 24)
    times = [frame.time for frame in file.frames()]
    # In an AVI, the first frame counts as shown after the one before it.
    assert times == list(range(times[0], times[0] + 6)) and times[0] == (path.suffix == ".avi")


def test_video_file_gives_every_frame_in_order(tmp_path):
    file = VideoFile(make_video(tmp_path / "clip.mp4"))
    frames = list(file.frames())
    assert all(f.pixels.shape == (16, 24, 3) and f.pixels.dtype == np.uint8 for f in frames)
    np.testing.assert_allclose([f.pixels.mean() for f in frames], gray_levels(6), atol=2)
    assert len(list(file.frames())) == 6, "it can be read again"


def test_video_file_of_a_variable_rate_keeps_the_times(tmp_path):
    times = [0, 40, 80, 200, 240, 500]
    file = VideoFile(make_video(tmp_path / "clip.mp4", times=times))
    found = [frame.time * file.timing.time_base for frame in file.frames()]
    assert found == [Fraction(time, 1000) for time in times]


def test_video_file_with_a_gap_is_of_a_variable_rate(tmp_path):
    times = [0, 40, 80, 160, 200, 240]
    file = VideoFile(make_video(tmp_path / "clip.mkv", times=times))
    assert [frame.time for frame in file.frames()] == times


@pytest.mark.parametrize(("rotation", "white"), [(90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))])
def test_video_file_is_turned_upright(tmp_path, rotation, white):
    path = make_video(tmp_path / "clip.mp4", rotation=rotation, bright=(8, 12))
    file = VideoFile(path)
    turned = (24, 16) if abs(rotation) == 90 else (16, 24)
    assert (file.height, file.width) == turned
    pixels = next(iter(file.frames())).pixels
    corners = {corner: pixels[corner].mean() for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1))}
    assert max(corners, key=corners.get) == white


def test_video_file_with_a_damaged_frame_names_it_or_leaves_it_out(tmp_path):
    path = make_video(tmp_path / "clip.mp4")
    damage(path, 3)
    file = VideoFile(path)
    with pytest.raises(DataError, match=r"Frame 3 of .*clip.mp4 cannot be decoded.*--skip-bad"):
        list(file.frames())
    assert [frame.time for frame in file.frames(skip_bad=True)] == [0, 1, 2, 4, 5]


def test_video_file_that_is_none_says_what_it_is(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    with wave.open(str(tmp_path / "audio.wav"), "w") as audio:
        audio.setparams((1, 2, 8000, 0, "NONE", ""))
        audio.writeframes(bytes(4000))
    make_video(tmp_path / "cut.mp4")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes()[:300])
    for name, fault in (
        ("text.mp4", "cannot be read as a video"),
        ("cut.mp4", "cannot be read as a video"),
        ("nothing.mp4", "nothing.mp4 cannot be read as a video .*No such file"),
        ("photo.png", "photo.png is not a video"),
        ("audio.wav", "audio.wav has no video stream"),
    ):
        with pytest.raises(DataError, match=fault):
            VideoFile(tmp_path / name)


def test_video_file_cut_short_names_the_frame(tmp_path):
    path = make_video(tmp_path / "whole.mp4", 12)
    file = VideoFile(path)
    with video_writer(tmp_path / "clip.mp4", file.timing) as writer:  # its index comes first
        for frame in file.frames():
            writer.write(frame.pixels, frame.time)
    data = (tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(data[:-40])
    with pytest.raises(
        DataError, match=r"Frame \d+ of .*clip.mp4 cannot be decoded \(Invalid data"
    ):
        list(VideoFile(tmp_path / "clip.mp4").frames())


def test_packets_of_a_file_that_ends_in_an_error_names_it(tmp_path):
    class Broken:
        def demux(self, stream):
            yield "packet"
            raise av.error.InvalidDataError(1, "Input/output error")

    found = packets(Broken(), None, tmp_path / "clip.mp4")
    assert next(found) == "packet"
    with pytest.raises(DataError, match=r"clip.mp4 cannot be read to its end \(Input.*Repair it"):
        next(found)


def test_video_file_without_frames_is_refused(tmp_path):
    path = make_video(tmp_path / "clip.mp4", num=1)
    damage(path, 0)
    with pytest.raises(DataError, match="Frame 0 .* cannot be decoded"):
        VideoFile(path)


def test_video_file_without_pyav_names_the_extra(tmp_path, monkeypatch):
    path = make_video(tmp_path / "clip.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"PyAV, which is not installed: pip install 'ganforge\["):
        VideoFile(path)


def test_read_video_of_the_tests_agrees_with_the_writer(tmp_path):
    images, seconds, rate, audio = read_video(make_video(tmp_path / "clip.mp4", audio="aac"))
    assert (len(images), rate, seconds[-1]) == (6, 25, Fraction(1, 5)) and len(audio) > 5


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile '{secret}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
    ],
)
def test_list_of_other_files_is_no_video(tmp_path, text):
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    path = tmp_path / "1.mp4"
    path.write_text(text.format(secret="secret.mp4"))
    with pytest.raises(DataError, match="1.mp4 (is not a video|cannot be read as a video)"):
        VideoFile(path)


def test_video_whose_title_is_not_utf8_is_read(tmp_path):
    path = make_video(tmp_path / "1.mkv")
    whole, name = path.read_bytes(), b"Lavf"
    assert name in whole
    path.write_bytes(whole.replace(name, b"caf\xe9"))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert VideoFile(path).num_frames == 6
