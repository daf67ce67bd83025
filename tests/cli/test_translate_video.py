import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from cli.conftest import export
from clips import damage, make_video, read_video
from dancer import dance, write_coco, write_openpose
from docs.test_examples import install
from PIL import Image

from ganforge.imaging.images import to_pixels
from ganforge.imaging.skeletons import draw_poses
from ganforge.interfaces.spec import FieldSpec, ImageSpec


@pytest.fixture(scope="module")
def video_gan(tmp_path_factory):
    install("video_gan")
    spec = ImageSpec(16, 16, 3, source_channels=3, num_frames=5)
    return export(tmp_path_factory.mktemp("models"), "video_gan", spec)


@pytest.fixture
def clip(tmp_path):
    """A clip of odd width, with audio, at 29.97 frames per second."""
    return make_video(tmp_path / "clip.mp4", 9, Fraction(30000, 1001), (20, 23), audio="aac")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shots").mkdir()
    for number in range(4):
        Image.new("RGB", (16, 12), (50 * number,) * 3).save(tmp_path / "shots" / f"{number}.png")
    return tmp_path / "shots"


@pytest.mark.parametrize("model", ["cyclegan", "video_gan"])
def test_translate_video_keeps_rate_size_length_and_audio(ganforge, clip, model, request):
    model = request.getfixturevalue(model)
    text = ganforge("translate", model, clip, "--out", "out.mp4", "--batch-size", 4).stdout
    assert "Wrote out.mp4: 9 frames, 20 x 23, 29.97 frames per second, with audio." in text
    before, after = read_video(clip), read_video("out.mp4")
    assert after[1:] == before[1:] and len(before[3]) > 5
    assert after[0][0].shape == (20, 23, 3)


def test_translate_video_in_any_batches_is_the_same_file(ganforge, video_gan, clip, tmp_path):
    for size in (1, 4, 9):
        ganforge(
            "translate", video_gan, clip, "--frames", "--out", f"by{size}", "--batch-size", size
        )
    names = sorted(path.name for path in (tmp_path / "by1" / "clip").iterdir())
    assert names == [f"{number:06d}.png" for number in range(9)]
    for name in names:
        files = {(tmp_path / f"by{size}" / "clip" / name).read_bytes() for size in (1, 4, 9)}
        assert len(files) == 1


def test_translate_videos_and_images_of_a_folder_keep_their_place(
    ganforge, cyclegan, tmp_path, folder
):
    make_video(folder / "a.mkv", 2)
    make_video(folder / "b.avi", 2)
    files = json.loads(ganforge("translate", cyclegan, folder, "--out", "out", "--json").stdout)
    assert [file["path"] for file in files] == [
        *(f"out/{number}.png" for number in range(4)), "out/a.mkv", "out/b.mp4"
    ]  # fmt: skip
    assert files[-1] == {
        "path": "out/b.mp4", "source": str(folder / "b.avi"), "frames": 2, "size": [16, 24],
        "fps": "25",
    }  # fmt: skip
    text = ganforge("translate", cyclegan, folder, "--out", "again").stdout
    assert "Wrote 4 images to again.\nWrote again/a.mkv: 2 frames" in text


def test_translate_folder_of_frames_to_a_video_has_the_given_rate(ganforge, cyclegan, folder):
    ganforge("translate", cyclegan, folder, "--out", "out.mp4", "--fps", "30000/1001")
    images, _, rate, audio = read_video("out.mp4")
    assert (len(images), rate, audio) == (4, Fraction(30000, 1001), [])


def test_translate_folder_with_a_model_of_video_is_a_folder_of_frames(
    ganforge, video_gan, folder, tmp_path
):
    ganforge("translate", video_gan, folder, "--out", "out")
    assert sorted(path.name for path in (tmp_path / "out" / "shots").iterdir()) == [
        f"{number}.png" for number in range(4)
    ]


def test_translate_folders_of_clips_with_a_model_of_video_keep_their_place(
    ganforge, video_gan, folder, tmp_path
):
    (tmp_path / "clips").mkdir()
    folder.rename(tmp_path / "clips" / "first")
    make_video(tmp_path / "clips" / "second.mp4", 2)
    files = json.loads(ganforge("translate", video_gan, "clips", "--out", "out", "--json").stdout)
    assert [(file["path"], file["frames"]) for file in files] == [
        ("out/first", 4), ("out/second.mp4", 2)
    ]  # fmt: skip


def test_translate_video_without_audio_and_at_another_size(ganforge, cyclegan, clip):
    options = ("--no-audio", "--size", "8x12", "--resize", "stretch")
    ganforge("translate", cyclegan, clip, "--out", "out.mkv", *options)
    images, _, _, audio = read_video("out.mkv")
    assert audio == [] and images[0].shape == (8, 12, 3)


def test_translate_video_with_a_damaged_frame_writes_nothing_or_leaves_it_out(
    ganforge, cyclegan, clip, tmp_path
):
    damage(clip, 5)
    error = ganforge("translate", cyclegan, clip, "--out", "out.mp4", code=2).stderr
    assert "Frame 5 of" in error and "--skip-bad" in error
    assert not (tmp_path / "out.mp4").exists()
    ganforge("translate", cyclegan, clip, "--out", "out.mp4", "--skip-bad")
    assert read_video("out.mp4")[1] == [
        Fraction(number * 1001, 30000) for number in range(9) if number != 5
    ]


