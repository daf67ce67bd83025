import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ganforge.errors import DataError
from ganforge.starters.survey import describe, survey


def test_survey_of_a_folder_counts_sizes_and_copies(paint):
    folder = paint("in")
    shutil.copy(folder / "000.png", folder / "copy.png")
    (folder / "notes.txt").write_text("hello")

    found = survey([str(folder)])

    assert (found.kind, found.count, found.side) == ("images", 41, 64)
    lines = describe(found)
    assert lines[0] == "41 images, 72x64."
    assert "1 are copies of others, pixel by pixel." in lines
    assert any("notes.txt" in line for line in lines)


def test_survey_of_transparent_gray_and_mixed_sizes_says_so(paint):
    paint("in", mode="RGBA")
    assert "transparent" in describe(survey([str(paint("in", 1, first=99, mode="RGBA"))]))[0]
    assert "gray" in describe(survey([str(paint("gray", mode="L"))]))[0]
    mixed = paint("mixed")
    paint("mixed", 3, size=(90, 200), first=90)
    assert describe(survey([str(mixed)]))[0] == "43 images, 72x64 to 90x200."


def test_survey_of_sub_folders_finds_classes_unless_they_are_small(paint, tmp_path):
    for name in ("cats", "dogs"):
        paint(f"big/{name}", 20)
        paint(f"small/{name}", 19)

    assert survey([str(tmp_path / "big")]).kind == "classes"
    small = survey([str(tmp_path / "small")])
    assert small.kind == "images"
    assert "too small to be drawn one by one" in small.reason


def test_survey_of_two_folders_pairs_equal_names_and_leaves_out_others(paint):
    source, target = paint("a"), paint("b", 42)
    found = survey([str(source), str(target)])

    assert (found.kind, found.count) == ("pairs", 40)
    assert found.source["unmatched"] == "skip"
    assert "2 images without a partner are left out" in found.reason


def test_survey_of_two_folders_without_common_names_finds_two_domains(paint):
    found = survey([str(paint("a")), str(paint("b", 50, first=500))])

    assert found.kind == "domains"
    assert found.source == {**found.source, "name": "unpaired"}
    assert describe(found)[0] == "40 and 50 images, 72x64."


@pytest.mark.parametrize("column", ["caption", "text"])
def test_survey_of_a_table_of_captions_finds_text(paint, column):
    folder = paint("in")
    rows = [{"file_name": p.name, column: f"image {p.stem}"} for p in sorted(folder.glob("*"))]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))

    found = survey([str(folder)])

    assert (found.kind, found.count) == ("text", 40)
    assert found.source["path"].endswith("metadata.jsonl")
    assert "left out" not in found.reason


def test_survey_of_a_table_that_lacks_images_counts_them(paint):
    folder = paint("in")
    rows = [{"file_name": p.name, "text": p.stem} for p in sorted(folder.glob("*"))[:33]]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    expected = "7 images that metadata.jsonl does not name are left out"
    assert expected in " ".join(describe(survey([str(folder)])))


def test_survey_of_a_folder_of_frames_is_of_video_where_it_should_be(paint):
    folder = str(paint("in").parent)
    paint("in/second", 10, first=100)

    found = survey([folder + "/in"], as_video=True)

    assert (found.kind, found.count, found.source["name"]) == ("video", 50, "frames")
    assert describe(found)[:2] == [
        "50 frames, 72x64.",
        "2 clips: edges are translated to frames.",
    ]
    with pytest.raises(DataError, match=r"has 10 frames\. A GAN needs at least 32"):
        survey([folder + "/in/second"], as_video=True)


def test_survey_counts_damage_and_goes_on(paint):
    folder = paint("in")
    (folder / "000.png").write_bytes(b"not a picture")

    found = survey([str(folder)])

    assert found.report.num_bad == 1
    assert any("1 cannot be read and are left out" in line for line in describe(found))


def empty(folder):
    pass


def one_image(folder):
    Image.new("RGB", (64, 64)).save(folder / "a.png")


def pixels(folder):
    for number in range(40):
        Image.new("RGB", (1, 1), (number, 0, 0)).save(folder / f"{number}.png")


def documents(folder):
    (folder / "letter.docx").write_text("Dear Sir")


def texts_named_as_images(folder):
    for number in range(40):
        (folder / f"{number}.jpg").write_text("I am a text")


def slivers(folder):
    for number in range(40):
        Image.new("RGB", (3000, 9 + number)).save(folder / f"{number}.png")


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (empty, "holds no images"),
        (one_image, r"has 1 image\. A GAN needs at least 32"),
        (pixels, r"40 of the 40 images .* smaller than 8 pixels .*1x1 \(40\)"),
        (documents, r"holds no images.*\.docx 1"),
        (texts_named_as_images, r"None of the 40 images .* can be read.*0\.jpg"),
        (slivers, r"longer than 8 times their width: 3000x"),
    ],
)
def test_survey_refuses_what_cannot_be_trained_on(tmp_path, fill, expected):
    (tmp_path / "in").mkdir()
    fill(tmp_path / "in")

    with pytest.raises(DataError, match=expected):
        survey([str(tmp_path / "in")])


def test_survey_refuses_three_places_and_a_missing_one(tmp_path):
    with pytest.raises(DataError, match="3 places were given"):
        survey(["a", "b", "c"])
    with pytest.raises(DataError, match="'nowhere' is not a folder"):
        survey(["nowhere"])


def test_survey_of_much_damage_is_refused(paint):
    folder = paint("in")
    for number in range(21):
        (folder / f"{number:03}.png").write_bytes(b"not a picture")

    with pytest.raises(DataError, match="21 of the 40 images"):
        survey([str(folder)])


def test_brightness_of_transparent_images_ignores_what_cannot_be_seen(tmp_path):
    for number in range(40):
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[:8] = (250, 250, 250, 255)
        pixels[8:, :, 0] = number
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")

    report = survey([str(tmp_path)]).report

    assert report.num_transparent == 40
    assert report.brightness == pytest.approx(250)
