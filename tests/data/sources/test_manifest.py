import json
import logging
import unicodedata

import numpy as np
import pytest

from ganforge.errors import DataError
from ganforge.imaging.codec import decode_image


def reds(samples, field="image"):
    return [int(decode_image(s.fields[field])[0, 0, 0]) for s in samples]


def raise_faults(samples):
    """What `prepare` does: the fault of a sample is an error."""
    for sample in samples:
        if sample.fault:
            raise DataError(sample.fault)


def test_manifest_csv_with_renamed_columns_and_attribute_columns(tmp_path, paint, source):
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


def test_manifest_jsonl_with_everything(tmp_path, paint, source):
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


def test_manifest_caption_may_be_a_list(tmp_path, source):
    (tmp_path / "list.jsonl").write_text('{"image": "a.png", "caption": ["a cat", "a pet"]}')
    (sample,) = source("manifest", path=str(tmp_path / "list.jsonl")).samples()
    assert sample.fields["caption"] == ["a cat", "a pet"]


@pytest.mark.parametrize("label", ["1020", 1020])
def test_manifest_numeric_labels_stay_numeric_up_to_a_bound(tmp_path, label, source):
    rows = [{"image": "a.png", "label": label}, {"image": "b.png", "label": 3}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = source("manifest", path=str(tmp_path / "list.jsonl"))
    assert [sample.fields["label"] for sample in found.samples()] == [1020, 3]
    assert len(found.class_names()) == 1021


def test_manifest_numbers_may_have_leading_zeros(tmp_path, source):
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
def test_manifest_csv_may_hold_all_attributes_in_one_column(tmp_path, cell, names, source):
    (tmp_path / "list.csv").write_text(f"image,attributes\na.png,{cell}\n")
    found = source("manifest", path=str(tmp_path / "list.csv"))
    (sample,) = found.samples()
    assert sample.fields["attributes"] == [1, -1, 0.5]
    assert found.attribute_names() == names


def test_manifest_large_numbers_may_be_named_as_classes(tmp_path, source):
    (tmp_path / "list.csv").write_text("image,label\na.png,2000000000\n")
    names = ["5", "2000000000"]
    found = source("manifest", path=str(tmp_path / "list.csv"), class_names=names)
    assert [sample.fields["label"] for sample in found.samples()] == [1]


def test_manifest_of_pairs_has_source_and_target(tmp_path, source):
    (tmp_path / "list.jsonl").write_text('{"source": "a/1.png", "target": "b/1.png"}')
    (sample,) = source("manifest", path=str(tmp_path / "list.jsonl")).samples()
    assert sample.fields == {"source": tmp_path / "a/1.png", "target": tmp_path / "b/1.png"}


def rows(tmp_path, source, *texts, **options):
    (tmp_path / "list.jsonl").write_text("\n".join(texts))
    return [
        s.fields for s in source("manifest", path=str(tmp_path / "list.jsonl"), **options).samples()
    ]


def test_manifest_columns_of_free_names_hold_files_or_numbers(tmp_path, source):
    (fields,) = rows(
        tmp_path,
        source,
        '{"image": "a.png", "map": "b.png", "ids": "c.npy", "bbox": [[1, 2, 3, 4]], "age": 3}',
        columns={"source": "map", "instances": "ids", "boxes": "bbox", "age": "age"},
    )
    assert fields["source"] == tmp_path / "b.png"
    assert fields["instances"] == tmp_path / "c.npy"
    assert fields["boxes"] == [[1, 2, 3, 4]]
    assert fields["age"] == 3


def test_manifest_csv_holds_numbers_in_a_cell(tmp_path, source):
    (tmp_path / "m.csv").write_text('image,a,b\nx.png,1 2.5,"[[1, 2], [3, 4]]"\n')
    options = {"path": str(tmp_path / "m.csv"), "columns": {"a": "a", "b": "b"}}
    (sample,) = source("manifest", **options).samples()
    assert (sample.fields["a"], sample.fields["b"]) == ([1, 2.5], [[1, 2], [3, 4]])


def test_manifest_of_clips_lists_their_frames(tmp_path, source):
    (fields,) = rows(
        tmp_path,
        source,
        '{"frames": ["a/0.png", "a/1.png"], "source": ["b/0.png", "b/1.png"], "boxes": [[1], [2]]}',
        columns={"boxes": "boxes"},
    )
    assert fields["frames"] == [tmp_path / "a/0.png", tmp_path / "a/1.png"]
    assert fields["source"] == [tmp_path / "b/0.png", tmp_path / "b/1.png"]
    assert fields["boxes"] == [[1], [2]]


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("m.csv", None, {}, "m.csv' does not exist"),
        ("m.txt", "image\na.png\n", {}, "is not .csv, .tsv, .jsonl or .ndjson. Rename it"),
        ("m.csv", "image\n", {}, "has no rows"),
        ("m.jsonl", "{oops", {}, "cannot be read"),
        ("m.jsonl", "[1, 2]\n", {}, r"Row 1 of .* as a JSON object \(it is \[1, 2\], not"),
        ("m.csv", "image\na,b\nc\n", {}, "Row 1 of .* more values than .* columns .first 'b'"),
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
        ("m.csv", "image,x\na,b\n", {"columns": {"x": "x"}}, "Row 1 .*'x' cannot be read"),
        ("m.jsonl", '{"image": "a", "x": {}}', {"columns": {"x": "x"}}, "not a list of numbers"),
        ("m.jsonl", '{"image": "a", "x": {"b": 1}}', {"columns": {"x": "x"}}, "not a list of num"),
        ("m.csv", "image,caption\na,b\nc\n", {}, "Row 2 .*'caption' .*null is not text"),
        (
            "m.jsonl",
            '{"image": "a"}\n' * 3 + "{oops",
            {},
            "Row 4 .* JSON object .*column 2",
        ),
        ("m.csv", "image\n,\n", {}, "Row 1 .*'image' is empty"),
        ("m.csv", "image\nhttp://h/a.png\n", {}, "'image' is the address http://h/a.png; downl"),
        ("m.csv", "image,label\na,0\nb,2000000000\n", {}, "Row 2 .* 2000000000, .* only 2 samples"),
        ("m.csv", f"image,label\na,{'9' * 5000}\n", {}, "Row 1 .* label 9+, .*name them"),
    ],
)
def test_manifest_faults_are_named(tmp_path, name, text, options, message, source):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        raise_faults(source("manifest", path=str(tmp_path / name), **options).samples())


