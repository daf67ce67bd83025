import gzip
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data.prepare.guess_source import guess_source
from ganforge.data.sources.class_names import natural_order
from ganforge.data.sources.folders import key_of
from ganforge.errors import ConfigError, DataError
from ganforge.imaging.codec import Undecodable, decode_image
from ganforge.interfaces.source import Source
from ganforge.registry.plugins import get_registry

RNG = np.random.default_rng(0)


def source(name, **options):
    return get_registry().build(Source, name, options, "data.source")


def paint(path, value=0, size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 0)).save(path)
    return path


def reds(samples, field="image"):
    return [int(decode_image(s.fields[field])[0, 0, 0]) for s in samples]


def test_every_built_in_source_is_registered_and_documented():
    names = {"folder", "frames", "hf", "idx", "manifest", "pairs", "unpaired", "webdataset", "zip"}
    assert names <= set(get_registry().names(Source))
    for name in names:
        found = get_registry().find(Source, name)
        assert found.__doc__
        assert all(
            f.description or f.default is not None for f in found.Config.model_fields.values()
        )


def test_unknown_option_of_a_source_lists_near_names():
    with pytest.raises(ConfigError, match="data.source.pth.*Did you mean 'path'"):
        source("folder", pth="x")


# folder ---------------------------------------------------------------------------------------


def test_folder_without_sub_folders_has_no_labels_and_natural_order(tmp_path):
    for number in (10, 2, 1):
        paint(tmp_path / f"img{number}.png", number)
    (tmp_path / "notes.txt").touch()
    paint(tmp_path / ".hidden.png")
    found = source("folder", path=str(tmp_path))
    samples = list(found.samples())
    assert reds(samples) == [1, 2, 10]
    assert [s.key for s in samples] == ["img1_png", "img2_png", "img10_png"]
    assert found.num_samples() == 3
    assert found.class_names() == ()


def test_folder_with_sub_folders_takes_them_as_classes(tmp_path):
    paint(tmp_path / "dog" / "x" / "1.png", 7)
    paint(tmp_path / "cat" / "1.jpg", 0)
    found = source("folder", path=str(tmp_path))
    assert found.class_names() == ("cat", "dog")
    assert [s.fields["label"] for s in found.samples()] == [0, 1]
    assert [s.key for s in found.samples()] == ["cat_1_jpg", "dog_x_1_png"]
    assert source("folder", path=str(tmp_path), labels=False).class_names() == ()


def test_folder_one_level_too_high_warns_and_gives_no_labels(tmp_path, caplog):
    paint(tmp_path / "images" / "a" / "1.png")
    paint(tmp_path / "images" / "b" / "1.png")
    found = source("folder", path=str(tmp_path))
    assert found.class_names() == ()
    assert "one sub-folder 'images'" in caplog.text
    assert "label" not in next(found.samples()).fields


def test_folder_of_loose_and_nested_images_has_no_labels(tmp_path):
    paint(tmp_path / "a" / "1.png")
    paint(tmp_path / "2.png")
    assert source("folder", path=str(tmp_path)).class_names() == ()
    with pytest.raises(DataError, match="'2.png' in .* lies outside of the class sub-folders"):
        source("folder", path=str(tmp_path), labels=True).class_names()


def test_folder_asked_for_labels_it_lacks_says_so(tmp_path):
    paint(tmp_path / "1.png")
    with pytest.raises(DataError, match="has no class sub-folders.*labels: false"):
        source("folder", path=str(tmp_path), labels=True).class_names()


def test_folder_that_is_missing_or_empty_names_the_option(tmp_path):
    with pytest.raises(DataError, match="path='.*nowhere' is not a folder. Correct the path"):
        list(source("folder", path=str(tmp_path / "nowhere")).samples())
    with pytest.raises(DataError, match="holds no images .*.png"):
        list(source("folder", path=str(tmp_path)).samples())


def test_keys_have_no_dots_slashes_or_unprintable_characters():
    assert key_of("a/b.c\\d\n.png") == "a_b_c_d__png"


