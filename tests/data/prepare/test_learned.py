import pytest

from ganforge.config.data import DataConfig
from ganforge.data.prepare.learned import Learned
from ganforge.data.prepare.sample_encoder import Encoded
from ganforge.data.shards.index import DatasetIndex, FieldSchema
from ganforge.data.shards.writer import EncodedSample
from ganforge.errors import DataError
from ganforge.interfaces.spec import ImageSpec

FIELDS = {
    "image": FieldSchema(kind="image", is_clip=True),
    "source": FieldSchema(kind="labels"),
    "label": FieldSchema(kind="label"),
}


@pytest.fixture
def learned():
    result = Learned()
    for white, largest, count in ((255, 3, 9), (4095, 20, 4)):
        encoded = Encoded(EncodedSample("a", {}))
        encoded.largest = {"image": white, "source": largest}
        encoded.num_frames = {"image": count}
        result.add(encoded)
    return result


def index(size=21, classes=("a", "b")):
    fields = {
        "image": FieldSchema(kind="image", max_value=1023),
        "source": FieldSchema(kind="labels", size=size),
    }
    return DatasetIndex.build(ImageSpec(8, 8, class_names=classes), {}, fields)


def test_fields_get_white_ids_classes_and_the_shortest_clip(learned):
    fields = learned.complete(FIELDS, ("a", "b"), DataConfig(), None)
    assert (fields["image"].max_value, fields["image"].num_frames) == (4095, 4)
    assert (fields["source"].size, fields["label"].size) == (21, 2)


@pytest.mark.parametrize("num_labels", [0, 5, 40])
def test_number_of_labels_that_is_given_stands(learned, num_labels):
    config = DataConfig(fields={"source": {"num_labels": num_labels}})
    assert learned.complete(FIELDS, (), config, None)["source"].size == num_labels


def test_validation_data_take_white_and_ids_of_the_training_data(learned):
    fields = learned.complete(FIELDS, ("a", "b"), DataConfig(), index(30))
    assert (fields["image"].max_value, fields["source"].size) == (1023, 30)


def test_validation_data_of_other_classes_are_refused(learned):
    with pytest.raises(DataError, match="have the classes b, a, the training data a, b"):
        learned.complete(FIELDS, ("b", "a"), DataConfig(), index())


def test_validation_data_of_unknown_ids_are_refused(learned):
    with pytest.raises(DataError, match="'source' .* the id 20, those of the training data 0 to 1"):
        learned.complete(FIELDS, ("a", "b"), DataConfig(), index(20))
