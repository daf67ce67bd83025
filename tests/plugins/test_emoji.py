import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ganforge_emoji.captions import EmojiCaptions, EmojiCaptionsConfig
from ganforge_emoji.domains import EmojiDomains, EmojiDomainsConfig, drawing_of, part_of
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
    assert train.num_samples() == len(parts[0]) + len(parts[1])
    assert test.num_samples() == len(parts[2])
    assert all(part for part in parts)


def test_pairs_are_the_emoji_of_both_domains(packages):
    train, pairs = source(packages), source(packages, split="pairs")
    assert keys(pairs, "main") == keys(train, "source") | keys(train, "target")
    assert pairs.num_samples() == train.num_samples()
    assert list(pairs.streams()) == ["main"]
    assert set(next(pairs.samples()).fields) == {"source", "target"}


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


def test_drawing_of_drops_skin_tone_and_gender():
    assert drawing_of("1f9d1-1f3fb-200d-1f91d-200d-1f9d1-1f3fc.png") == "1f91d"
    for end in ("1f692", "2695-fe0f", "1f9af"):
        drawn = [f"{who}-200d-{end}.png" for who in ("1f468", "1f469-1f3fd", "1f9d1")]
        assert len({drawing_of(name) for name in drawn}) == 1
    beards = ["1f9d4.png", "1f9d4-200d-2640-fe0f.png", "1f9d4-1f3fb-200d-2642-fe0f.png"]
    assert {drawing_of(name) for name in beards} == {"1f9d4"}
    assert drawing_of("1f468-1f3fb.png") == "1f468"


def test_part_of_never_changes():
    wanted = {
        "1f600.png": "test",
        "1f436.png": "target",
        "1f431.png": "source",
        "1f468.png": "test",
    }
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
    with pytest.raises(DataError, match=r"no emoji in common for source of.*same version, 16.0.0"):
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


@pytest.fixture
def render(monkeypatch):
    """The script that draws OpenMoji, with a renderer that returns the name of the file."""
    fake = SimpleNamespace(svg_to_bytes=lambda svg_path, **options: Path(svg_path).stem.encode())
    monkeypatch.setitem(sys.modules, "resvg_py", fake)
    spec = importlib.util.spec_from_file_location("render", SCRIPT.with_name("render_openmoji.py"))
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.main


def test_render_openmoji_draws_pairs_and_splits_them_by_drawing(tmp_path, render):
    names = ["1F600", "1F436", "1F468-1F3FB", "1F468", "1F431"]
    for style, extra in (("black", []), ("color", ["1F600-A"])):
        folder = tmp_path / "node_modules" / "openmoji" / style / "svg"
        folder.mkdir(parents=True)
        for name in names + extra:
            (folder / f"{name}.svg").touch()

    render(tmp_path)

    for style in ("outline", "color"):
        drawn = {
            part: {file.stem for file in (tmp_path / "openmoji" / part / style).iterdir()}
            for part in ("train", "test")
        }
        assert drawn["test"] == {"1F600", "1F468", "1F468-1F3FB"}
        assert drawn["train"] == {"1F436", "1F431"}
    file = tmp_path / "openmoji" / "train" / "color" / "1F436.png"
    assert file.read_bytes() == b"1F436"


def test_render_openmoji_without_the_package_names_the_script(tmp_path, render):
    with pytest.raises(SystemExit, match="holds no drawings. Get them with .*get_emoji.sh"):
        render(tmp_path)


def test_get_words_script_without_npm_says_what_to_install(tmp_path):
    script = SCRIPT.with_name("get_words.sh")
    result = subprocess.run(
        ["/bin/sh", str(script), str(tmp_path / "words")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "npm is missing. Install Node.js" in result.stderr


def named(image, name, kind, tones=()):
    variations = {tone: {"image": image.replace(".png", f"-{tone.lower()}.png")} for tone in tones}
    return {"image": image, "name": name, "subcategory": kind, "skin_variations": variations}


@pytest.fixture
def captioned(packages):
    """The two packages with the names of 40 emoji; one has a skin tone and a couple of tones."""
    entries = [named(name, f"THING  {n}", "other-object") for n, name in enumerate(NAMES[:40])]
    entries[7] = named(NAMES[7], "WAVING HAND", "hand-fingers-open", ["1F3FD", "1F3FB-1F3FC"])
    for vendor in ("google", "twitter"):
        (packages / vendor / "emoji.json").write_text(json.dumps(entries))
        folder = packages / vendor / "img" / vendor / "64"
        shutil.copy(folder / NAMES[7], folder / NAMES[7].replace(".png", "-1f3fd.png"))
    return packages


def captions(packages, *vendors, **options):
    folders = {vendor: str(packages / vendor) for vendor in vendors or ("google", "twitter")}
    return EmojiCaptions(EmojiCaptionsConfig(**folders, **options))


def test_captions_splits_share_no_name_and_lose_no_image(captioned):
    parts = [list(captions(captioned, split=s).samples()) for s in ("train", "test")]
    train, test = ({sample.fields["caption"][0] for sample in part} for part in parts)
    assert train and test and not train & test
    assert len(train | test) == 41
    assert sum(len(part) for part in parts) == 82
    sources = [captions(captioned, split=s) for s in ("train", "test")]
    assert [source.num_samples() for source in sources] == [len(part) for part in parts]
    assert len({sample.key for part in parts for sample in part}) == 82


def test_captions_are_the_name_and_the_name_with_its_kind(captioned):
    found = {
        sample.key: sample.fields
        for split in ("train", "test")
        for sample in captions(captioned, "google", split=split).samples()
    }
    hand = NAMES[7].removesuffix(".png")
    assert found["google-1f000"]["caption"] == ["thing 0", "thing 0, other object"]
    assert found[f"google-{hand}-1f3fd"]["caption"] == [
        "waving hand, medium skin tone",
        "waving hand, medium skin tone, hand fingers open",
    ]
    assert found["google-1f000"]["image"].mode == "RGB"
    assert not any("twitter" in key for key in found)


def test_captions_without_packages_are_refused_with_the_script():
    with pytest.raises(DataError, match="no images: set google, twitter or both. .*get_emoji.sh"):
        EmojiCaptions(EmojiCaptionsConfig()).num_samples()


@pytest.mark.parametrize("content", ["no json", '[{"image": "a.png"}]', None])
def test_captions_of_a_damaged_list_are_refused_with_the_script(captioned, content):
    path = captioned / "twitter" / "emoji.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=r"twitter/emoji.json cannot be read .*get_emoji.sh"):
        list(captions(captioned).samples())