def test_natural_order_sorts_numbers_by_value():
    names = ["b", "a10", "a9", "10", "9", "a"]
    assert sorted(names, key=natural_order) == ["9", "10", "a", "a9", "a10", "b"]


# two folders, frames --------------------------------------------------------------------------


def test_unpaired_has_two_streams(tmp_path):
    for name, count in (("photo", 2), ("painting", 3)):
        for number in range(count):
            paint(tmp_path / name / f"{number}.png", number)
    found = source("unpaired", source=str(tmp_path / "photo"), target=str(tmp_path / "painting"))
    assert found.streams() == ("source", "target")
    assert reds(found.samples("source"), "source") == [0, 1]
    assert reds(found.samples("target"), "target") == [0, 1, 2]
    assert found.num_samples() == 5


def test_pairs_join_by_name_whatever_the_extension(tmp_path):
    for number in range(3):
        paint(tmp_path / "edges" / f"{number}.png", number)
        paint(tmp_path / "photos" / f"{number}.bmp", 100 + number)
    found = source("pairs", source=str(tmp_path / "edges"), target=str(tmp_path / "photos"))
    samples = list(found.samples())
    assert reds(samples, "source") == [0, 1, 2]
    assert reds(samples, "target") == [100, 101, 102]
    assert found.num_samples() == 3


def test_pairs_without_a_partner_are_named(tmp_path):
    paint(tmp_path / "a" / "1.png")
    paint(tmp_path / "b" / "1.png")
    paint(tmp_path / "b" / "2.png")
    with pytest.raises(DataError, match="'2' in target='.*b', which source='.*a' lacks.*unpaired"):
        list(source("pairs", source=str(tmp_path / "a"), target=str(tmp_path / "b")).samples())


def test_pairs_with_two_images_of_one_name_are_named(tmp_path):
    paint(tmp_path / "a" / "1.png")
    paint(tmp_path / "a" / "1.bmp")
    with pytest.raises(DataError, match="source='.*a' has two images named '1'.*Keep one"):
        list(source("pairs", source=str(tmp_path / "a"), target=str(tmp_path / "a")).samples())


def test_frames_are_cut_from_clips(tmp_path):
    for clip, count in (("a", 7), ("b", 3)):
        for number in range(count):
            paint(tmp_path / clip / f"{number}.png", number + (100 if clip == "b" else 0))
    samples = list(source("frames", path=str(tmp_path), num_frames=3).samples())
    values = [[int(decode_image(f)[0, 0, 0]) for f in s.fields["frames"]] for s in samples]
    assert values == [[0, 1, 2], [3, 4, 5], [100, 101, 102]]
    assert len({s.key for s in samples}) == 3
    spread = list(source("frames", path=str(tmp_path), num_frames=2, stride=3, step=2).samples())
    values = [[int(decode_image(f)[0, 0, 0]) for f in s.fields["frames"]] for s in spread]
    assert values == [[0, 3], [2, 5]]


# idx ------------------------------------------------------------------------------------------


def idx_bytes(values):
    head = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_gives_images_and_labels(tmp_path, pack):
    images = RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = np.array([1, 0, 2, 2, 1], dtype=np.uint8)
    (tmp_path / "images").write_bytes(pack(idx_bytes(images)))
    (tmp_path / "labels").write_bytes(pack(idx_bytes(labels)))
    found = source("idx", images=str(tmp_path / "images"), labels=str(tmp_path / "labels"))
    samples = list(found.samples())
    np.testing.assert_array_equal([s.fields["image"] for s in samples], images)
    assert [s.fields["label"] for s in samples] == labels.tolist()
    assert list(found.class_names()) == ["0", "1", "2"]
    assert found.num_samples() == 5
    plain = source("idx", images=str(tmp_path / "images"))
    assert plain.class_names() == ()
    assert "label" not in next(plain.samples()).fields


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "cannot be read"),
        (b"\x1f\x8bgarbage", "cannot be read"),
        (b"PNG", "is not an IDX file"),
        (b"\0\0\x08\x03\0\0", "cut short after 6 bytes"),
        (idx_bytes(np.zeros((2, 3, 3), np.uint8))[:-1], r"has 17 values, .* 18 \(2 x 3 x 3\)"),
        (idx_bytes(np.zeros(2, np.uint8)), "has 1 dimensions, not 3.*exchanged"),
    ],
)
def test_idx_that_is_damaged_says_how(tmp_path, content, text):
    if content is not None:
        (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match=text):
        list(source("idx", images=str(tmp_path / "images")).samples())


