import sys

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from ganforge.errors import ConfigError
from ganforge.imaging.animation import check_animation, write_animation


def frames(num=5, size=(16, 12), mode="RGB"):
    """Flat images, each of its own brightness."""
    values = [30 + 40 * i for i in range(num)]
    colors = {"L": int, "RGB": lambda v: (v, v, v), "RGBA": lambda v: (v, v, v, 255)}
    return tuple(Image.new(mode, size, colors[mode](v)) for v in values)


def read_mp4(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return images, stream.average_rate, stream.codec_context.pix_fmt


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_animation_holds_every_frame_in_order(tmp_path, mode, ending):
    path = tmp_path / "new" / f"animation.{ending}"
    write_animation(frames(mode=mode), path, fps=10)
    if ending == "gif":
        gif = Image.open(path)
        found = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(gif)]
        assert (gif.info["duration"], gif.info["loop"]) == (100, 0)
    else:
        found, rate, pix_fmt = read_mp4(path)
        assert (rate, pix_fmt) == (10, "yuv420p")
    assert [f.shape for f in found] == [(12, 16, 3)] * 5
    levels = [float(f.mean()) for f in found]
    np.testing.assert_allclose(levels, [30, 70, 110, 150, 190], atol=3)


def test_animation_of_odd_size_as_mp4_repeats_the_last_row_and_column(tmp_path):
    write_animation(frames(size=(15, 11)), tmp_path / "animation.mp4", fps=24)
    found, _, _ = read_mp4(tmp_path / "animation.mp4")
    assert found[0].shape == (12, 16, 3)
    np.testing.assert_allclose(found[0][-1, -1], 30, atol=3)
    write_animation(frames(size=(15, 11)), tmp_path / "animation.gif", fps=24)
    assert Image.open(tmp_path / "animation.gif").size == (15, 11)


def test_animation_composites_transparency_over_white(tmp_path):
    clear = [Image.new("RGBA", (16, 16), (0, 0, 0, 0))] * 2
    for name in ("animation.gif", "animation.mp4"):
        write_animation(clear, tmp_path / name, fps=10)
    assert np.asarray(Image.open(tmp_path / "animation.gif").convert("RGB")).min() == 255
    assert read_mp4(tmp_path / "animation.mp4")[0][0].min() >= 253


def test_animation_of_one_frame_can_be_saved(tmp_path):
    for name in ("animation.gif", "animation.mp4"):
        write_animation(frames(1), tmp_path / name, fps=10)
    assert len(read_mp4(tmp_path / "animation.mp4")[0]) == 1


@pytest.mark.parametrize(
    ("name", "fps", "expected"),
    [
        ("animation.avi", 30, r"animation.avi has no ending.*Use .png \(a strip\), .gif or .mp4"),
        ("film", 30, "has no ending"),
        ("animation.mp4", 0, "fps=0; use 1 to 120"),
        ("animation.gif", 60, "at most 50 frames per second. Use 50 or fewer, or .mp4"),
    ],
)
def test_check_animation_refuses_what_cannot_be_written(tmp_path, name, fps, expected):
    with pytest.raises(ConfigError, match=expected):
        check_animation(tmp_path / name, fps)


def test_animation_too_large_to_be_drawn_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match=r"would be \d+ x \d+ pixels.*Use a smaller scale"):
        write_animation(frames(), tmp_path / "animation.gif", fps=10, scale=100_000)
    assert not list(tmp_path.iterdir())


def test_mp4_without_pyav_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"pip install 'ganforge\[video\]'.*can be .gif"):
        write_animation(frames(), tmp_path / "animation.mp4", fps=10)
    assert not list(tmp_path.iterdir())
    write_animation(frames(), tmp_path / "animation.gif", fps=10)


def test_animation_that_fails_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "animation.mp4"
    path.write_text("before")
    other_size = (*frames(2), Image.new("RGB", (40, 40)), "no image")
    with pytest.raises(AttributeError):
        write_animation(other_size, path, fps=10)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
