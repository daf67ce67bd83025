from fractions import Fraction

import numpy as np
import pytest
import torch
from clips import make_video, read_video
from inference.conftest import opened
from torch.testing import assert_close

from ganforge.errors import ConfigError, DataError
from ganforge.imaging.codec import decode_image, encode_png
from ganforge.inference.clip_output import TranslatedFrame, VideoSummary, check_outputs, save_clip


def saved(clip, out, **given):
    options = {"audio": True, "bit_depth": 8, "progress": lambda done, total: None, **given}
    frames = (TranslatedFrame(img, img, time) for img, time in clip.frames())
    return save_clip(frames, out, clip, **options)


def test_save_clip_writes_a_video_with_the_audio_of_its_source(tmp_path):
    source = make_video(tmp_path / "in.mp4", 10, Fraction(30000, 1001), (16, 23), audio="aac")
    done = []
    found = saved(opened(source), tmp_path / "out.mp4", progress=lambda *count: done.append(count))
    out = tmp_path / "out.mp4"
    assert found == VideoSummary(out, 10, 16, 23, Fraction(30000, 1001), True)
    assert str(found) == f"{out}: 10 frames, 16 x 23, 29.97 frames per second, with audio"
    assert done == [(number, 10) for number in range(1, 11)]
    before, after = read_video(source), read_video(out)
    assert before[1:] == after[1:]
    np.testing.assert_allclose(after[0][5], before[0][5], atol=4)
    assert not saved(opened(source), out, audio=False).has_audio


def test_save_clip_of_gray_and_of_transparent_frames_is_in_color(tmp_path):
    for channels, value in ((1, 128), (4, 255)):
        frames = [torch.zeros(channels, 4, 6)] * 2
        if channels == 4:
            frames[0][3] = -1  # transparent, shown over white
        saved(opened(frames, channels), tmp_path / "out.mp4")
        assert read_video(tmp_path / "out.mp4")[0][0].mean() == pytest.approx(value, abs=3)


def test_save_clip_in_a_folder_keeps_the_names_of_frames(folder, tmp_path):
    (folder / "frame2.png").unlink()
    found = saved(opened(folder), tmp_path / "new" / "out")
    names = sorted(path.name for path in (tmp_path / "new" / "out").iterdir())
    assert names == [f"frame{n}.png" for n in (0, 1, 3, 4)]
    assert (found.num_frames, found.height, found.width, found.has_audio) == (4, 4, 6, False)


def test_save_clip_in_a_folder_numbers_frames_without_names(tmp_path):
    source = make_video(tmp_path / "in.mp4", 3)
    saved(opened(source), tmp_path / "out", bit_depth=16)
    names = [f"{number:06d}.png" for number in range(3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert decode_image(tmp_path / "out" / names[0]).dtype == np.uint16


def test_save_clip_in_a_folder_keeps_16_bits(tmp_path):
    (tmp_path / "in").mkdir()
    values = np.random.default_rng(0).integers(0, 65536, (4, 6, 3)).astype(np.uint16)
    (tmp_path / "in" / "a.png").write_bytes(encode_png(values))
    saved(opened(tmp_path / "in"), tmp_path / "out", bit_depth=16)
    np.testing.assert_array_equal(decode_image(tmp_path / "out" / "a.png"), values)


@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_save_clip_that_fails_leaves_nothing(folder, tmp_path, name):
    (folder / "frame3.png").write_text("no image")
    (tmp_path / "kept").mkdir()
    with pytest.raises(DataError, match="Frame 3"):
        saved(opened(folder), tmp_path / "kept" / name)
    assert list((tmp_path / "kept").iterdir()) == []


def test_check_outputs_refuses_what_cannot_be_written(folder, tmp_path):
    clip = opened(make_video(tmp_path / "in.mp4"))
    check_outputs(tmp_path / "out.mp4", None, clip)
    check_outputs(tmp_path / "out", None, clip)
    (tmp_path / "afile").touch()
    for out, fault in (
        (tmp_path / "in.mp4", "in.mp4 is the video that is translated. Choose another"),
        (folder, "frames is not empty. Give a new folder .*frames.mp4"),
        (tmp_path / "out.gif", "videos are written as .mp4"),
        (tmp_path / "afile" / "out.mp4", "afile is a file"),
        (tmp_path / "afile" / "out", "afile is a file"),
    ):
        with pytest.raises(ConfigError, match=fault):
            check_outputs(out, None, clip)


def test_save_clip_in_a_folder_keeps_every_pixel(folder, tmp_path):
    clip = opened(folder)
    saved(clip, tmp_path / "out")
    again = opened(tmp_path / "out")
    for (one, _), (other, _) in zip(clip.frames(), again.frames(), strict=True):
        assert_close(one, other)