def test_idx_with_labels_of_another_split_says_so(tmp_path):
    (tmp_path / "images").write_bytes(idx_bytes(np.zeros((2, 3, 3), np.uint8)))
    (tmp_path / "labels").write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match=r"has shape \[3\], but there are 2 images"):
        source(
            "idx", images=str(tmp_path / "images"), labels=str(tmp_path / "labels")
        ).class_names()


# zip ------------------------------------------------------------------------------------------


def zip_of(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(path)


def test_zip_takes_folders_as_classes(tmp_path, helpers):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = zip_of(tmp_path / "a.zip", {"b/1.png": data, "a/1.png": data, "__MACOSX/._1.png": b""})
    found = source("zip", path=path)
    assert found.class_names() == ("a", "b")
    assert [(s.key, s.fields["label"], s.formats) for s in found.samples()] == [
        ("a_1_png", 0, {"image": "png"}),
        ("b_1_png", 1, {"image": "png"}),
    ]
    assert found.num_samples() == 2
    assert "label" not in next(source("zip", path=path, labels=False).samples()).fields


@pytest.mark.parametrize("top", ["all/", "my/data/"])
def test_zip_of_one_folder_has_the_classes_below_it(tmp_path, helpers, top):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = zip_of(tmp_path / "a.zip", {f"{top}b/1.png": data, f"{top}a/x/1.png": data})
    found = source("zip", path=path)
    assert found.class_names() == ("a", "b")
    assert [s.fields["label"] for s in found.samples()] == [0, 1]


def test_zip_of_one_class_has_it_when_asked(tmp_path, helpers, caplog):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    path = zip_of(tmp_path / "a.zip", {"all/a/1.png": data, "all/a/2.png": data})
    assert source("zip", path=path).class_names() == ()
    assert "if it is a class, set labels: true" in caplog.text
    assert source("zip", path=path, labels=True).class_names() == ("a",)


@pytest.mark.parametrize("top", ["", "all/", "my/data/"])
def test_zip_takes_labels_of_dataset_json(tmp_path, helpers, top):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    labels = json.dumps({"labels": [["0/1.png", 2], ["0/2.png", 0]]})
    files = {"0/1.png": data, "0/2.png": data, "dataset.json": labels}
    path = zip_of(tmp_path / "a.zip", {top + name: content for name, content in files.items()})
    found = source("zip", path=path)
    assert list(found.class_names()) == ["0", "1", "2"]
    assert [s.fields["label"] for s in found.samples()] == [2, 0]


def test_zip_faults_are_named(tmp_path, helpers, monkeypatch):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no.zip' is not a readable zip archive"):
        list(source("zip", path=str(tmp_path / "no.zip")).samples())
    empty = zip_of(tmp_path / "empty.zip", {"readme.txt": b""})
    with pytest.raises(DataError, match="empty.zip' holds no images"):
        list(source("zip", path=empty).samples())
    lacking = zip_of(
        tmp_path / "l.zip", {"1.png": data, "dataset.json": '{"labels": [["2.png", 0]]}'}
    )
    with pytest.raises(DataError, match="has no label for '1.png'. Add it"):
        list(source("zip", path=lacking).samples())
    listed = json.dumps({"labels": [["1.png", 2_000_000_000]]})
    large = zip_of(tmp_path / "large.zip", {"1.png": data, "dataset.json": listed})
    with pytest.raises(DataError, match="dataset.json in .* label 2000000000, .* only 1 samples"):
        source("zip", path=large).class_names()
    wrong = zip_of(tmp_path / "w.zip", {"1.png": data, "dataset.json": "[1]"})
    with pytest.raises(DataError, match="is not a mapping with 'labels'"):
        list(source("zip", path=wrong).samples())
    monkeypatch.setattr("ganforge.data.sources.zip.MAX_FILE_BYTES", 10)
    bomb = zip_of(tmp_path / "bomb.zip", {"1.png": data})
    with pytest.raises(DataError, match="'1.png' in .* unpacks to .*decompression bomb"):
        list(source("zip", path=bomb).samples())


@pytest.mark.parametrize("name", ["../../1.png", "/abs/1.png"])
def test_zip_members_that_point_out_of_the_archive_are_refused(tmp_path, name):
    path = zip_of(tmp_path / "a.zip", {name: b"0", "b/2.png": b"0"})
    with pytest.raises(DataError, match="a.zip has a member '.*1.png', which points out of the"):
        source("zip", path=path).class_names()


def test_zip_with_a_damaged_member_names_it(tmp_path, helpers):
    data = helpers.file_bytes(RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    path = Path(zip_of(tmp_path / "a.zip", {"1.png": data}))
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="'1.png' in .* cannot be unpacked"):
        list(source("zip", path=str(path)).samples())


# manifest -------------------------------------------------------------------------------------


def test_manifest_csv_with_renamed_columns_and_attribute_columns(tmp_path):
    paint(tmp_path / "img" / "a.png", 1)
    paint(tmp_path / "img" / "b.png", 2)
    (tmp_path / "list.csv").write_text("file,kind,Smiling,Male\na.png,dog,1,-1\nb.png,cat,-1,0.5\n")
    found = source(
        "manifest",
        path=str(tmp_path / "list.csv"),
        root=str(tmp_path / "img"),
        columns={"image": "file", "label": "kind"},
        attributes=["Male", "Smiling"],
    )
    samples = list(found.samples())
    assert reds(samples) == [1, 2]
    assert [s.fields["label"] for s in samples] == [1, 0]
    assert found.class_names() == ("cat", "dog")
    assert [s.fields["attributes"] for s in samples] == [[-1, 1], [0.5, -1]]
    assert found.attribute_names() == ("Male", "Smiling")
    assert found.num_samples() == 2


def test_manifest_jsonl_with_everything(tmp_path):
    paint(tmp_path / "a.png", 1)
    np.save(tmp_path / "a.npy", np.arange(3.0))
    row = {"image": "a.png", "label": 2, "caption": "a cat", "text": "a.npy"}
    row["attributes"] = {"soft": 1, "old": 0}
    (tmp_path / "list.jsonl").write_text(json.dumps(row) + "\n\n")
    found = source("manifest", path=str(tmp_path / "list.jsonl"))
    (sample,) = found.samples()
    assert sample.fields["caption"] == "a cat"
    assert sample.fields["label"] == 2
    assert list(found.class_names()) == ["0", "1", "2"]
    assert sample.fields["attributes"] == [1, 0]
    assert found.attribute_names() == ("soft", "old")
    assert sample.fields["text"].dtype == np.float32
    assert sample.fields["text"].tolist() == [0, 1, 2]


def test_manifest_caption_may_be_a_list(tmp_path):
    (tmp_path / "list.jsonl").write_text('{"image": "a.png", "caption": ["a cat", "a pet"]}')
    (sample,) = source("manifest", path=str(tmp_path / "list.jsonl")).samples()
    assert sample.fields["caption"] == ["a cat", "a pet"]


@pytest.mark.parametrize("label", ["1020", 1020])
def test_manifest_numeric_labels_stay_numeric_up_to_a_bound(tmp_path, label):
    rows = [{"image": "a.png", "label": label}, {"image": "b.png", "label": 3}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = source("manifest", path=str(tmp_path / "list.jsonl"))
    assert [sample.fields["label"] for sample in found.samples()] == [1020, 3]
    assert len(found.class_names()) == 1021


def test_manifest_numbers_may_have_leading_zeros(tmp_path):
    (tmp_path / "list.csv").write_text("image,label\na.png,07\nb.png,11\nc.png,9\n")
    found = source("manifest", path=str(tmp_path / "list.csv"))
    assert [sample.fields["label"] for sample in found.samples()] == [7, 11, 9]
    assert len(found.class_names()) == 12


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("1 -1 0.5", ("0", "1", "2")),
        ('"1, -1; 0.5"', ("0", "1", "2")),
        ('"[1, -1, 0.5]"', ("0", "1", "2")),
        ('"{""a"": 1, ""b"": -1, ""c"": 0.5}"', ("a", "b", "c")),
    ],
)
def test_manifest_csv_may_hold_all_attributes_in_one_column(tmp_path, cell, names):
    (tmp_path / "list.csv").write_text(f"image,attributes\na.png,{cell}\n")
    found = source("manifest", path=str(tmp_path / "list.csv"))
    (sample,) = found.samples()
    assert sample.fields["attributes"] == [1, -1, 0.5]
    assert found.attribute_names() == names