def test_translate_skip_bad_skips_what_is_no_video(ganforge, cyclegan, clip, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    result = ganforge("translate", cyclegan, clip, "text.mp4", "--skip-bad", code=1)
    assert "Skipped: " in result.stderr and "text.mp4 cannot be read as a video" in result.stderr
    assert "Wrote translated/clip.mp4: 9 frames" in result.stdout


def test_translate_video_shows_its_progress_on_a_terminal(ganforge, cyclegan, clip, monkeypatch):
    assert "frame" not in ganforge("translate", cyclegan, clip, "--out", "a.mp4").stderr
    monkeypatch.setattr("ganforge.cli._translate.is_terminal", lambda: True)
    shown = ganforge("translate", cyclegan, clip, "--out", "b.mp4").stderr
    assert f"\r{clip}: frame 8 of 9" in shown and shown.endswith("frame 9 of 9\n")


def test_translate_video_compare_writes_a_second_video(ganforge, cyclegan, clip):
    ganforge("translate", cyclegan, clip, "--out", "out.mp4", "--compare", "both.mp4")
    images, times, *_ = read_video("both.mp4")
    assert images[0].shape == (20, 46, 3) and times == read_video(clip)[1]


def test_translate_video_refuses_what_has_no_meaning(
    ganforge, cyclegan, video_gan, clip, folder, tmp_path
):
    def error(*arguments):
        return ganforge("translate", *arguments, code=2).stderr

    one = "is made of one video, folder of frames or file of keypoints"
    assert one in error(cyclegan, clip, clip, "--out", "o.mp4")
    assert one in error(cyclegan, folder / "0.png", "--out", "o.mp4")
    both = ("--out", "o.mp4", "--compare")
    assert "of one clip it is a video" in error(cyclegan, clip, *both, "sheet.png")
    assert "--targets" in error(cyclegan, clip, *both, "both.mp4", "--targets", folder)
    assert "0.png is an image. Give a video" in error(video_gan, folder / "0.png")
    assert "--fps is for videos, but there are none" in error(cyclegan, folder, "--fps", "30")
    assert "--frames is for videos" in error(cyclegan, folder, "--frames")
    assert "--bit-depth is for images" in error(cyclegan, clip, "--bit-depth", "16")
    assert "has its own frame rate" in error(cyclegan, clip, "--fps", "30", "--out", "o.mp4")
    assert "videos are written as .mp4, .mov, .mkv" in error(cyclegan, clip, "--out", "o.webm")
    assert "is the video that is translated" in error(cyclegan, clip, "--out", clip)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "shots").mkdir()
    (tmp_path / "full" / "shots" / "old.png").touch()
    assert "is not empty" in error(video_gan, folder, "--out", "full")
    np.testing.assert_equal(sorted(path.name for path in tmp_path.glob("o.*")), [])


@pytest.fixture(scope="module")
def dance_model(tmp_path_factory):
    fields = {"pose": FieldSpec("vector", 51, is_clip=True)}
    spec = ImageSpec(
        32, 40, 3, source_channels=3, num_frames=4, source_kind="pose", pose_size=51, fields=fields
    )
    return export(tmp_path_factory.mktemp("models"), "everybody_dance_now", spec)


@pytest.mark.parametrize("as_frames", [False, True])
def test_translate_keypoints_is_a_video_or_a_folder_of_frames(
    ganforge, dance_model, tmp_path, as_frames
):
    write_coco(tmp_path / "dance.json", dance(3, 15, 16))
    more = ("--frames",) if as_frames else ("--fps", 12)
    ganforge("translate", dance_model, "dance.json", "--out", "out", *more)
    if as_frames:
        assert len(list((tmp_path / "out" / "dance").iterdir())) == 3
    else:
        images, _, rate, _ = read_video(tmp_path / "out" / "dance.mp4")
        assert (len(images), rate, images[0].shape) == (3, 12, (32, 40, 3))


def test_translate_folder_of_openpose_of_another_layout_is_refused(ganforge, dance_model, tmp_path):
    write_openpose(tmp_path / "poses", [[np.ones((25, 3))]] * 2)
    said = ganforge("translate", dance_model, "poses", "--out", "out.mp4", code=2)
    assert "75 numbers (OpenPose-25), but the model was trained on COCO-17" in said.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_translate_video_takes_a_field_from_files_in_order(ganforge, dance_model, tmp_path):
    poses = dance(3, 15, 16).reshape(3, -1).astype(np.float32)
    (tmp_path / "poses").mkdir()
    for number, pose in enumerate(poses):
        np.save(tmp_path / "poses" / f"{number}.npy", pose)
        drawn = draw_poses(torch.from_numpy(pose), 32, 40)
        path = tmp_path / "drawn" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(to_pixels(drawn[None], 8)[0]).save(path)
    ganforge("translate", dance_model, "drawn", "--out", "out", "--field", "pose=poses")
    assert len(list((tmp_path / "out" / "drawn").iterdir())) == 3
    (tmp_path / "poses" / "2.npy").unlink()
    said = ganforge(
        "translate", dance_model, "drawn", "--out", "b", "--field", "pose=poses", code=2
    )
    assert "has 2 values for 3 images" in said.stderr
