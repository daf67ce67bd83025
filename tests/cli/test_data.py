import io
import json
import zipfile
from pathlib import Path

import pytest
from dancer import dance, write_coco
from PIL import Image

from ganforge.data.keypoints import read_poses
from ganforge.data.shards.index import load_index


@pytest.fixture
def shards(ganforge, photos):
    output = ganforge(
        "data", "prepare", photos, "shards", "resolution=16",
        "--workers", 0,
    ).stdout  # fmt: skip
    assert "Wrote 12 samples to shards." in output
    return "shards"


def test_data_prepare_says_what_it_wrote(ganforge, photos):
    arguments = ("data", "prepare", photos, "out")
    printed = json.loads(ganforge(*arguments, "resolution=16", "--workers", 0, "--json").stdout)

    assert (printed["path"], printed["num_samples"]) == ("out", {"main": 12})
    assert len(printed["digest"]) == 64


@pytest.mark.parametrize(
    ("options", "place"), [((), "out-validation"), (("--validation", "val"), "val")]
)
def test_data_prepare_holds_out_validation_data(ganforge, photos, options, place):
    settings = ("resolution=16", "validation.num_samples=2", "--workers", 0, *options)
    arguments = ("data", "prepare", photos, "out", *settings)
    assert f"Wrote 10 samples to out.\nWrote 2 samples to {place}." in ganforge(*arguments).stdout
    printed = json.loads(ganforge(*arguments, "--overwrite", "--json").stdout)
    assert (printed["num_samples"], printed["validation"]["num_samples"]) == (
        {"main": 10},
        {"main": 2},
    )
    assert printed["validation"]["path"] == place


def test_data_prepare_keeps_what_is_there_unless_told(ganforge, shards, photos):
    again = ("data", "prepare", photos, shards, "resolution=16", "--workers", 0)

    assert "already exists" in ganforge(*again, code=2).stderr
    ganforge(*again, "--overwrite")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("resolutoin=64", "unknown key 'resolutoin'. Did you mean 'resolution'?"),
        ("source=foldr", "Unknown source 'foldr'. Did you mean 'folder'"),
        ("resolution", "is not of the form section.key=value"),
    ],
)
def test_data_prepare_names_a_wrong_setting(ganforge, photos, setting, expected):
    assert expected in ganforge("data", "prepare", photos, "out", setting, code=2).stderr


def test_data_prepare_refuses_a_negative_number_of_workers(ganforge, photos):
    output = ganforge("data", "prepare", photos, "out", "--workers", -1, code=2).stderr

    assert "--workers" in output and "-1 is not in the range x>=0" in output


def test_data_embed_writes_new_shards(ganforge, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("image,caption\na.png,a red apple\n")
    ganforge("data", "prepare", "list.csv", "plain", "--workers", 0)
    command = ("data", "embed", "plain", "out", "--encoder", "hashed_words", "size=8")

    printed = ganforge(*command)
    again = ganforge(*command, code=2)
    as_json = json.loads(ganforge(*command, "--overwrite", "--json").stdout)

    assert "Embedded the captions with hashed_words (8 numbers each): out." in printed.stdout
    assert "out already exists" in again.stderr
    index = load_index("out")
    assert as_json["digest"] == index.digest
    assert as_json["size"] == index.image_spec.text_dim == 8
    assert as_json["revision"] == index.image_spec.text_encoding.revision


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--encoder", "hashed_word"], "Unknown text encoder 'hashed_word'"),
        (["--encoder", "hashed_words", "siz=1"], "unknown key 'siz'. Did you mean 'size'"),
        (["--encoder", "hashed_words", "size"], "SETTINGS: 'size' is not KEY=VALUE"),
        (["--encoder", "hashed_words"], "no field 'caption' to embed"),
    ],
)
def test_data_embed_refuses_what_cannot_work(ganforge, shards, arguments, expected):
    assert expected in ganforge("data", "embed", shards, "out", *arguments, code=2).stderr


def test_data_inspect_reports_raw_images_shards_and_pipeline_alike(
    ganforge, photos, shards, pipeline
):
    for location in (photos, shards, pipeline):
        printed = json.loads(ganforge("data", "inspect", location, "--json").stdout)
        assert printed["class_counts"] == {"cat": 6, "dog": 6}

    text = ganforge("data", "inspect", shards, "--contact-sheet", "sheet.png").stdout
    assert "size      16 x 16 x 3, 8 bits: 12 images" in text
    assert "class     cat: 6" in text and "picture   sheet.png" in text


def test_data_inspect_lists_bad_files(ganforge, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "broken.png").write_bytes(b"\x89PNG no more")

    output = ganforge("data", "inspect", "raw").stdout

    assert "BAD" in output and "broken" in output and "WARNING" in output


def test_data_verify_finds_damage(ganforge, shards, tmp_path):
    assert "1 of 1 shards are sound: 12 samples." in ganforge("data", "verify", shards).stdout
    shard = next((tmp_path / shards).glob("*.tar"))
    damaged = bytearray(shard.read_bytes())
    damaged[700] ^= 1
    shard.write_bytes(damaged)

    output = ganforge("data", "verify", shards, code=1).stdout
    printed = json.loads(ganforge("data", "verify", shards, "--json", code=1).stdout)

    assert "Damaged: " in output and shard.name in output
    assert printed["is_sound"] is False
    ganforge("data", "verify", shards, "--no-hashes")


