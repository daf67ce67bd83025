import json

import pytest

from ganforge.api import ConfigError, DataError, ImageSpec
from ganforge.config.models import DataConfig, PipelineConfig, StrictModel
from ganforge.data.prepare.image_spec import image_spec
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.interfaces.architecture import Reads
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.spec import DerivedSource, FieldSpec, TextEncoding
from ganforge.registry.plugins import Plugin, get_registry
from ganforge.training.fields import check_encoder, choose_fields, expected_spec, model_spec


class HalvedConfig(StrictModel):
    factor: int = 2


class Halved(Derivation[HalvedConfig]):
    """One channel, darker."""

    name, Config = "halved", HalvedConfig

    def channels(self, channels):
        return 1

    def derive(self, img, seed, frame=0):
        return img[..., :1] / self.config.factor


@pytest.fixture(autouse=True)
def _halved(monkeypatch):
    plugin = Plugin("halved", "tests", "tests", "1")
    monkeypatch.setitem(get_registry()._of_kind(Derivation.kind), "halved", (Halved, plugin))


IMAGE = FieldSchema(kind="image", height=8, width=8, channels=3)
FIELDS = {
    "image": IMAGE,
    "label": FieldSchema(kind="label"),
    "text": FieldSchema(kind="text", size=4),
}
ENCODING = TextEncoding("hashed_words", {"size": 4}, "other")
READS = Reads(("image",), ("label",))


def index(*fields, encoding=ENCODING, **more):
    spec = ImageSpec(8, 8, class_names=("a", "b"), text_dim=4, text_encoding=encoding)
    if more:
        spec = image_spec(more, (), ())
    return DatasetIndex.build(spec, {}, {name: FIELDS[name] for name in fields} | more)


def readable(*fields, data=None, **more):
    return ReadableFields(DataConfig(**(data or {})), index(*fields, **more), "SHARDS")


def config(**data):
    return PipelineConfig(name="t", model={"architecture": "dcgan"}, data=data)


def test_optional_labels_are_read_where_the_data_have_them():
    assert choose_fields(config(), "g", READS, readable("image", "label")) == ("image", "label")
    assert choose_fields(config(), "g", READS, readable("image")) == ("image",)
    assert choose_fields(config(use_labels=False), "g", READS, readable("image", "label")) == (
        "image",
    )


def test_labels_that_are_demanded_but_absent_are_refused():
    with pytest.raises(DataError, match="'g' needs the fields label.* it has image"):
        choose_fields(config(use_labels=True), "g", READS, readable("image"))


def test_absent_embeddings_are_refused_with_the_command_that_makes_them():
    with pytest.raises(DataError, match="no embeddings.*ganforge data embed SHARDS OUT"):
        choose_fields(config(), "g", Reads(("image", "text")), readable("image", "label"))


def test_conditions_that_the_run_does_not_use_are_logged(caplog):
    caplog.set_level("INFO")
    choose_fields(config(), "g", Reads(("image",)), readable("image", "label", "text"))
    assert "The data set has label and text, which this run does not use." in caplog.text


def test_model_spec_holds_only_the_conditions_that_are_used():
    data = readable("image", "label", "text")
    assert model_spec(config(), data, ("image",)) == ImageSpec(8, 8)
    labelled = model_spec(config(), data, ("image", "label"))
    assert (labelled.class_names, labelled.text_dim) == (("a", "b"), 0)
    text = model_spec(config(), data, ("image", "text"))
    assert (text.num_classes, text.text_dim, text.text_encoding) == (0, 4, ENCODING)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"resolution": 16}, "data.resolution is 16x16, but the shards hold 8x8"),
        ({"channels": 1}, "data.channels is 1, but the shards hold 3"),
        (
            {"fields": {"image": {"channels": 4}}},
            "data.fields.image.channels is 4, but the shards hold 3",
        ),
        (
            {"resolution": 6, "crop": {"from": 7}},
            "data.crop.from is 7x7, but the shards hold 8x8 .* or correct data.crop.from",
        ),
        ({"clip": {"num_frames": 2}}, "data.clip is set, but image at SHARDS are no clips"),
    ],
)
def test_model_spec_of_shards_of_another_shape_is_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        model_spec(config(**data), readable("image"), ("image",))


def test_model_spec_has_the_size_of_the_crops():
    chosen = config(resolution=[6, 4], crop={"from": 8})
    spec = model_spec(chosen, readable("image"), ("image",))
    assert (spec.height, spec.width) == (6, 4)


def test_model_spec_allows_channels_of_other_fields():
    chosen = config(channels=4, fields={"image": {"channels": 3}})
    assert model_spec(chosen, readable("image"), ("image",)).channels == 3


LABELS = FieldSchema(kind="labels", height=8, width=8, channels=1, size=5)
CLIP = IMAGE.model_copy(update={"is_clip": True, "num_frames": 20})


