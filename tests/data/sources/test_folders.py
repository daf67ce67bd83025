import json

import pytest

from ganforge.config.choices import ComponentChoice
from ganforge.config.data import DataConfig
from ganforge.data.prepare.source_to_shards import prepare
from ganforge.errors import DataError
from ganforge.imaging.codec import Undecodable, decode_image
from ganforge.interfaces.source import ImageHalf


def reds(samples, field="image"):
    return [int(decode_image(s.fields[field])[0, 0, 0]) for s in samples]


def test_folder_keys_of_like_names_differ(tmp_path, paint, source):
    for name in ("img.1.png", "img_1.png", "img/1.png", "img,1.png"):
        paint(tmp_path / name)
    assert len({s.key for s in source("folder", path=str(tmp_path)).samples()}) == 4


def test_folder_of_the_stylegan_tools_follows_its_dataset_json(tmp_path, paint, source):
    names = [f"{n // 2:05d}/img{n:08d}.png" for n in range(4)]
    for name in names:
        paint(tmp_path / name)
    assert source("folder", path=str(tmp_path)).class_names() == ()
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert source("folder", path=str(tmp_path)).class_names() == ()
    pairs = [[name, number % 3] for number, name in enumerate(names)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": pairs}))
    found = source("folder", path=str(tmp_path))
    assert found.class_names() == ("0", "1", "2")
    assert [s.fields["label"] for s in found.samples()] == [0, 1, 2, 0]
    assert "label" not in next(source("folder", path=str(tmp_path), labels=False).samples()).fields


def test_folder_class_in_decomposed_unicode_is_composed(tmp_path, paint, source):
    paint(tmp_path / "cafe\u0301" / "1.png")
    paint(tmp_path / "the\u0301" / "1.png")
    found = source("folder", path=str(tmp_path))
    assert found.class_names() == ("café", "thé")
    assert [s.fields["label"] for s in found.samples()] == [0, 1]


def test_folder_that_cannot_be_listed_is_a_bad_sample_of_its_class(
    tmp_path, paint, source, unlistable
):
    paint(tmp_path / "cat" / "1.png")
    paint(tmp_path / "dog" / "1.png")
    unlistable(tmp_path / "bird")
    found = source("folder", path=str(tmp_path))
    assert found.class_names() == ("bird", "cat", "dog")
    assert [s.fields["label"] for s in found.samples()] == [0, 1, 2]
    with pytest.raises(Undecodable, match="cannot be read"):
        decode_image(next(found.samples()).fields["image"])


def test_folder_without_sub_folders_has_no_labels_and_natural_order(tmp_path, paint, source):
    for number in (10, 2, 1):
        paint(tmp_path / f"img{number}.png", number)
    (tmp_path / "notes.txt").touch()
    paint(tmp_path / ".hidden.png")
    found = source("folder", path=str(tmp_path))
    samples = list(found.samples())
    assert reds(samples) == [1, 2, 10]
    assert [s.key for s in samples] == ["img1,png", "img2,png", "img10,png"]
    assert found.num_samples() == 3
    assert found.class_names() == ()


def test_folder_with_sub_folders_takes_them_as_classes(tmp_path, paint, source):
    paint(tmp_path / "dog" / "x" / "1.png", 7)
    paint(tmp_path / "cat" / "1.jpg", 0)
    found = source("folder", path=str(tmp_path))
    assert found.class_names() == ("cat", "dog")
    assert [s.fields["label"] for s in found.samples()] == [0, 1]
    assert [s.key for s in found.samples()] == ["cat+1,jpg", "dog+x+1,png"]
    assert source("folder", path=str(tmp_path), labels=False).class_names() == ()


def test_folder_one_level_too_high_warns_and_gives_no_labels(tmp_path, caplog, paint, source):
    paint(tmp_path / "images" / "a" / "1.png")
    paint(tmp_path / "images" / "b" / "1.png")
    found = source("folder", path=str(tmp_path))
    assert found.class_names() == ()
    assert "one sub-folder 'images'" in caplog.text
    assert "label" not in next(found.samples()).fields


def test_folder_of_loose_and_nested_images_has_no_labels(tmp_path, paint, source):
    paint(tmp_path / "a" / "1.png")
    paint(tmp_path / "2.png")
    assert source("folder", path=str(tmp_path)).class_names() == ()
    with pytest.raises(DataError, match="'2.png' in .* lies outside of the class sub-folders"):
        source("folder", path=str(tmp_path), labels=True).class_names()


def test_folder_asked_for_labels_it_lacks_says_so(tmp_path, paint, source):
    paint(tmp_path / "1.png")
    with pytest.raises(DataError, match="has no class sub-folders.*labels: false"):
        source("folder", path=str(tmp_path), labels=True).class_names()


def test_folder_that_is_missing_or_empty_names_the_option(tmp_path, source):
    with pytest.raises(DataError, match="path='.*nowhere' is not a folder. Correct the path"):
        list(source("folder", path=str(tmp_path / "nowhere")).samples())
    with pytest.raises(DataError, match="holds no images .*.png"):
        list(source("folder", path=str(tmp_path)).samples())


def test_unpaired_has_two_streams(tmp_path, paint, source):
    for name, count in (("photo", 2), ("painting", 3)):
        for number in range(count):
            paint(tmp_path / name / f"{number}.png", number)
    found = source("unpaired", source=str(tmp_path / "photo"), target=str(tmp_path / "painting"))
    assert found.streams() == ("source", "target")
    assert reds(found.samples("source"), "source") == [0, 1]
    assert reds(found.samples("target"), "target") == [0, 1, 2]
    assert found.num_samples() == 5


def test_pairs_join_by_name_whatever_the_extension(tmp_path, paint, source):
    for number in range(3):
        paint(tmp_path / "edges" / f"{number}.png", number)
        paint(tmp_path / "photos" / f"{number}.bmp", 100 + number)
    found = source("pairs", source=str(tmp_path / "edges"), target=str(tmp_path / "photos"))
    samples = list(found.samples())
    assert reds(samples, "source") == [0, 1, 2]
    assert reds(samples, "target") == [100, 101, 102]
    assert found.num_samples() == 3


def test_pairs_without_a_partner_are_named_or_left_out(tmp_path, paint, source, caplog):
    paint(tmp_path / "a" / "1.png")
    paint(tmp_path / "b" / "1.png")
    paint(tmp_path / "b" / "2.png")
    paint(tmp_path / "a" / "3.png")
    options = {"source": str(tmp_path / "a"), "target": str(tmp_path / "b")}
    fault = "1 in source='.*a': '3'; 1 in target='.*b': '2'.*unmatched: skip.*unpaired"
    with pytest.raises(DataError, match=fault):
        list(source("pairs", **options).samples())
    assert [s.key for s in source("pairs", unmatched="skip", **options).samples()] == ["1"]
    assert "Left out: images without a partner, 1 in source=" in caplog.text


def test_pairs_with_two_images_of_one_name_are_named(tmp_path, paint, source):
    paint(tmp_path / "a" / "1.png")
    paint(tmp_path / "a" / "1.bmp")
    with pytest.raises(DataError, match="source='.*a' has two images named '1'.*Keep one"):
        list(source("pairs", source=str(tmp_path / "a"), target=str(tmp_path / "b")).samples())


def test_folder_that_cannot_be_listed_stops_prepare_or_is_skipped_and_counted(
    tmp_path, paint, unlistable, caplog
):
    paint(tmp_path / "in" / "cat" / "1.png")
    paint(tmp_path / "in" / "dog" / "1.png")
    unlistable(tmp_path / "in" / "bird")
    choice = ComponentChoice(name="folder", path=str(tmp_path / "in"))
    with pytest.raises(DataError, match="bird.*cannot be read.*on_bad_sample: skip"):
        prepare(DataConfig(source=choice), tmp_path / "out", workers=0, progress=False)
    config = DataConfig(source=choice, on_bad_sample="skip")
    index = prepare(config, tmp_path / "out", workers=0, progress=False)
    assert index.num_samples("main") == 2
    assert index.class_counts == (0, 1, 1)
    assert "Left out: Sample 'bird" in caplog.text


@pytest.mark.parametrize(("order", "sides"), [("ab", ("left", "right")), ("ba", ("right", "left"))])
def test_side_by_side_gives_the_halves(tmp_path, paint, source, order, sides):
    path = paint(tmp_path / "1.png", size=(8, 4))
    found = source("side_by_side", path=str(tmp_path), order=order)
    (sample,) = found.samples()
    names = ("source", "target")
    assert sample.fields == {n: ImageHalf(path, s) for n, s in zip(names, sides, strict=True)}
    assert found.num_samples() == 1


@pytest.mark.parametrize("kind", ["unpaired", "pairs"])
@pytest.mark.parametrize(
    ("target", "fault"), [("b", "are the same folder"), ("a/c", "lie in each other")]
)
def test_two_folders_that_share_images_are_refused(tmp_path, paint, source, kind, target, fault):
    paint(tmp_path / "a" / "1.png", 0)
    paint(tmp_path / "a" / "c" / "1.png", 0)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    found = source(kind, source=str(tmp_path / "a"), target=str(tmp_path / target))
    with pytest.raises(DataError, match=fault):
        list(found.samples(found.streams()[0]))
