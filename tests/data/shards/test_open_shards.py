"""How many shards and member tables a reader keeps."""

import os
import pickle

import pytest

from ganforge.data.shards import open_shards
from ganforge.data.shards.index import load_index
from ganforge.data.shards.open_shards import OpenShards
from ganforge.data.shards.shard_cache import ShardCache
from ganforge.errors import ShardError


@pytest.fixture
def shards_at(tmp_path):
    """The shards of a location, with a cache that holds one of them."""
    opened = []

    def make(location):
        cache = ShardCache(str(tmp_path / "cache"), 1)
        opened.append(OpenShards(location, load_index(location), cache))
        return opened[-1]

    yield make
    for shards in opened:
        shards.close()


def test_open_shards_closes_the_files_that_were_used_least_recently(
    dataset, shards_at, monkeypatch
):
    monkeypatch.setattr(open_shards, "_MAX_OPEN", 2)
    shards = shards_at(dataset)
    for number in (0, 1, 0, 2):
        shards.open("main", number)
    assert [number for _, number in shards._files] == [0, 2]
    shards.close()
    assert not shards._files


def test_open_shards_of_a_remote_location_keeps_one_file_and_all_tables(dataset, shards_at):
    shards = shards_at(f"pipe:cat {dataset}/{{}}")
    first, table = shards.open("main", 0)
    shards.open("main", 1)
    assert first.closed  # an evicted shard that is open would still use disk
    again, same = shards.open("main", 0)
    assert same is table
    header = os.pread(again.fileno(), 11, int(table.offset[0].min()) - 512)
    assert header == b"00000.image"


def test_open_shards_whose_tables_are_dropped_reads_them_again(dataset, shards_at, monkeypatch):
    monkeypatch.setattr(open_shards, "_MAX_TABLES", 1)
    shards = shards_at(dataset)
    _, first = shards.open("main", 0)
    shards.open("main", 1)
    _, again = shards.open("main", 0)
    assert again is not first and (again.offset == first.offset).all()
    assert list(shards._tables) == [("main", 0)] and len(shards._files) == 2


def test_open_shards_opens_a_shard_that_failed_only_once(dataset, shards_at, monkeypatch):
    calls = []

    def fail(*args):
        calls.append(args)
        raise ShardError("gone")

    monkeypatch.setattr(open_shards, "open_shard", fail)
    shards = shards_at(dataset)
    for _ in range(2):
        with pytest.raises(ShardError, match="gone"):
            shards.open("main", 0)
    assert len(calls) == 1


def test_open_shards_for_a_worker_process_holds_no_open_file(dataset, shards_at):
    shards = shards_at(dataset)
    shards.open("main", 0)
    assert not pickle.loads(pickle.dumps(shards))._files