def test_model_spec_of_label_maps_as_sources_counts_the_one_hot_channels():
    data = readable(source=LABELS, target=IMAGE)
    spec = model_spec(config(), data, ("source", "target"))
    assert (spec.source_kind, spec.source_channels, spec.channels) == ("labels", 5, 3)
    spec = model_spec(config(), data, ("target",))
    assert (spec.source_kind, spec.source_channels) == ("image", None)


def test_model_spec_describes_further_fields_that_are_read():
    more = {
        "depth": IMAGE.model_copy(update={"channels": 1}),
        "map": LABELS,
        "boxes": FieldSchema(kind="vector", is_clip=True, size=8, num_frames=20),
        "unread": IMAGE,
        "frames": CLIP,
    }
    read = ("frames", "depth", "map", "boxes")
    spec = model_spec(config(), readable(**more), read)
    assert spec.fields == {
        "depth": FieldSpec("image", 1),
        "map": FieldSpec("labels", 5),
        "boxes": FieldSpec("vector", 8, is_clip=True),
    }


def test_model_spec_has_the_frames_of_the_last_window():
    clip = {"num_frames": {"from": 2, "to": 6, "over_kimg": 5}, "stride": 2}
    assert model_spec(config(clip=clip), readable(frames=CLIP), ("frames",)).num_frames == 6


def test_model_spec_records_how_sources_are_derived():
    choice = {"name": "halved", "factor": 3}
    data = readable("image", data={"derive": choice})
    fields = choose_fields(config(), "g", Reads(("source", "target")), data)
    assert fields == ("source", "target")
    spec = model_spec(config(derive=choice), data, fields)
    assert (spec.source_channels, spec.derived) == (1, DerivedSource("halved", {"factor": 3}))
    assert not spec.fields


def test_derivation_for_an_architecture_without_sources_is_refused():
    data = readable("image", data={"derive": "halved"})
    with pytest.raises(ConfigError, match="data.derive .halved. .* but 'g' reads no source"):
        choose_fields(config(), "g", READS, data)


def test_expected_spec_follows_fields_clip_and_derivation():
    reads = Reads(("source", "target", "map", "pose", "depth"))
    chosen = config(
        resolution=8,
        channels=1,
        crop={"from": 10},
        clip={"num_frames": {"from": 1, "to": 5, "over_kimg": 1}},
        fields={
            "target": {"channels": 3},
            "source": {"kind": "labels", "num_labels": 7},
            "map": {"kind": "labels", "num_labels": 0},
            "pose": {"kind": "vector"},
        },
    )
    spec = expected_spec(chosen, reads)
    assert (spec.height, spec.channels, spec.num_frames) == (8, 3, 5)
    assert (spec.source_kind, spec.source_channels) == ("labels", 7)
    kinds = {name: (field.kind, field.size) for name, field in spec.fields.items()}
    assert kinds == {"map": ("labels", 0), "pose": ("vector", 4), "depth": ("image", 1)}
    derived = expected_spec(config(resolution=8, derive="halved"), Reads(("source", "image")))
    assert (derived.source_channels, derived.derived.options) == (1, {"factor": 2})


def test_expected_spec_takes_needed_conditions_as_present():
    assert expected_spec(config(), READS) is None
    chosen = config(resolution=(8, 12), channels=1)
    assert expected_spec(chosen, READS) == ImageSpec(8, 12, 1)
    spec = expected_spec(chosen, Reads(("source", "target", "label", "attributes", "text")))
    assert (spec.source_channels, spec.num_classes, spec.text_dim) == (1, 2, 1)
    assert len(spec.attribute_names) == 1


@pytest.mark.parametrize(
    ("encoding", "how"),
    [(ENCODING, "by hashed_words .size: 4"), (None, "by nothing that their index names")],
)
def test_check_encoder_refuses_embeddings_by_another(encoding, how):
    chosen = config(text_encoder={"name": "hashed_words", "size": 8})
    with pytest.raises(DataError, match=f"at SHARDS are embedded {how}.*data embed SHARDS OUT"):
        check_encoder(chosen, index("image", "text", encoding=encoding), "SHARDS")
    check_encoder(config(), index("image", "text", encoding=encoding), "SHARDS")


@pytest.mark.dist
@pytest.mark.parametrize("when", ["check", "start"])
def test_one_rank_reads_the_index_and_lists_the_shards_for_all(two_ranks, when):
    reads = [json.loads((two_ranks / f"reads-{n}.json").read_text())[when] for n in range(2)]
    assert reads == [[1, 1], [0, 0]]


@pytest.mark.dist
def test_shard_that_rank_zero_misses_is_named_on_all_ranks(two_ranks):
    faults = {json.loads((two_ranks / f"reads-{n}.json").read_text())["fault"] for n in range(2)}
    assert "1 of 20 shards are missing" in faults.pop()
    assert not faults
