import numpy as np
import pytest

from ganforge.config.data import DataConfig
from ganforge.data.prepare import source_to_shards as module
from ganforge.data.prepare.source_to_shards import prepare
from ganforge.errors import DataError
from ganforge.interfaces.source import Sample


class FakeSource:
    """A source made of a list, for what no built-in source would give."""

    name = "fake"

    def __init__(self, samples, classes=(), attributes=(), streams=("main",)):
        self.listed = samples
        self.classes, self.attributes, self.names = classes, attributes, streams

    def class_names(self):
        return self.classes

    def attribute_names(self):
        return self.attributes

    def streams(self):
        return self.names

    def samples(self, stream="main"):
        return iter(self.listed)

    def num_samples(self):
        return None


def run_fake(monkeypatch, out, samples, settings=None, **options):
    fake = FakeSource(samples, **options)
    monkeypatch.setattr(module, "build_source", lambda config: fake)
    return prepare(settings or DataConfig(), out, workers=0, progress=False)


IMAGE = np.zeros((8, 8, 3), dtype=np.uint8)


def test_prepare_of_an_empty_source_says_so(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="source 'fake' has no samples. Check its path"):
        run_fake(monkeypatch, tmp_path / "out", [])


def test_prepare_of_duplicate_keys_names_one(monkeypatch, tmp_path):
    samples = [Sample(key, {"image": IMAGE}) for key in ("a", "b", "a")]
    with pytest.raises(DataError, match="gives the key 'a' to two samples.*unique"):
        run_fake(monkeypatch, tmp_path / "out", samples)


@pytest.mark.parametrize("label", [2, -1])
def test_prepare_of_a_label_without_a_class_names_the_sample(monkeypatch, tmp_path, label):
    samples = [
        Sample("a", {"image": IMAGE, "label": 1}),
        Sample("b", {"image": IMAGE, "label": label}),
    ]
    with pytest.raises(
        DataError, match=rf"Sample 'b' .* label {label}, .*2 classes \(labels 0 to 1"
    ):
        run_fake(monkeypatch, tmp_path / "out", samples, classes=("x", "y"))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"image": IMAGE, "label": "cat"}, "label is 'cat', not an integer"),
        ({"image": IMAGE}, "it has the fields image, the other samples have image, label"),
        ({"image": [IMAGE], "label": 1}, "'image' is not one image"),
        ({"image": IMAGE.astype(float), "label": 1}, "'image' holds float64 values from 0 to 0"),
    ],
)
def test_prepare_of_a_sample_unlike_the_first_says_how(monkeypatch, tmp_path, fields, text):
    samples = [Sample("a", {"image": IMAGE, "label": 0}), Sample("b", fields)]
    with pytest.raises(DataError, match=f"Sample 'b' of source 'fake': .*{text}"):
        run_fake(monkeypatch, tmp_path / "out", samples, classes=("x", "y"))


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "a\nb"])
def test_prepare_of_a_key_that_would_break_the_tar_is_refused(monkeypatch, tmp_path, key):
    with pytest.raises(DataError, match="its key must be printable, without dots or slashes"):
        run_fake(monkeypatch, tmp_path / "out", [Sample(key, {"image": IMAGE})])


@pytest.mark.parametrize(
    ("values", "text"),
    [([1.0], "must hold 2 finite numbers"), ([1.0, float("nan")], "finite"), (["x", 1], "numbers")],
)
def test_prepare_of_bad_attributes_says_how(monkeypatch, tmp_path, values, text):
    samples = [
        Sample("a", {"image": IMAGE, "attributes": [0.0, 1.0]}),
        Sample("b", {"image": IMAGE, "attributes": values}),
    ]
    with pytest.raises(DataError, match=f"Sample 'b' .*'attributes' .*{text}"):
        run_fake(monkeypatch, tmp_path / "out", samples, attributes=("p", "q"))


def test_prepare_of_unnamed_attributes_is_refused(monkeypatch, tmp_path):
    samples = [Sample("a", {"image": IMAGE, "attributes": [0.0, 1.0]})]
    with pytest.raises(DataError, match="have 2 attributes, the source names 1"):
        run_fake(monkeypatch, tmp_path / "out", samples, attributes=("p",))


def test_prepare_of_clips_of_unequal_length_notes_the_shortest(monkeypatch, tmp_path):
    samples = [Sample(str(n), {"frames": [IMAGE] * n}) for n in (3, 2, 5)]
    index = run_fake(monkeypatch, tmp_path / "out", samples)
    assert (index.fields["frames"].num_frames, index.image_spec.num_frames) == (2, 2)


def test_prepare_of_samples_without_image_is_refused(monkeypatch, tmp_path):
    samples = [Sample("a", {"label": 0})]
    with pytest.raises(DataError, match="hold no image, only label"):
        run_fake(monkeypatch, tmp_path / "out", samples, classes=("x",))


def test_prepare_of_one_field_in_two_streams_is_refused(monkeypatch, tmp_path):
    samples = [Sample("a", {"image": IMAGE})]
    with pytest.raises(DataError, match="field 'image' in two streams"):
        run_fake(monkeypatch, tmp_path / "out", samples, streams=("a", "b"))


def test_prepare_of_pairs_of_different_aspect_names_the_sample(monkeypatch, tmp_path):
    pair = {"source": np.zeros((50, 100, 3), np.uint8), "target": np.zeros((64, 64, 3), np.uint8)}
    fault = "Sample 'a' .*'target' is 64 x 64 .*'source' is 50 x 100.*not stay aligned"
    with pytest.raises(DataError, match=fault):
        run_fake(monkeypatch, tmp_path / "out", [Sample("a", pair)], DataConfig(resolution=64))


def test_prepare_of_a_misspelled_field_is_refused_early(monkeypatch, tmp_path):
    settings = DataConfig(fields={"imgae": {"channels": 1}})
    with pytest.raises(DataError, match="names 'imgae', .* Did you mean 'image'"):
        run_fake(monkeypatch, tmp_path / "out", [Sample("a", {"image": IMAGE})], settings)


def test_prepare_of_misspelled_fields_of_streams_is_refused(monkeypatch, tmp_path):
    class Streams(FakeSource):
        def samples(self, stream="main"):
            return iter([Sample("a", {stream: IMAGE})])

    fake = Streams([], streams=("source", "target"))
    monkeypatch.setattr(module, "build_source", lambda config: fake)
    with pytest.raises(DataError, match="names 'taget', .* Did you mean 'target'"):
        settings = DataConfig(fields={"taget": {}})
        prepare(settings, tmp_path / "out", workers=0, progress=False)


def test_prepare_of_only_short_clips_says_so(monkeypatch, tmp_path):
    samples = [Sample("a", {"frames": [IMAGE] * 2})]
    with pytest.raises(DataError, match=r"All 1 clips .*'a \(2\)'"):
        run_fake(monkeypatch, tmp_path / "out", samples, DataConfig(clip={"num_frames": 3}))


def test_prepare_stores_vectors_and_describes_all_fields(monkeypatch, tmp_path):
    fields = {"image": IMAGE, "boxes": [2, 2, 4, 4], "depth": IMAGE[..., 0].astype(np.float32)}
    settings = DataConfig(
        resolution=4,
        fields={"boxes": {"coordinates": "xyxy"}, "depth": {"value_range": (0, 10)}},
    )
    index = run_fake(monkeypatch, tmp_path / "out", [Sample("a", fields)], settings)
    assert set(index.image_spec.fields) == {"boxes", "depth"}
    assert index.fields["depth"].value_range == (0, 10)
    assert index.fields["boxes"].coordinates == "xyxy"