def test_data_verify_without_an_index_says_so(ganforge):
    assert (
        "No index.json can be read at nowhere"
        in ganforge("data", "verify", "nowhere", code=2).stderr
    )


def test_data_commands_say_what_is_found_and_left_out(ganforge):
    for name in ("cat/1.png", "dog/1.png", "dog/2.png", "@eaDir/1.png"):
        Path("raw", name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(Path("raw", name))
    Path("raw", "dog", "3.jxl").touch()
    for arguments in (["inspect", "raw", "--json"], ["prepare", "raw", "out", "--json"]):
        result = ganforge("data", *arguments)
        assert "2 classes from folders of raw: cat (1), dog (2)" in result.stderr
        assert "Left out of raw: 1 images in formats that cannot be read (.jxl 1)" in result.stderr
        assert "Left out of raw: 1 hidden or system files or folders" in result.stderr
        assert json.loads(result.stdout)


def test_data_derive_writes_a_picture(ganforge, photos):
    options = ("-d", "edges", "-d", "{name: noise, sigma: 40}", "--resolution", 128)

    printed = ganforge("data", "derive", photos, "sheet.png", *options, "--num-images", 2).stdout

    assert printed == "Wrote sheet.png.\n"
    with Image.open("sheet.png") as sheet:
        assert sheet.width == 3 * 128 + 2 * 2


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("edgs", "Unknown derivation 'edgs'. Did you mean 'edges'"),
        ("{name: edges, sgma: 2}", "unknown key 'sgma'. Did you mean 'sigma'"),
        ("{nme: edges}", "data.derive.name"),
        ("5", "should be a mapping"),
    ],
)
def test_data_derive_names_what_is_wrong_with_a_choice(ganforge, photos, choice, expected):
    assert expected in ganforge("data", "derive", photos, "s.png", "-d", choice, code=2).stderr


def test_data_commands_end_with_a_count_of_what_is_left_out(ganforge):
    for name in ("1.png", "2.png", ".hidden.png"):
        Path("raw").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(Path("raw", name))
    Path("raw", "3.jxl").touch()
    Path("raw", "4.png").write_bytes(b"no image")

    report = json.loads(ganforge("data", "inspect", "raw", "--json").stdout)
    text = ganforge("data", "inspect", "raw").stdout
    settings = ("on_bad_sample=skip", "--json")
    log = ganforge("data", "prepare", "raw", "out", *settings).stderr

    counts = {files["reason"]: files["count"] for files in report["left_out"]}
    assert counts == {
        "images in formats that cannot be read": 1,
        "hidden or system files or folders": 1,
    }
    assert "left out  1 images in formats that cannot be read (.jxl 1), e.g. '3.jxl'" in text
    last = [line for line in log.splitlines() if line.startswith("Left out in all")]
    assert len(last) == 1 and "1 bad samples" in last[0] and "1 hidden or system" in last[0]


def test_data_prepare_skips_a_damaged_member_of_a_zip(ganforge):
    png = io.BytesIO()
    Image.effect_noise((16, 16), 64).save(png, "PNG")
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("0.png", "1.png", "2.png"):
            archive.writestr(name, png.getvalue())
    content = bytearray(Path("a.zip").read_bytes())
    content[100] ^= 255
    Path("a.zip").write_bytes(content)

    failed = ganforge("data", "prepare", "a.zip", "out", code=2).stderr
    skipped = ganforge("data", "prepare", "a.zip", "out", "on_bad_sample=skip")

    assert "Sample '0,png'" in failed and "cannot be unpacked" in failed
    assert "Left out in all: 1 bad samples." in skipped.stderr
    assert "Wrote 2 samples to out." in skipped.stdout


def test_data_prepare_refuses_colors_after_gray_images(ganforge):
    Path("raw").mkdir()
    for number in range(70):
        mode = "L" if number < 66 else "RGB"
        Image.new(mode, (4, 4), 9 if mode == "L" else (9, 0, 0)).save(f"raw/{number:02d}.png")

    failed = ganforge("data", "prepare", "raw", "out", code=2).stderr

    assert "raw/66.png) has 3 channels, the images before it have 1; set data.channels" in failed
    assert "Wrote 70" in ganforge("data", "prepare", "raw", "out", "channels=3").stdout


def test_pose_normalize_writes_poses_of_the_size_and_frames_of_the_target(ganforge, tmp_path):
    write_coco(tmp_path / "a.json", dance(4, 100, 100, unit=8))
    write_coco(tmp_path / "b.json", dance(3, 20, 20))
    out = tmp_path / "out.json"
    said = ganforge(
        "data", "pose-normalize", "a.json", "b.json", "out.json", "--frame-size", 48, 64
    )
    assert "Wrote the poses of 4 frames to out.json." in said.stdout
    poses = read_poses(out)
    assert poses.frame_size == (48, 64)
    first = poses.points[0].reshape(17, 3)
    assert first[15, 1] - first[0, 1] == pytest.approx(16, rel=0.05)
