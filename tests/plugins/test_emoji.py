import shutil
import subprocess
from pathlib import Path

import pytest
from ganforge_emoji.source import EmojiDomains, EmojiDomainsConfig, base_name, part_of
from PIL import Image

from ganforge.api import DataError

NAMES = [f"1f{i:03x}.png" for i in range(120)]
SCRIPT = Path(__file__).parents[2] / "pipelines" / "quick" / "get_emoji.sh"


@pytest.fixture
def packages(tmp_path):
    """Two packages of tiny images: half red, half transparent black."""
    for vendor in ("google", "twitter"):
        folder = tmp_path / vendor / "img" / vendor / "64"
        folder.mkdir(parents=True)
        img = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
        img.paste((255, 0, 0, 255), (0, 0, 2, 4))
        for name in NAMES:
            (img if vendor == "google" else img.quantize()).save(folder / name)
    return tmp_path


def source(packages, **options):
    folders = {vendor: str(packages / vendor) for vendor in ("google", "twitter")}
    return EmojiDomains(EmojiDomainsConfig(**folders, **options))


def keys(domains, stream):
    return {sample.key for sample in domains.samples(stream)}


def test_domains_and_test_split_share_no_emoji_and_lose_none(packages):
    train, test = source(packages), source(packages, split="test")
    parts = [keys(train, "source"), keys(train, "target"), keys(test, "main")]
    assert sorted(key for part in parts for key in part) == [n.removesuffix(".png") for n in NAMES]
    assert len(train) == len(parts[0]) + len(parts[1])
    assert len(test) == len(parts[2])
    assert all(part for part in parts)


def test_domains_fields_are_named_after_their_stream(packages):
    train, test = source(packages), source(packages, split="test")
    assert list(train.streams()) == ["source", "target"]
    assert list(test.streams()) == ["main"]
    assert set(next(train.samples("source")).fields) == {"source"}
    assert set(next(train.samples("target")).fields) == {"target"}
    assert set(next(test.samples()).fields) == {"source", "target"}


def test_domains_transparent_pixels_are_white_in_both_file_modes(packages):
    pair = next(source(packages, split="test").samples()).fields
    for img in pair.values():
        assert (img.mode, img.size) == ("RGB", (4, 4))
        assert img.getpixel((0, 0)) == (255, 0, 0)
        assert img.getpixel((3, 3)) == (255, 255, 255)


def test_part_of_is_near_the_asked_shares():
    parts = [part_of(f"{i:05x}.png", 10) for i in range(5000)]
    # Binomial: standard deviation 0.4 % and 0.7 %.
    assert abs(parts.count("test") / 5000 - 0.10) < 0.02
    assert abs(parts.count("source") / 5000 - 0.45) < 0.03


def test_part_of_keeps_skin_tones_of_an_emoji_together():
    assert base_name("1f9d1-1f3fb-200d-1f91d-200d-1f9d1-1f3fc.png") == (
        "1f9d1-200d-1f91d-200d-1f9d1"
    )
    for plain in ("1f44b", "1f44d", "1f64f", "1f485"):
        tones = [f"{plain}-1f3f{tone}.png" for tone in "bcdef"]
        assert len({part_of(name, 10) for name in [f"{plain}.png", *tones]}) == 1


def test_part_of_never_changes():
    wanted = {"1f600.png": "test", "1f436.png": "target", "1f431.png": "source"}
    assert {name: part_of(name, 10) for name in wanted} == wanted


def test_samples_emoji_of_one_vendor_only_are_left_out(packages):
    train = source(packages)
    name = next(iter(keys(train, "source")))
    (packages / "twitter" / "img" / "twitter" / "64" / f"{name}.png").unlink()
    assert name not in keys(train, "source")


def test_samples_missing_package_is_refused_with_the_command(packages):
    shutil.rmtree(packages / "twitter")
    with pytest.raises(DataError, match=r"data.source.twitter=.*get_emoji.sh.*npm install"):
        list(source(packages).samples("source"))


def test_samples_damaged_image_is_named(packages):
    name = sorted(keys(source(packages), "target"))[0]
    file = packages / "twitter" / "img" / "twitter" / "64" / f"{name}.png"
    file.write_bytes(b"no image")
    with pytest.raises(DataError, match=rf"{name}.png cannot be read.*Install"):
        list(source(packages).samples("target"))


def test_samples_nothing_in_common_is_refused(packages):
    for file in (packages / "google").rglob("*.png"):
        file.rename(file.with_name(f"other-{file.name}"))
    with pytest.raises(DataError, match=r"no emoji in common.*'source'.*same version, 16.0.0"):
        list(source(packages).samples("source"))


def test_get_emoji_script_without_npm_says_what_to_install(tmp_path):
    result = subprocess.run(
        ["/bin/sh", str(SCRIPT), str(tmp_path / "emoji")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "npm is missing. Install Node.js" in result.stderr
