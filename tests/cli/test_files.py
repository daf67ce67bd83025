from pathlib import Path

import pytest

from ganforge.cli._files import files_in, list_inputs, plan_jobs
from ganforge.errors import ConfigError, DataError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Empty files; what is in them is not read."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.jpg", "a/2.PNG", "b/1.jpg", "b/notes.txt", "b/deep/x.y.tiff"):
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("photos")


def targets(inputs, out="out"):
    return [str(job.target) for job in plan_jobs([Path(path) for path in inputs], Path(out))]


def test_plan_jobs_of_a_folder_keeps_its_structure(photos):
    assert targets(["photos"]) == [
        "out/a/1.png", "out/a/2.png", "out/b/1.png", "out/b/deep/x.y.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["photos/a/1.jpg"], ["out/1.png"]),
        (["photos/a/1.jpg", "photos/a/2.PNG"], ["out/1.png", "out/2.png"]),
        (["photos/a/1.jpg", "photos/b/../b/1.jpg"], ["out/a/1.png", "out/b/1.png"]),
        (["photos/a/1.jpg", "photos/b"], ["out/1.png", "out/deep/x.y.png"]),
    ],
)
def test_plan_jobs_of_files_keeps_their_place_below_the_folder_they_share(photos, inputs, expected):
    (photos / "b" / "1.jpg").touch()
    if inputs[-1] == "photos/b":
        (photos / "b" / "1.jpg").unlink()
    assert targets(inputs) == expected


def test_plan_jobs_of_a_file_given_twice_translates_it_once_more(photos):
    assert targets(["photos/a/1.jpg", "photos/a/1.jpg"]) == ["out/1.png"] * 2


def test_plan_jobs_of_two_files_with_one_result_names_both(photos):
    (photos / "a" / "1.png").touch()
    with pytest.raises(ConfigError, match=r"a/1.jpg and .*a/1.png would both .*out/a/1.png. Tra"):
        targets(["photos"])
    (photos / "a" / "1.png").unlink()
    with pytest.raises(ConfigError, match="a/1.jpg and .*b/1.jpg would both be written to out/1."):
        targets(["photos/a", "photos/b"])


def test_plan_jobs_does_not_overwrite_what_it_reads(photos):
    with pytest.raises(ConfigError, match="would overwrite 1 of the images.*a/2.PNG|Give --out"):
        Path("photos/a/2.PNG").rename("photos/a/2.png")
        targets(["photos/a"], "photos/a")


def test_plan_jobs_does_not_read_earlier_results_below_the_input(photos):
    before = targets(["photos"], "photos/new")
    for path in before:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    assert targets(["photos"], "photos/new") == before


def test_plan_jobs_of_videos_names_what_can_be_written(photos):
    for name in ("v.mkv", "w.webm"):
        (photos / "a" / name).touch()
    jobs = plan_jobs([photos / "a"], Path("out"))
    assert [str(job.target) for job in jobs][2:] == ["out/v.mkv", "out/w.mp4"]
    jobs = plan_jobs([photos / "a"], Path("out"), as_frames=True)
    assert [str(job.target) for job in jobs][2:] == ["out/v", "out/w"]


def test_plan_jobs_of_frames_has_one_clip_for_each_folder_of_images(photos):
    (photos / "b" / "v.mp4").touch()
    jobs = plan_jobs([photos, photos / "a"], Path("out"), of_frames=True)
    assert {str(job.source): str(job.target) for job in jobs} == {
        "photos/a": "out/a", "photos/b": "out/b", "photos/b/deep": "out/b/deep",
        "photos/b/v.mp4": "out/b/v.mp4",
    }  # fmt: skip


def test_plan_jobs_of_a_folder_without_images_says_so(photos):
    Path("empty").mkdir()
    with pytest.raises(DataError, match="INPUTS=.empty. holds no images .*Correct the path"):
        targets(["empty"])


class Stdin:
    def __init__(self, content):
        self.buffer = self
        self.read = lambda: content


@pytest.mark.parametrize(
    ("content", "is_null", "expected"),
    [
        (b"a.png\nb c.png\r\n\n", False, ["a.png", "b c.png"]),
        (b"a\nb.png\0c.png\0", True, ["a\nb.png", "c.png"]),
    ],
)
def test_list_inputs_reads_the_list_in_the_place_of_the_dash(
    monkeypatch, content, is_null, expected
):
    monkeypatch.setattr("sys.stdin", Stdin(content))
    found = list_inputs([Path("first.png"), Path("-"), Path("last")], is_null)
    assert [str(path) for path in found] == ["first.png", *expected, "last"]


def test_list_inputs_of_an_empty_list_shows_how_to_make_one(monkeypatch):
    monkeypatch.setattr("sys.stdin", Stdin(b"\n"))
    with pytest.raises(
        ConfigError, match="no paths on standard input. List one per line, e.g. find"
    ):
        list_inputs([Path("-")])


def test_files_in_a_folder_are_chosen_as_for_a_data_set(photos, caplog):
    for name in ("._1.png", "c.HEIC", "notes.txt"):
        (photos / "b" / name).write_bytes(b"x")
    (photos / "b" / "d.jfif").touch()
    Path("other").mkdir()
    Path("other/z.png").touch()
    (photos / "link").symlink_to("../other")
    found = {str(path) for path in files_in(photos, Path("out"))}
    assert {"photos/b/d.jfif", "photos/link/z.png"} < found
    assert not any("._1" in name or "HEIC" in name for name in found)
    assert "1 images in formats that cannot be read (.heic 1)" in caplog.text
