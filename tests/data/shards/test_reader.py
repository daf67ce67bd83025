from pathlib import Path

import numpy as np
import pytest

from ganforge.config.models import DataConfig
from ganforge.data.shards.index import load_index
from ganforge.data.shards.reader import SampleReader
from ganforge.errors import DataError, ShardError


def test_reader_of_an_unknown_field_lists_the_known(dataset, load):
    with pytest.raises(DataError, match="'images' is needed.*Did you mean 'image'"):
        load(dataset, 1, fields=["images"])


def test_reader_of_labels_that_are_absent_says_so_at_once(tmp_path, helpers, load):
    location = helpers.write_dataset(tmp_path / "plain", classes=0)
    with pytest.raises(DataError, match=r"Labels are needed.*plain has none.*use_labels: false"):
        load(location, fields=["label"])


def test_reader_of_missing_shards_counts_and_names_them(dataset, load):
    (Path(dataset) / "main-000001.tar").unlink()
    with pytest.raises(ShardError, match="1 of 3 shards are missing at .*main-000001.tar"):
        load(dataset, 1)


@pytest.mark.parametrize("change", [lambda d: d[:-512], lambda d: d + b"\0" * 512, lambda d: b""])
def test_reader_of_a_shard_of_another_length_is_refused(dataset, change, load):
    path = Path(dataset) / "main-000002.tar"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ShardError, match=r"main-000002.tar has \d+ bytes, the index says \d+"):
        load(dataset, 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_reader_of_changed_bytes_names_shard_key_and_remedy(dataset, helpers, workers, load):
    helpers.damage(dataset, 10)
    with pytest.raises(
        ShardError,
        match=r"^Sample '00010' \(number 2\) of shard .*main-000001.tar: field 'image' has changed "
        r"since the shard was written.*on_bad_sample: skip",
    ):
        load(dataset, config=DataConfig(workers=workers), micro_batch=20)


def spoil(path):
    """Change all images of a shard."""
    path.write_bytes(path.read_bytes().replace(b"IDAT", b"iDAT"))


def test_reader_that_skips_replaces_a_wholly_bad_shard_by_the_next(tmp_path, helpers):
    location = helpers.write_dataset(tmp_path / "shards", count=6, per_shard=2)
    spoil(Path(location) / "main-000002.tar")
    reader = SampleReader(DataConfig(on_bad_sample="skip"), location, load_index(location))
    values, bad = reader.batch("main", np.array([[2, 1], [1, 0]]), ["image"])
    assert helpers.number_of(values["image"]) == [1, 2]
    assert [message.split(" of shard")[0] for message in bad] == [
        "Sample '00005' (number 1)",
        "Sample '00004' (number 0)",
    ]
    reader.close()


def test_reader_that_skips_stops_when_all_neighbors_are_bad_too(tmp_path, helpers, load):
    location = helpers.write_dataset(tmp_path / "shards", count=4, per_shard=2)
    for path in Path(location).glob("*.tar"):
        spoil(path)
    with pytest.raises(ShardError, match="and so are all samples of 2 shards"):
        load(location, 4, config=DataConfig(workers=0, on_bad_sample="skip"))


def test_reader_gives_the_samples_asked_for_in_their_order(dataset, helpers):
    reader = SampleReader(DataConfig(), dataset, load_index(dataset))
    values, bad = reader.batch("main", np.array([[2, 3], [0, 0], [1, 7]]), ["image", "label"])
    assert helpers.number_of(values["image"]) == [19, 0, 15]
    assert values["label"].tolist() == [3, 0, 3]
    assert bad == []
    reader.close()
