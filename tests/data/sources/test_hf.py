import numpy as np
import pytest

from ganforge.data.prepare.guess_source import guess_source
from ganforge.errors import DataError
from ganforge.imaging.codec import Undecodable, decode_image


def reds(samples, field="image"):
    return [int(decode_image(s.fields[field])[0, 0, 0]) for s in samples]


def test_hf_loads_an_image_folder_with_classes(tmp_path, monkeypatch, paint, source):
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


def test_hf_names_the_variable_that_stops_all_connections(monkeypatch, source):
    from ganforge.data.sources.hf import HfSource

    def refuse(self):
        raise ValueError("Unknown scheme for proxy URL")

    monkeypatch.setattr(HfSource, "_loaded", refuse)
    monkeypatch.setenv("ALL_PROXY", "socks://localhost:9")
    with pytest.raises(DataError, match="Unknown scheme for proxy URL. The environ.* ALL_PROXY"):
        list(source("hf", path="org/name").samples())


def test_hf_loads_parquet_with_a_caption_and_keeps_bytes(tmp_path, helpers, source):
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
def rows(tmp_path, helpers, source):
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


def test_hf_class_numbers_stay_though_the_names_are_other_numbers(tmp_path, helpers, source):
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
        for sample in rows(options, **column).samples():
            if sample.fault:  # which prepare raises, or skips
                raise DataError(sample.fault)


@pytest.fixture
def plain(tmp_path, source):
    """A function that writes columns without Hugging Face's declarations; gives the hf source."""
    from pyarrow import parquet, table

    def write(**columns):
        parquet.write_table(table(columns), tmp_path / "t.parquet")
        return source("hf", path="parquet", data_files=str(tmp_path / "t.parquet"))

    return write


@pytest.mark.parametrize(("kind", "column"), [("struct", "Label"), ("bytes", "label")])
def test_hf_takes_parquet_that_does_not_declare_its_images(helpers, plain, kind, column):
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    images = [{"bytes": data, "path": None} if kind == "struct" else data] * 2
    found = plain(image=images, **{column: ["cat", "dog"]})
    assert [s.fields for s in found.samples()] == [{"image": data, "label": n} for n in (0, 1)]


def test_hf_row_that_is_bad_is_a_fault_of_its_sample(plain):
    images = [{"bytes": None, "path": "https://host/a.png"}, {"bytes": b"0", "path": None}]
    first, second = plain(image=images, label=["a", None]).samples()
    assert "is the address https://host/a.png, which is not downloaded" in first.fault
    assert "Row 1 of 'parquet' has no label" in second.fault


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
    assert found.num_samples() is None


@pytest.mark.parametrize("splits", [True, False])
def test_hf_loads_what_save_to_disk_wrote(tmp_path, helpers, splits, source):
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


def pictures(helpers, *values):
    data = [helpers.file_bytes(np.full((4, 4, 3), value, np.uint8)) for value in values]
    return [{"bytes": picture, "path": None} for picture in data]


def test_hf_columns_make_pairs(rows, helpers):
    columns = {"source": "input", "target": "image", "boxes": "bbox"}
    found = rows(
        {"columns": columns, "caption": "prompt"},
        input=pictures(helpers, 7, 8),
        prompt=["a", "b"],
        bbox=[[1.0, 2.0], [3.0, 4.0]],
    )
    samples = list(found.samples())
    assert reds(samples, "source") == [7, 8]
    assert reds(samples, "target") == [0, 1]
    assert [s.fields["caption"] for s in samples] == ["a", "b"]
    assert [s.fields["boxes"] for s in samples] == [[1, 2], [3, 4]]
    assert sorted(samples[0].fields) == ["boxes", "caption", "source", "target"]


def test_hf_columns_of_further_images_leave_the_image(rows, helpers):
    found = rows({"columns": {"mask": "m"}}, m=pictures(helpers, 9))
    (sample,) = found.samples()
    assert reds([sample], "image") == [0]
    assert reds([sample], "mask") == [9]


def test_hf_columns_that_cannot_serve_are_named(rows, helpers):
    with pytest.raises(DataError, match="source='inptu' is not a column.*Did you mean 'input'"):
        list(rows({"columns": {"source": "inptu"}}, input=pictures(helpers, 7)).samples())
    with pytest.raises(DataError, match="Column 'x' .* holds .*int64.*, not images. .*source: COL"):
        list(rows({"columns": {"source": "x"}}, x=[5]).samples())


def test_hf_says_first_that_there_is_no_such_folder(tmp_path, monkeypatch, source):
    import datasets

    def refuse(*args, **options):
        raise FileNotFoundError("offline")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="^There is no folder d/gone here. .*path='d/gone' .*offli"):
        list(source("hf", path="d/gone").samples())


def test_hf_data_set_that_is_missing_names_the_options(tmp_path, source):
    with pytest.raises(DataError, match=r"path='imagefolder' \(split 'train'\) cannot be loaded"):
        list(source("hf", path="imagefolder", data_dir=str(tmp_path / "gone")).samples())


def test_hf_labels_that_are_lists_are_named(tmp_path, helpers, source):
    import datasets

    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    rows = {"image": [{"bytes": data, "path": None}], "label": [[1, 2]]}
    table = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    table.to_parquet(str(tmp_path / "t.parquet"))
    found = source("hf", path="parquet", data_files=str(tmp_path / "t.parquet"))
    with pytest.raises(DataError, match="Column 'label' .* cannot be class labels"):
        found.class_names()


def test_hf_errors_of_any_type_are_named(tmp_path, monkeypatch, source):
    import datasets

    def fail(*args, **options):
        raise RuntimeError("Dataset scripts are no longer supported")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match="cannot be loaded: Dataset scripts are no longer"):
        list(source("hf", path="me/x").samples())


def test_hf_says_which_columns_it_uses(tmp_path, helpers, source, caplog):
    import datasets

    caplog.set_level("INFO")
    data = helpers.file_bytes(np.zeros((4, 4, 3), np.uint8))
    rows = {"pic": [{"bytes": data, "path": None}], "label": ["cat"], "words": ["a cat"]}
    table = datasets.Dataset.from_dict(rows).cast_column("pic", datasets.Image())
    table.to_parquet(str(tmp_path / "t.parquet"))
    list(source("hf", path="parquet", data_files=str(tmp_path / "t.parquet")).samples())
    assert "image from 'pic', label from 'label'. Not used: words." in caplog.text
