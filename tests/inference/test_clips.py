from fractions import Fraction

import numpy as np
import pytest
import torch
from clips import damage, make_video
from dancer import dance, write_coco
from inference.conftest import opened
from PIL import Image

from ganforge.errors import ConfigError, DataError, ShapeError
from ganforge.imaging.skeletons import draw_poses
from ganforge.inference.clips import chunks, open_clip
from ganforge.inference.sizes import Sizing
from ganforge.inference.source_images import SourceReader
from ganforge.interfaces.source import Poses
from ganforge.interfaces.spec import ImageSpec


def test_open_clip_of_a_video_has_its_timing_and_pixels(tmp_path):
    path = make_video(tmp_path / "clip.mp4", rate=Fraction(30000, 1001))
    clip = opened(path, channels=1)
    frames = list(clip.frames())
    assert (clip.timing.rate, clip.num_frames, clip.name) == (
        Fraction(30000, 1001), 6, str(path)
    )  # fmt: skip
    assert [time for _, time in frames] == list(range(6))
    assert frames[0][0].shape == (1, 16, 24)
    assert float(frames[0][0].mean()) == pytest.approx(30 / 127.5 - 1, abs=0.02)


def test_open_clip_of_a_folder_reads_its_frames_by_name(folder):
    clip = opened(str(folder), fps="30000/1001")
    values = [float(img.mean()) for img, _ in clip.frames()]
    assert values == pytest.approx([40 * n / 127.5 - 1 for n in range(5)])
    assert clip.stems == tuple(f"frame{n}" for n in range(5))
    assert (clip.timing.rate, clip.num_frames) == (Fraction(30000, 1001), 5)


def test_open_clip_of_an_iterable_takes_images_and_tensors():
    frames = (Image.new("L", (6, 4)), torch.zeros(3, 4, 6), torch.zeros(4, 4, 6))
    clip = opened(iter(frames))
    assert [img.shape for img, _ in clip.frames()] == [(3, 4, 6)] * 3
    assert (clip.num_frames, clip.timing.rate) == (None, 25)
    assert opened(frames).num_frames == 3
    with pytest.raises(ShapeError, match="give PIL images"):
        list(opened(["a.png"]).frames())


@pytest.mark.parametrize("fps", [0, -1, 5000, "fast", "1/0", float("nan"), float("inf")])
def test_open_clip_at_what_is_no_rate_is_refused(folder, fps):
    with pytest.raises(ConfigError, match="is not a frame rate. Use frames per second up to 1000"):
        opened(folder, fps=fps)


def test_open_clip_of_a_video_refuses_another_rate(tmp_path):
    with pytest.raises(ConfigError, match="clip.mp4 has its own frame rate, which is kept. Leave"):
        opened(make_video(tmp_path / "clip.mp4"), fps=30)


def test_open_clip_of_a_folder_without_frames_or_with_one_twice_is_refused(folder):
    Image.new("RGB", (6, 4)).save(folder / "frame1.jpg")
    with pytest.raises(DataError, match="frame1.jpg and .*frame1.png are the same frame twice"):
        opened(folder)
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no frames \(.bmp.*Check the path"):
        opened(folder / "empty")


def test_open_clip_of_label_maps_reads_a_folder_but_no_video(tmp_path):
    (tmp_path / "ids").mkdir()
    Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).save(tmp_path / "ids" / "0.png")
    ((img, _),) = opened(tmp_path / "ids", 2, kind="labels").frames()
    assert img.tolist() == [[[1, 0]], [[0, 1]]]
    with pytest.raises(ConfigError, match="compression changes label ids. Give a folder"):
        opened(make_video(tmp_path / "ids.mp4"), 2, kind="labels")


def test_open_clip_with_a_damaged_frame_names_it_or_leaves_it_out(folder, tmp_path):
    (folder / "frame2.png").write_text("no image")
    with pytest.raises(DataError, match=r"Frame 2, .*frame2.png, cannot be .*--skip-bad"):
        list(opened(folder).frames())
    assert [time for _, time in opened(folder, skip_bad=True).frames()] == [0, 1, 3, 4]
    path = make_video(tmp_path / "clip.mp4")
    damage(path, 4)
    assert [time for _, time in opened(path, skip_bad=True).frames()] == [0, 1, 2, 3, 5]


def test_chunks_are_of_one_length_but_the_last():
    clip = opened([torch.full((3, 2, 2), n / 10) for n in range(5)])
    found = list(chunks(clip, 2))
    assert [[time for _, time in chunk] for chunk in found] == [[0, 1], [2, 3], [4]]


def test_chunks_of_another_size_or_of_no_frames_are_refused():
    frames = [torch.zeros(3, 4, 4)] * 3 + [torch.zeros(3, 4, 5)]
    with pytest.raises(DataError, match=r"Frame 3 of the clip is 4 x 5 .*, the first is 4 x 4"):
        list(chunks(opened(frames), 2))
    with pytest.raises(DataError, match="There are no frames in the clip. Give at least one"):
        list(chunks(opened([]), 2))


def poses(frame_size=None, **options):
    return Poses(dance(3, **options).reshape(3, -1).astype(np.float32), frame_size)


def test_open_clip_of_keypoints_draws_them_in_pixels_of_the_result(tmp_path):
    clip = opened(write_coco(tmp_path / "a.json", dance(3)), kind="pose", fps=30)
    frames = list(clip.frames())
    assert (clip.num_frames, clip.timing.rate, len(frames)) == (3, 30, 3)
    for (img, _), row in zip(frames, poses().points, strict=True):
        assert torch.equal(img, draw_poses(torch.from_numpy(row), 40, 40))
    assert [time for _, time in frames] == [0, 1, 2]


@pytest.mark.parametrize(("way", "x", "y"), [("crop", 20, 20), ("stretch", 10, 20)])
def test_open_clip_of_keypoints_of_larger_frames_scales_them_like_the_frames(way, x, y):
    clip = opened(poses((80, 160), x=40 if way == "stretch" else 80, y=40), kind="pose", way=way)
    middle = clip.poses[0].view(17, 3)[11:13].mean(0)  # the hips, 2 units above the middle
    assert middle[:2].tolist() == pytest.approx([x, y - 1])


def test_open_clip_of_keypoints_outside_of_the_frames_is_refused():
    with pytest.raises(DataError, match=r"of 51 joints lie outside of the frames of 40 x 40"):
        opened(poses(x=400), kind="pose")


def test_open_clip_of_keypoints_at_a_size_between_strides_is_refused():
    reader = SourceReader(ImageSpec(8, 8), 3, "pose")
    with pytest.raises(ConfigError, match=r"multiples of 4. Use \(44, 40\)"):
        open_clip(poses(), reader, Sizing("echo", 4, (40, 40), (41, 38)), None, False)


def test_open_clip_of_keypoints_and_of_videos_is_for_models_of_these(tmp_path):
    with pytest.raises(ConfigError, match="the clip holds poses, but this model translates images"):
        opened(poses())
    with pytest.raises(ConfigError, match="clip.mp4 is a video, but this model draws poses"):
        opened(make_video(tmp_path / "clip.mp4"), kind="pose")