def test_manifest_large_numbers_may_be_named_as_classes(tmp_path):
    (tmp_path / "list.csv").write_text("image,label\na.png,2000000000\n")
    names = ["5", "2000000000"]
    found = source("manifest", path=str(tmp_path / "list.csv"), class_names=names)
    assert [sample.fields["label"] for sample in found.samples()] == [1]


def test_manifest_of_pairs_has_source_and_target(tmp_path):
    (tmp_path / "list.jsonl").write_text('{"source": "a/1.png", "target": "b/1.png"}')
    (sample,) = source("manifest", path=str(tmp_path / "list.jsonl")).samples()
    assert sample.fields == {"source": tmp_path / "a/1.png", "target": tmp_path / "b/1.png"}


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("m.csv", None, {}, "cannot be read"),
        ("m.txt", "image\na.png\n", {}, "is not .csv, .jsonl or .ndjson"),
        ("m.csv", "image\n", {}, "has no rows"),
        ("m.jsonl", "{oops", {}, "cannot be read"),
        ("m.jsonl", "[1, 2]\n", {}, r"Row 1 of .* as a JSON object \(it is \[1, 2\], not"),
        ("m.csv", "image\na,b\nc\n", {}, r"Row 2 of .* other columns than row 1 \(image, None"),
        ("m.csv", "image,label\na,1\nb,-1\n", {}, "Row 2 of .* has the label -1, but .* from 0"),
        ("m.csv", "image,attributes\na,1 x\n", {}, "Row 1 of .*'attributes' cannot .*'x'"),
        ("m.csv", "image,attributes\na,[1\n", {}, "Row 1 of .*'attributes' cannot be read"),
        ("m.jsonl", '{"image": "a", "attributes": 5}', {}, "'attributes' .*5 is not a list"),
        ("m.jsonl", '{"image": "a"}\n{"label": 1}', {}, "Row 2 of .* has other columns than row 1"),
        ("m.csv", "file\na.png\n", {}, "has no column 'image'.*it has file.*columns:"),
        ("m.csv", "file\na\n", {"columns": {"image": "flie"}}, "'flie'.*Did you mean 'file'"),
        ("m.csv", "image\na\n", {"attributes": ["Smile"]}, "'Smile', which .* lacks"),
        ("m.csv", "image,label\na,cta\n", {"class_names": ["cat"]}, "Row 1 .* label 'cta'.*'cat'"),
        ("m.csv", "image,age\na,old\n", {"attributes": ["age"]}, "Row 1 .*'attributes' cannot be"),
        ("m.csv", "image,text\na,gone.npy\n", {}, "Row 1 .*'text' cannot be read"),
        ("m.csv", "image,label\na,1\nb\n", {}, r"Row 2 of .* has no label \(null\). Give it one"),
        ("m.csv", "image,label\na,1\nb,\n", {}, r'Row 2 of .* has no label \(""\)'),
        (
            "m.csv",
            "image,label\na,cat\nb\n",
            {"class_names": ["cat", "None"]},
            r"Row 2 of .* has no label \(null\)",
        ),
        ("m.jsonl", '{"image": "a", "label": null}', {}, r"Row 1 of .* has no label \(null\)"),
        ("m.jsonl", '{"image": "a", "label": [1]}', {}, r"Row 1 of .* has no label \(\[1\]\)"),
        ("m.jsonl", '{"image": null}', {}, "Row 1 of .*'image' cannot be read .*null is not text"),
        ("m.jsonl", '{"image": "a", "caption": 5}', {}, "Row 1 .*'caption' .*5 is not text"),
        ("m.jsonl", '{"image": "a", "caption": ["b", 5]}', {}, "Row 1 .*'caption' .*5 is not text"),
        ("m.csv", "image,caption\na,b\nc\n", {}, "Row 2 .*'caption' .*null is not text"),
        (
            "m.jsonl",
            '{"image": "a"}\n' * 3 + "{oops",
            {},
            "Row 4 .* JSON object .*column 2",
        ),
        ("m.csv", "image,label\na,0\nb,2000000000\n", {}, "Row 2 .* 2000000000, .* only 2 samples"),
        ("m.csv", f"image,label\na,{'9' * 5000}\n", {}, "Row 1 .* label 9+, .*name them"),
    ],
)
def test_manifest_faults_are_named(tmp_path, name, text, options, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        list(source("manifest", path=str(tmp_path / name), **options).samples())


# webdataset -----------------------------------------------------------------------------------


def wds_tar(path, samples):
    import io

    with tarfile.open(path, "w") as tar:
        for name, data in samples:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_webdataset_with_braces_gives_image_label_and_caption(tmp_path, helpers):
    for shard in range(2):
        data = helpers.file_bytes(np.full((4, 4, 3), shard, np.uint8), "png")
        wds_tar(
            tmp_path / f"x-{shard}.tar",
            [("1.cls", str(2 * shard).encode()), ("1.png", data), ("1.txt", b"hello")],
        )
    found = source("webdataset", urls=str(tmp_path / "x-{0..1}.tar"))
    samples = list(found.samples())
    assert reds(samples) == [0, 1]
    assert [s.fields["label"] for s in samples] == [0, 2]
    assert [s.fields["caption"] for s in samples] == ["hello"] * 2
    assert list(found.class_names()) == ["0", "1", "2"]
    assert [s.key for s in samples] == ["x-0_tar_1", "x-1_tar_1"]


def test_webdataset_faults_are_named(tmp_path):
    with pytest.raises(DataError, match="urls='.*gone.tar' cannot be read"):
        list(source("webdataset", urls=str(tmp_path / "gone.tar")).samples())
    wds_tar(tmp_path / "a.tar", [("1.cls", b"0")])
    with pytest.raises(DataError, match="Sample '1' of .*a.tar has no image"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())
    wds_tar(tmp_path / "b.tar", [("1.png", b"0"), ("1.cls", b"cat")])
    with pytest.raises(DataError, match="'cls' is not a label .*to null"):
        list(source("webdataset", urls=str(tmp_path / "b.tar")).samples())
    wds_tar(tmp_path / "c.tar", [("1.png", b"0"), ("1.cls", b"2000000000")])
    with pytest.raises(DataError, match="Sample '1' of .*c.tar has the label 2000000000, but"):
        list(source("webdataset", urls=str(tmp_path / "c.tar")).samples())


@pytest.mark.parametrize(
    "length", [1500, 2048, 2560, 2700], ids=["in data", "in blocks", "after a member", "in header"]
)
def test_webdataset_that_is_cut_is_refused(tmp_path, length):
    wds_tar(tmp_path / "a.tar", [("1.png", b"0" * 2000), ("2.png", b"0" * 2000)])
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:length])
    with pytest.raises(DataError, match="urls='.*a.tar' cannot be read"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


def test_webdataset_with_garbage_between_members_is_refused(tmp_path):
    wds_tar(tmp_path / "a.tar", [(f"{i}.png", b"0" * 512) for i in range(3)])
    whole = bytearray((tmp_path / "a.tar").read_bytes())
    whole[1024:1536] = bytes(range(256)) * 2  # the header of the second member
    (tmp_path / "a.tar").write_bytes(whole)
    with pytest.raises(DataError, match="a.tar is damaged, or several tars in one, after member 1"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


def test_webdataset_of_several_tars_in_one_file_is_refused(tmp_path):
    wds_tar(tmp_path / "a.tar", [("1.png", b"0")])
    (tmp_path / "b.tar").write_bytes((tmp_path / "a.tar").read_bytes() * 2)
    with pytest.raises(DataError, match="b.tar is damaged, or several tars in one, after member 1"):
        list(source("webdataset", urls=str(tmp_path / "b.tar")).samples())


def test_webdataset_that_is_no_tar_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive".ljust(512))
    with pytest.raises(DataError, match="urls='.*a.tar' cannot be read"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


@pytest.mark.parametrize("name", ["../../1.png", "/abs/1.png"])
def test_webdataset_members_that_point_out_of_the_archive_are_refused(tmp_path, name):
    wds_tar(tmp_path / "a.tar", [(name, b"0")])
    with pytest.raises(DataError, match="a.tar has a member '.*1', which points out of the"):
        list(source("webdataset", urls=str(tmp_path / "a.tar")).samples())


# hf -------------------------------------------------------------------------------------------


def test_hf_loads_an_image_folder_with_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for label, name in enumerate(("cat", "dog")):
        for number in range(2):
            paint(tmp_path / "data" / name / f"{number}.png", 10 * label + number)
    found = source("hf", path="imagefolder", data_dir=str(tmp_path / "data"))
    samples = list(found.samples())
    assert found.class_names() == ("cat", "dog")
    assert [s.fields["label"] for s in samples] == [0, 0, 1, 1]
    assert reds(samples) == [0, 1, 10, 11]
    assert found.num_samples() == 4


def test_hf_loads_parquet_with_a_caption_and_keeps_bytes(tmp_path, helpers):
    import datasets

    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    table = datasets.Dataset.from_dict(
        {"pic": [{"bytes": data, "path": None}], "words": ["a cat"], "kind": [3]}
    ).cast_column("pic", datasets.Image())
    table.to_parquet(str(tmp_path / "t.parquet"))
    options = {"path": "parquet", "data_files": str(tmp_path / "t.parquet")}
    found = source("hf", caption="words", label="kind", **options)
    (sample,) = found.samples()
    assert sample.fields == {"image": data, "caption": "a cat", "label": 3}
    assert list(found.class_names()) == ["0", "1", "2", "3"]
    with pytest.raises(DataError, match="label='knid' is not a column.*Did you mean 'kind'"):
        list(source("hf", label="knid", **options).samples())


@pytest.fixture
def rows(tmp_path, helpers):
    """A function that writes columns, with an image in each row, and returns the hf source."""
    import datasets

    def write(options, **columns):
        num = len(next(iter(columns.values())))
        pictures = [helpers.file_bytes(np.full((4, 4, 3), n, np.uint8)) for n in range(num)]
        columns = {"image": [{"bytes": data, "path": None} for data in pictures]} | columns
        table = datasets.Dataset.from_dict(columns)
        if columns["image"][0] is None or isinstance(columns["image"][0], dict):
            table = table.cast_column("image", datasets.Image())
        table.to_parquet(str(tmp_path / "t.parquet"))
        return source("hf", path="parquet", data_files=str(tmp_path / "t.parquet"), **options)

    return write


@pytest.mark.parametrize(
    ("column", "options", "labels", "names"),
    [
        ({"label": [2, 0]}, {}, [2, 0], ("0", "1", "2")),
        ({"label": ["dog", "cat"]}, {}, [1, 0], ("cat", "dog")),
        ({"kind": ["3", "10"]}, {"label": "kind"}, [3, 10], tuple(map(str, range(11)))),
        ({"kind": [True, False]}, {"label": "kind"}, [1, 0], ("False", "True")),
        ({"label": [2, 0]}, {"label": ""}, [None, None], ()),
        ({"kind": [2, 0]}, {}, [None, None], ()),
    ],
)
def test_hf_labels_may_be_numbers_and_names(rows, column, options, labels, names):
    found = rows(options, **column)
    assert [s.fields.get("label") for s in found.samples()] == labels
    assert found.class_names() == names


def test_hf_class_numbers_stay_though_the_names_are_other_numbers(tmp_path, helpers):
    import datasets

    image = {"bytes": helpers.file_bytes(np.zeros((4, 4, 3), np.uint8)), "path": None}
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["1", "0"])}
    table = datasets.Dataset.from_dict(
        {"image": [image], "label": [0]}, datasets.Features(features)
    )
    table.save_to_disk(str(tmp_path / "saved"))
    (sample,) = source("hf", path=str(tmp_path / "saved")).samples()
    assert sample.fields["label"] == 0


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ({"label": [1, None]}, {}, "Row 1 of .* has no label .'label' is None.*label: '' for none"),
        ({"label": ["a", " "]}, {}, "Row 1 of .* has no label .'label' is ' '"),
        ({"label": [0, -1]}, {}, "Column 'label' of .* has the label -1, but .* from 0"),
        ({"label": [0.5, 1]}, {}, "Column 'label' .* holds 0.5, which is neither"),
        ({"size": [3, 4]}, {"image": "size"}, "Column 'size' of .* holds .*int64.* not images"),
        ({"size": [3, 4]}, {"image": "pic"}, "image='pic' is not a column .*image.*size"),
    ],
)
def test_hf_faults_of_columns_are_named(rows, column, options, message):
    with pytest.raises(DataError, match=message):
        list(rows(options, **column).samples())


