import json
from pathlib import Path

import pytest

from ganforge.data.shards.index import DatasetIndex, FieldSchema, ShardInfo, load_index
from ganforge.errors import DataError
from ganforge.interfaces.spec import ImageSpec, TextEncoding


def make(sha="a" * 64, **spec):
    shards = (ShardInfo(name="main-000000.tar", num_samples=3, num_bytes=9, sha256=sha),)
    schema = {"image": FieldSchema(kind="image", height=8, width=8, channels=3)}
    return DatasetIndex.build(ImageSpec(8, 8, 3, **spec), {"main": shards}, schema)


def test_index_written_and_read_is_equal(tmp_path):
    index = make(class_names=("cat", "dog"), attribute_names=("soft",))
    (tmp_path / "index.json").write_text(index.to_json())
    found = load_index(str(tmp_path))
    assert found.image_spec == ImageSpec(
        8, 8, 3, class_names=("cat", "dog"), attribute_names=("soft",)
    )
    assert found.digest == index.digest
    assert found.fields == index.fields
    assert found.num_samples() == found.num_samples("main") == 3


def test_digest_follows_content_not_recipe_or_names():
    index = make()
    assert make().digest == index.digest
    assert make(sha="b" * 64).digest != index.digest
    assert make(class_names=("x",)).digest != index.digest
    schema = {"image": FieldSchema(kind="image", height=8, width=9, channels=3)}
    other = DatasetIndex.build(index.image_spec, index.streams, schema)
    assert other.digest != index.digest
    elsewhere = DatasetIndex.build(
        index.image_spec, index.streams, index.fields, recipe={"source": "somewhere"}
    )
    assert elsewhere.digest == index.digest


def test_digest_golden_values_never_change():
    # A change here makes every index that was written unreadable, and every run stop resuming.
    plain = make(class_names=("x",))
    assert plain.digest == "905d530d0ed8b83f94c767aef05f17546d904b71527a4d350d87f0b42270b015"
    for name in ("hashed-words", "hashed_words"):
        embedded = make(text_dim=4, text_encoding=TextEncoding(name, {"size": 4}, "ab"))
        assert embedded.digest == "6ebd7bbfbac14cd57db405a135696309dcc71097d200c9d7eca444f5f2cf3203"


def test_missing_index_names_location_and_remedy(tmp_path):
    with pytest.raises(DataError, match="No index.json can be read at .*nowhere.*`data.shards`"):
        load_index(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["{", "[]", "3", ""])
def test_damaged_index_names_file_and_remedy(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"index.json .*ganforge data prepare"):
        load_index(str(tmp_path))


def test_index_of_another_version_is_refused(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(DataError, match="version 99; this ganforge reads version 1"):
        load_index(str(tmp_path))


def test_index_changed_by_hand_is_refused(dataset):
    path = Path(dataset) / "index.json"
    path.write_text(path.read_text().replace('"num_samples": 8', '"num_samples": 9', 1))
    with pytest.raises(DataError, match="its digest is .* Restore it"):
        load_index(dataset)


def test_index_with_unknown_key_is_refused(dataset):
    path = Path(dataset) / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra": 1}))
    with pytest.raises(DataError, match="is damaged: .*extra"):
        load_index(dataset)
