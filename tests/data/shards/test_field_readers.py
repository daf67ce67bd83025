"""Classes and captions; every kind has its reader."""

import pytest

from ganforge.config.models import DataConfig
from ganforge.data.shards.field_readers import field_reader
from ganforge.data.shards.index import FieldSchema
from ganforge.data.shards.pixel_reader import PixelReader
from ganforge.data.shards.vector_reader import VectorReader
from ganforge.data.views import Views
from ganforge.errors import ShardError

IMAGE = FieldSchema(kind="image", height=8, width=8, channels=3)
CAPTION = FieldSchema(kind="caption")


@pytest.mark.parametrize(
    ("kind", "reader"),
    [
        ("image", PixelReader),
        ("labels", PixelReader),
        ("vector", VectorReader),
        ("attributes", VectorReader),
        ("text", VectorReader),
    ],
)
def test_field_reader_of_a_kind(kind, reader):
    schema = FieldSchema(kind=kind, height=8, width=8, channels=1, size=2)
    assert type(field_reader(schema, Views(), (8, 8))) is reader


@pytest.mark.parametrize(
    ("label", "text"),
    [(b"4", "is the label 4; .*0 to 3"), (b"-1", "label -1"), (b"cat", "not an integer: b'cat'")],
)
def test_reader_of_a_label_out_of_range_names_it(tmp_path, helpers, label, text, load):
    image = helpers.file_bytes(helpers.numbered_image(0))
    schema = {"image": IMAGE, "label": FieldSchema(kind="label", size=4)}
    location = helpers.write_custom(
        tmp_path / "s", [{"image.png": image, "label.cls": label}], schema
    )
    with pytest.raises(
        ShardError, match=f"Sample '000' .*s/main-000000.tar: field 'label' .*{text}"
    ):
        load(location, 1, fields=["image", "label"])


def test_reader_of_captions_gives_strings(tmp_path, helpers, load):
    location = helpers.write_custom(
        tmp_path / "s", [{"caption.txt": "ein Häuschen".encode()}], {"caption": CAPTION}
    )
    assert load(location, 1, fields=["caption"])[0][0]["caption"] == ["ein Häuschen"] * 2


def test_reader_of_several_captions_shows_each_with_its_own_embedding(tmp_path, helpers, load):
    members = {"caption.txt": b"a\n\nb\nc", "text.npy": helpers.npy_bytes([[0], [1], [2]])}
    schema = {"caption": CAPTION, "text": FieldSchema(kind="text", size=1)}
    location = helpers.write_custom(tmp_path / "s", [members], schema)
    (batch,) = load(location, 1, fields=["caption", "text"], micro_batch=32)[0]
    assert ["abc"[int(number)] for number in batch["text"][:, 0]] == batch["caption"]
    assert set(batch["caption"]) == set("abc")


def test_reader_of_captions_that_are_not_utf8_names_the_sample(tmp_path, helpers, load):
    location = helpers.write_custom(
        tmp_path / "s", [{"caption.txt": b"\xff\xfe"}], {"caption": CAPTION}
    )
    with pytest.raises(ShardError, match="Sample '000' .*'caption' is not UTF-8"):
        load(location, 1, fields=["caption"], config=DataConfig(workers=0))
