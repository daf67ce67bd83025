import pytest

from ganforge.api import ConfigError, DataError, ImageSpec
from ganforge.config.models import PipelineConfig
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.interfaces.architecture import Reads
from ganforge.interfaces.spec import TextEncoding
from ganforge.training.fields import check_encoder, choose_fields, expected_spec, model_spec

IMAGE = FieldSchema(kind="image", height=8, width=8, channels=3)
FIELDS = {
    "image": IMAGE,
    "label": FieldSchema(kind="label"),
    "text": FieldSchema(kind="text", size=4),
}
ENCODING = TextEncoding("hashed_words", {"size": 4}, "other")
READS = Reads(("image",), ("label",))


def index(*fields, encoding=ENCODING):
    spec = ImageSpec(8, 8, class_names=("a", "b"), text_dim=4, text_encoding=encoding)
    return DatasetIndex.build(spec, {}, {name: FIELDS[name] for name in fields})


def config(**data):
    return PipelineConfig(name="t", model={"architecture": "dcgan"}, data=data)


def test_optional_labels_are_read_where_the_data_have_them():
    assert choose_fields(config(), "g", READS, index("image", "label")) == ("image", "label")
    assert choose_fields(config(), "g", READS, index("image")) == ("image",)
    assert choose_fields(config(use_labels=False), "g", READS, index("image", "label")) == (
        "image",
    )


def test_labels_that_are_demanded_but_absent_are_refused():
    with pytest.raises(DataError, match="'g' needs the fields label.* it has image"):
        choose_fields(config(use_labels=True), "g", READS, index("image"))


def test_absent_embeddings_are_refused_with_the_command_that_makes_them():
    with pytest.raises(DataError, match="no embeddings.*ganforge data embed SHARDS OUT"):
        choose_fields(config(), "g", Reads(("image", "text")), index("image", "label"))


def test_conditions_that_the_run_does_not_use_are_logged(caplog):
    caplog.set_level("INFO")
    choose_fields(config(), "g", Reads(("image",)), index("image", "label", "text"))
    assert "The data set has label and text, which this run does not use." in caplog.text


def test_model_spec_holds_only_the_conditions_that_are_used():
    data = index("image", "label", "text")
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
    ],
)
def test_model_spec_of_shards_of_another_shape_is_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        model_spec(config(**data), index("image"), ("image",))


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
