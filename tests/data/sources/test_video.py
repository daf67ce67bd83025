import sys

import numpy as np
import pytest

from ganforge.errors import ConfigError, DataError

av = pytest.importorskip("av")


def test_video_file_is_one_clip_named_like_it(tmp_path, write_video, source):
    path = write_video(tmp_path / "walk.mp4", 7)
    (sample,) = source("video", path=str(path)).samples()
    assert (sample.key, sample.group, len(sample.fields["frames"])) == ("walk", "walk", 7)


def test_video_folder_gives_each_file_as_a_clip_in_natural_order(tmp_path, write_video, source):
    for name in ("10.mp4", "9.mp4", "deep/1.mkv"):
        write_video(tmp_path / name, 3)
    (tmp_path / "notes.txt").touch()
    found = source("video", path=str(tmp_path))
    assert [s.key for s in found.samples()] == ["9", "10", "deep+1"]
    assert found.num_samples() == 3


def test_video_folder_is_walked_once_and_without_hidden_files(tmp_path, write_video, source):
    write_video(tmp_path / "a" / "1.mp4", 3)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name in ("._1.mp4", "@eaDir/1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [s.key for s in source("video", path=str(tmp_path)).samples()] == ["a+1"]


def test_video_pieces_hold_all_frames(tmp_path, write_video, values, source):
    write_video(tmp_path / "a.mp4", 50)
    samples = list(source("video", path=str(tmp_path), max_frames=12).samples())
    assert [s.key for s in samples] == ["a_000000", "a_000010", "a_000020", "a_000030", "a_000040"]
    assert [v for s in samples for v in values(s.fields["frames"])] == pytest.approx(
        [2 * n for n in range(50)], abs=2
    )


@pytest.mark.parametrize("target", ["b.mp4", "folder"])
def test_videos_of_two_places_are_pairs(tmp_path, write_video, source, target):
    if target == "folder":
        one, other = write_video(tmp_path / "x/a.mp4", 5), write_video(tmp_path / "y/a.mkv", 5)
        places = {"source": str(one.parent), "target": str(other.parent)}
    else:
        one, other = write_video(tmp_path / "a.mp4", 5), write_video(tmp_path / target, 5)
        places = {"source": str(one), "target": str(other)}
    (sample,) = source("video", **places).samples()
    assert (sample.fields["source"].path, sample.fields["frames"].path) == (one, other)


def test_videos_of_unequal_length_are_listed(tmp_path, write_video, source):
    one, other = write_video(tmp_path / "x/a.mp4", 5), write_video(tmp_path / "y/a.mp4", 6)
    with pytest.raises(DataError, match=r"'a \(5 and 6 frames\)'. Make each pair equally long"):
        list(source("video", source=str(one.parent), target=str(other.parent)).samples())


def test_video_options_choose_frames(tmp_path, write_video, source):
    path = write_video(tmp_path / "a.mp4", 50)
    (sample,) = source("video", path=str(path), fps=5, every=2).samples()
    assert len(sample.fields["frames"]) == 5


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ([], "holds no videos .*.mp4"),
        (["a.mp4", "a.mkv"], "has two videos named 'a'.*Keep one"),
    ],
)
def test_video_folders_that_do_not_serve_are_named(tmp_path, write_video, source, files, fault):
    for name in files:
        write_video(tmp_path / name, 2)
    with pytest.raises(DataError, match=fault):
        list(source("video", path=str(tmp_path)).samples())


def test_video_that_is_missing_or_damaged_is_named(tmp_path, source):
    with pytest.raises(DataError, match="is no file and no folder. Correct the path"):
        list(source("video", path=str(tmp_path / "gone")).samples())
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="a.mp4 cannot be read as a video .*Check the file"):
        list(source("video", path=str(tmp_path / "a.mp4")).samples())


def test_damaged_video_among_others_is_a_bad_sample(tmp_path, write_video, source):
    for side in ("x", "y"):
        write_video(tmp_path / side / "1.mp4", 3)
        write_video(tmp_path / side / "2.mp4", 3)
    (tmp_path / "y" / "2.mp4").write_bytes(b"no video")
    alone = source("video", path=str(tmp_path / "y"))
    pairs = source("video", source=str(tmp_path / "x"), target=str(tmp_path / "y"))
    for found in (alone, pairs):
        good, bad = found.samples()
        assert (good.key, good.fault, bad.key) == ("1", "", "2")
        assert "2.mp4 cannot be read as a video" in bad.fault
        assert found.num_samples() == 2


def test_video_of_10_bits_is_read_with_8_and_says_so(tmp_path, write_video, source, caplog):
    path = write_video(tmp_path / "a.mp4", 3, pixels="yuv420p10le")
    (sample,) = source("video", path=str(path)).samples()
    assert next(iter(sample.fields["frames"])).dtype == np.uint8
    assert f"{path} has 10 bits per channel; its frames are read with 8" in caplog.text


def test_video_without_pyav_says_what_to_install(tmp_path, source, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"pip install 'ganforge\[video\]'"):
        list(source("video", path=str(tmp_path)).samples())
