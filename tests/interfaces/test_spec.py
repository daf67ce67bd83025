import dataclasses

import pytest
from pydantic import ValidationError

from ganforge.interfaces.spec import ImageSpec, TextEncoding

FULL = ImageSpec(
    16,
    24,
    1,
    source_channels=3,
    class_names=("a", "b"),
    attribute_names=("smiles",),
    text_dim=4,
    num_frames=2,
    text_encoding=TextEncoding("hashed_words", {"size": 4}, "r1"),
)


@pytest.mark.parametrize("spec", [ImageSpec(8, 8), FULL], ids=["least", "full"])
def test_spec_round_trips_through_json_values(spec):
    assert ImageSpec.from_dict(spec.to_dict()) == spec


def test_spec_without_an_encoding_leaves_the_key_out():
    assert "text_encoding" not in ImageSpec(8, 8).to_dict()
    assert FULL.to_dict()["text_encoding"]["name"] == "hashed_words"


def test_spec_is_hashable_and_frozen():
    assert len({ImageSpec(8, 8), ImageSpec(8, 8), FULL}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.height = 8


@pytest.mark.parametrize(
    "values",
    [
        {"height": 0, "width": 8},
        {"height": 8, "width": 20_000},
        {"height": 8.5, "width": 8},
        {"height": 8, "width": 8, "channels": 17},
        {"height": 8, "width": 8, "text_dim": -1},
        {"height": 8, "width": 8, "num_frames": 0},
        {"height": 8, "width": 8, "class_names": [1]},
        {"height": 8, "width": 8, "depth": 3},
        {"height": 8},
    ],
)
def test_spec_of_bad_values_is_refused(values):
    with pytest.raises(ValidationError):
        ImageSpec.from_dict(values)