def test_hf_row_without_an_image_is_a_bad_sample(rows):
    image = {"bytes": None, "path": None}
    first, second = rows({}, image=[image, None], label=[0, 1]).samples()
    for sample in (first, second):
        with pytest.raises(Undecodable, match="is empty"):
            decode_image(sample.fields["image"])


def test_hf_streams_without_labels_when_it_cannot_count_them(rows, caplog):
    found = rows({"streaming": True}, label=[0, 1])
    assert ["label" in s.fields for s in found.samples()] == [False, False]
    assert "streaming cannot count them" in caplog.text


@pytest.mark.parametrize("splits", [True, False])
def test_hf_loads_what_save_to_disk_wrote(tmp_path, helpers, splits):
    import datasets

    image = {"bytes": helpers.file_bytes(np.full((4, 4, 3), 7, np.uint8)), "path": None}
    table = datasets.Dataset.from_dict({"image": [image]}).cast_column("image", datasets.Image())
    saved = datasets.DatasetDict(small=table) if splits else table
    saved.save_to_disk(str(tmp_path / "saved"))
    assert guess_source(str(tmp_path / "saved"))["name"] == "hf"
    split = {"split": "small"} if splits else {}
    assert reds(source("hf", path=str(tmp_path / "saved"), **split).samples()) == [7]
    if splits:
        with pytest.raises(DataError, match="split 'train'.* its splits are small"):
            list(source("hf", path=str(tmp_path / "saved")).samples())


def test_hf_says_first_that_there_is_no_such_folder(tmp_path, monkeypatch):
    import datasets

    def refuse(*args, **options):
        raise FileNotFoundError("offline")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="^There is no folder d/gone here. .*path='d/gone' .*offli"):
        list(source("hf", path="d/gone").samples())


def test_hf_data_set_that_is_missing_names_the_options(tmp_path):
    with pytest.raises(DataError, match=r"path='imagefolder' \(split 'train'\) cannot be loaded"):
        list(source("hf", path="imagefolder", data_dir=str(tmp_path / "gone")).samples())
