import base64
import io

import numpy as np
import pytest
from PIL import Image
from report.runs import write_run

from ganforge.report import pictures


def decoded(picture):
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))


def noise(height, width, channels=3):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_timeline_is_in_the_order_of_progress(tmp_path):
    shown = pictures.timeline(write_run(tmp_path / "run", num_pictures=3))
    assert [(p.kimg, p.caption) for p in shown] == [
        (1.0, "1 kimg"), (2.0, "2 kimg"), (3.0, "3 kimg"),
    ]  # fmt: skip
    assert [decoded(p).getpixel((0, 0))[2] // 64 for p in shown] == [1, 2, 3]


def test_timeline_of_many_pictures_keeps_the_first_and_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PICTURES", 3)
    shown = pictures.timeline(write_run(tmp_path / "run", num_pictures=9))
    assert [picture.kimg for picture in shown] == [1.0, 5.0, 9.0]


def test_timeline_shows_the_last_picture_larger(tmp_path):
    folder = write_run(tmp_path / "run")
    for nimg in (1000, 2000):
        Image.new("RGB", (900, 300)).save(folder / f"samples/nimg-{nimg:09d}.png")
    first, last = pictures.timeline(folder)
    assert (decoded(first).width, decoded(last).width) == (640, 900)
    assert (first.width, last.width) == (900, 900)


def test_timeline_leaves_out_what_is_no_picture(tmp_path, caplog):
    folder = write_run(tmp_path / "run", num_pictures=2)
    (folder / "samples/nimg-000001000.png").write_bytes(b"\x89PNG\r\n\x1a\nshort")
    (folder / "samples/nimg-last.png").write_bytes(b"")
    assert [picture.kimg for picture in pictures.timeline(folder)] == [2.0]
    assert "nimg-000001000.png is left out" in caplog.text


@pytest.mark.parametrize(
    ("size", "shown", "kind"), [((40, 60), (60, 40), "WEBP"), ((560, 1120), (1024, 512), "JPEG")]
)
def test_real_picture_is_recompressed_and_states_the_size_of_the_file(tmp_path, size, shown, kind):
    folder = write_run(tmp_path / "run")
    noise(*size).save(folder / "samples/real.png")
    picture = pictures.real(folder)
    image = decoded(picture)
    assert (image.size, image.format) == (shown, kind)
    assert (picture.height, picture.width) == size
    assert len(picture.uri) < (folder / "samples/real.png").stat().st_size


def test_real_picture_keeps_transparency(tmp_path):
    folder = write_run(tmp_path / "run")
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(folder / "samples/real.png")
    assert decoded(pictures.real(folder)).mode == "RGBA"


def test_real_picture_that_has_changed_is_read_again(tmp_path):
    folder = write_run(tmp_path / "run")
    for size in (8, 16):
        Image.new("L", (size, size)).save(folder / "samples/real.png")
        assert pictures.real(folder).width == size


def test_others_are_the_newest_clip_the_export_and_what_users_drew(tmp_path):
    folder = write_run(tmp_path / "run")
    frames = [noise(8, 8), noise(8, 8).rotate(90)]
    for nimg in (1000, 2000):
        path = folder / f"samples/nimg-{nimg:09d}.gif"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    (folder / "export").mkdir()
    noise(8, 8).save(folder / "export/samples.png")
    noise(8, 8).save(folder / "nearest_images.png")
    clip, *more = pictures.others(folder)
    assert decoded(clip).n_frames == 2
    assert [picture.caption for picture in (clip, *more)] == [
        "Newest clip, at 2 kimg", "Samples of the exported model", "Nearest images",
    ]  # fmt: skip
