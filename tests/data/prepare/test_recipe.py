import pytest

from ganforge.config.data import DataConfig
from ganforge.data.prepare.recipe import changes, recipe

BASE = {"source": {"name": "folder", "path": "x"}, "resolution": 8}


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"resolution": 9}, r"data.resolution \(crop.from\) was \[8, 8\] and is \[9, 9\]"),
        ({"crop": {"from": 10}}, r"was \[8, 8\] and is \[10, 10\]"),
        ({"frame_format": "jpeg"}, "data.frame_format was 'png' and is 'jpeg'"),
        ({"channels": 1}, "data.channels was None and is 1"),
        ({"fields": {"source": {"kind": "labels"}}}, "data.fields was {} and is {'source'"),
        ({"clip": {"num_frames": 4}}, "data.clip .* was None and is 4"),
        ({"validation": {"num_samples": 3}}, "data.validation.num_samples was None and is 3"),
    ],
)
def test_settings_that_decide_the_content_make_a_difference(more, text):
    import re

    found = changes(recipe(DataConfig(**BASE), 0), recipe(DataConfig(**{**BASE, **more}), 0))
    assert re.search(text, found)


@pytest.mark.parametrize(
    "more",
    [
        {"flip": True},
        {"resolution": 4, "crop": {"from": 8}},
        {"validation": {"shards": "elsewhere"}},
        {"derive": {"name": "edges"}},
    ],
)
def test_settings_of_the_reader_make_none(more):
    assert changes(recipe(DataConfig(**BASE), 0), recipe(DataConfig(**{**BASE, **more}), 0)) == ""


def test_what_was_added_to_the_shards_later_is_no_difference():
    made = {**recipe(DataConfig(**BASE), 0), "text_encoder": {"name": "x"}, "ganforge": "1"}
    assert changes(made, recipe(DataConfig(**BASE), 0)) == ""


def test_recipe_holds_no_token():
    source = {"name": "webdataset", "urls": ["http://me:secret99@localhost/a.tar"]}
    found = recipe(DataConfig(**{**BASE, "source": source}), 0)
    assert found["source"]["urls"] == ["http://***@localhost/a.tar"]