@pytest.mark.parametrize(
    "rows",
    [
        ["image,label", "a.png,cat", "b.png,", "c.png,dog"],
        ["image,attributes", "a.png,1 2", "b.png,1 x", "c.png,3 4"],
        ["image,text", "a.png,good.npy", "b.png,damaged.npy", "c.png,good.npy"],
        ["image,text", "a.png,good.npy", "b.png,empty.npy", "c.png,good.npy"],
        ["image,text", "a.png,good.npy", "b.png,words.npy", "c.png,good.npy"],
        ["image,text", "a.png,good.npy", "b.png,gone.npy", "c.png,good.npy"],
        ['{"image": "a.png", "x": 1}', '{"image": "b.png", "x": {}}', '{"image": "c.png", "x": 1}'],
        [
            f'{{"image": "{n}.png", "x": {x}}}'
            for n, x in zip("abc", ["[1]", f"[{'9' * 400}]", "[1]"], strict=True)
        ],
    ],
)
def test_manifest_row_that_cannot_be_read_is_a_bad_sample(tmp_path, rows, source):
    np.save(tmp_path / "good.npy", np.zeros(4))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    (tmp_path / "damaged.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:40])
    (tmp_path / "empty.npy").touch()
    name = "m.jsonl" if rows[0].startswith("{") else "m.csv"
    (tmp_path / name).write_text("\n".join(rows))
    options = {"columns": {"x": "x"}} if name == "m.jsonl" else {}
    found = list(source("manifest", path=str(tmp_path / name), **options).samples())
    assert [bool(sample.fault) for sample in found] == [False, True, False]
    assert found[1].fault.startswith("Row 2 of ")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_manifest_csv_may_be_separated_by_semicolons_or_tabs(tmp_path, delimiter, source):
    rows = ["image,label", "a.png,cat", "b.png,dog"]
    text = "\ufeff" + "\n".join(rows).replace(",", delimiter)
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    found = source("manifest", path=str(tmp_path / "m.csv"))
    assert [sample.fields["label"] for sample in found.samples()] == [0, 1]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_manifest_in_another_encoding_says_so(tmp_path, encoding, source):
    (tmp_path / "m.csv").write_text("image,label\na.png,caf\u00e9\n", encoding=encoding)
    with pytest.raises(DataError, match="is not UTF-8 .*Save it as UTF-8"):
        list(source("manifest", path=str(tmp_path / "m.csv")).samples())


def test_manifest_rows_of_one_image_are_one_sample_with_all_captions(tmp_path, source):
    rows = ["image,caption,label", "a.png,one,0", "b.png,two,1", "a.png,three,0"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    found = source("manifest", path=str(tmp_path / "m.csv"))
    samples = list(found.samples())
    assert [s.fields["caption"] for s in samples] == [["one", "three"], "two"]
    assert [s.key for s in samples] == ["a,png", "b,png"]
    assert found.num_samples() == 2


def test_manifest_rows_of_one_image_that_differ_keep_their_own_keys(tmp_path, source):
    rows = ["image,caption,label", "a.png,one,0", "a.png,two,1"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    samples = list(source("manifest", path=str(tmp_path / "m.csv")).samples())
    assert [(s.key, s.fields["label"]) for s in samples] == [("a,png", 0), ("a,png%row2", 1)]


def test_manifest_rows_that_are_equal_without_captions_keep_their_own_keys(tmp_path, source):
    (tmp_path / "m.csv").write_text("image\na.png\na.png\n")
    samples = list(source("manifest", path=str(tmp_path / "m.csv")).samples())
    assert [s.key for s in samples] == ["a,png", "a,png%row2"]


@pytest.mark.parametrize(
    "header", ["image,label", "image, label", "Image,LABEL ", "file_name,Label"]
)
def test_manifest_columns_may_have_spaces_and_capitals(tmp_path, source, header):
    (tmp_path / "m.csv").write_text(f"{header}\na.png, dog \nb.png,cat\n")
    found = source("manifest", path=str(tmp_path / "m.csv"))
    assert found.class_names() == ("cat", "dog")
    assert [s.fields["label"] for s in found.samples()] == [1, 0]


def test_manifest_says_which_columns_are_not_used(tmp_path, source, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "m.csv").write_text("image,breed,Label\na.png,x,0\n")
    list(source("manifest", path=str(tmp_path / "m.csv")).samples())
    assert "m.csv that are not used: breed. Name a column to use it: columns: {" in caplog.text


def test_manifest_class_in_decomposed_unicode_is_composed(tmp_path, source):
    (tmp_path / "m.csv").write_text("image,label\na.png,cafe\u0301\nb.png,café\n", encoding="utf-8")
    found = source("manifest", path=str(tmp_path / "m.csv"))
    assert found.class_names() == ("café",)
    assert [s.fields["label"] for s in found.samples()] == [0, 0]


@pytest.mark.parametrize(
    "cell", [" {}", "{} ", "{nfd}", "deep\\{}", "file://{root}/{}", "{root}/{}"]
)
def test_manifest_finds_the_file_whatever_program_wrote_its_name(tmp_path, paint, source, cell):
    name = "caf\u00e9 1.png"
    folder = tmp_path / "deep" if "deep" in cell else tmp_path
    paint(folder / name, 7)
    written = cell.format(name, nfd=unicodedata.normalize("NFD", name), root=tmp_path)
    (tmp_path / "list.csv").write_text(f"image\n{written}\n", encoding="utf-8")
    assert reds(source("manifest", path=str(tmp_path / "list.csv")).samples()) == [7]


def test_manifest_logs_its_classes_with_counts_before_anything_is_prepared(
    tmp_path, caplog, source
):
    caplog.set_level(logging.INFO)
    (tmp_path / "list.csv").write_text("image,label\na.png,cat\nb.png,dog\nc.png,dog\n")
    source("manifest", path=str(tmp_path / "list.csv")).class_names()
    assert "2 classes from column 'label' of" in caplog.text
    assert "cat (1), dog (2). To ignore them, set data.use_labels: false." in caplog.text


@pytest.mark.parametrize("cell", ["nan", "NaN"])
def test_manifest_label_that_is_not_a_number_is_no_class(tmp_path, cell, source):
    (tmp_path / "list.csv").write_text(f"image,label\na.png,cat\nb.png,{cell}\n")
    found = source("manifest", path=str(tmp_path / "list.csv"))
    assert found.class_names() == ("cat",)
    assert [bool(sample.fault) for sample in found.samples()] == [False, True]
