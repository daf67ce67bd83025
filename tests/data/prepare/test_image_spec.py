import pytest

from ganforge.data.prepare.image_spec import image_spec, main_field
from ganforge.data.shards.index import FieldSchema
from ganforge.errors import DataError
from ganforge.interfaces.spec import FieldSpec


def pixels(kind="image", channels=3, **options):
    options = {"height": 8, "width": 6} | options
    return FieldSchema(kind=kind, channels=channels, **options)


def test_spec_describes_the_image_to_generate():
    fields = {
        "target": pixels(bit_depth=16, value_range=(0, 4), channels=5),
        "source": pixels(channels=1, value_range=(-1, 9)),
    }
    spec = image_spec(fields, (), ())
    assert spec.source_value_range == (-1, 9)
    assert (spec.height, spec.width, spec.channels, spec.source_channels) == (8, 6, 5, 1)
    assert (spec.bit_depth, spec.value_range, spec.source_kind) == (16, (0, 4), "image")
    assert spec.fields == {}


def test_source_of_label_maps_is_seen_one_hot():
    fields = {"target": pixels(), "source": pixels("labels", 1, size=21)}
    spec = image_spec(fields, (), ())
    assert (spec.source_kind, spec.source_channels) == ("labels", 21)


def test_further_fields_are_described():
    fields = {
        "frames": pixels(is_clip=True, num_frames=4),
        "depth": pixels(channels=1, is_clip=True),
        "instances": pixels("labels", 1),
        "boxes": FieldSchema(kind="vector", size=8, is_clip=True),
        "label": FieldSchema(kind="label", size=2),
        "caption": FieldSchema(kind="caption"),
    }
    spec = image_spec(fields, ("a", "b"), ())
    assert spec.num_frames == 4
    assert spec.fields == {
        "depth": FieldSpec("image", 1, is_clip=True),
        "instances": FieldSpec("labels", 0),
        "boxes": FieldSpec("vector", 8, is_clip=True),
    }


def test_main_field_is_what_networks_generate():
    assert main_field(["source", "frames", "target"]) == "target"
    assert main_field(["z", "b"]) == "b"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"label": FieldSchema(kind="label")}, "hold no image, only label"),
        ({"target": pixels("labels", 1), "source": pixels()}, "'target' holds labels, but"),
        ({"image": pixels(), "mask": pixels(height=9)}, "'mask' images are 9 x 6, 'image' .* 8"),
        ({"image": pixels(), "source": pixels("labels", 1)}, "'source' has num_labels: 0"),
        ({"image": pixels(), "source": FieldSchema(kind="vector")}, "'source' holds vector"),
    ],
)
def test_fields_that_make_no_data_set_are_refused(fields, text):
    with pytest.raises(DataError, match=text):
        image_spec(fields, (), ())
