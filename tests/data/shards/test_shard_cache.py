import multiprocessing
import os
import random
import shutil
import threading
import time
import types
import zlib
from pathlib import Path

import pytest
from filelock import FileLock

from ganforge.config.models import DataConfig
from ganforge.data.shards.index import load_index
from ganforge.data.shards.locations import join_location
from ganforge.data.shards.member_table import load_members
from ganforge.data.shards.open_shards import OpenShards
from ganforge.data.shards.shard_cache import ShardCache, open_shard, warn_of_small_cache
from ganforge.data.shards.verify import verify_shards
from ganforge.errors import DataError, ShardError
from ganforge.io.hashing import file_sha256


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No pauses before retries."""
    monkeypatch.setattr("ganforge.io.network.PAUSES_SEC", (0, 0, 0))


@pytest.fixture
def pipe(dataset):
    """The data set as a location that is read through a command."""
    return f"pipe:cat {dataset}/{{}}"


@pytest.fixture
def sums(load):
    """Sums of the batches of a location, read with a cache."""

    def read(location, cache, **options):
        config = DataConfig(workers=0, cache_dir=str(cache), **options)
        steps = load(location, 3, config, micro_batch=20)
        return [batch["image"].sum().item() for (batch,) in steps]

    return read


def shards_of(location):
    return load_index(location).streams["main"]


def kept(cache):
    return {path.stem for path in cache.glob("[!.]*.tar")}


def test_local_shard_is_opened_in_place(dataset, tmp_path):
    info = shards_of(dataset)[0]
    path, file = open_shard(dataset, info, ShardCache(str(tmp_path / "cache"), 1))
    with file:
        assert path == Path(dataset) / info.name
        assert file.read() == path.read_bytes()
    assert not (tmp_path / "cache").exists()


def test_remote_shards_give_the_batches_of_local_ones(dataset, pipe, tmp_path, sums):
    cache = tmp_path / "cache"
    assert sums(pipe, cache) == sums(dataset, tmp_path)
    assert kept(cache) == {shard.sha256 for shard in shards_of(dataset)}
    for path in cache.glob("*.tar"):
        assert file_sha256(path) == path.stem


def test_cached_shards_are_not_fetched_again(dataset, pipe, tmp_path, sums):
    first = sums(pipe, tmp_path / "cache")
    for path in Path(dataset).glob("*.tar"):
        path.unlink()
    assert sums(pipe, tmp_path / "cache") == first


def test_default_cache_is_a_folder_of_this_machine(monkeypatch):
    monkeypatch.setenv("SLURM_TMPDIR", "/local/job7")
    assert ShardCache(None, 1).folder == Path("/local/job7/ganforge/shards")


def test_default_cache_that_belongs_to_another_user_is_refused(
    dataset, pipe, monkeypatch, tmp_path
):
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "job"))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    info = shards_of(dataset)[0]
    with pytest.raises(DataError, match="belongs to another user .*Set data.cache_dir"):
        ShardCache(None, 1).open(join_location(pipe, info.name), info)


def test_small_cache_of_remote_shards_is_warned_of_by_rank_0_alone(
    dataset, pipe, tmp_path, load, caplog
):
    total = sum(shard.num_bytes for shard in shards_of(dataset))
    for location, limit, ranks, warned in (
        (pipe, total - 1, range(1), True),
        (pipe, total - 1, range(1, 2), False),
        (pipe, total, range(1), False),
        (dataset, 1, range(1), False),
    ):
        caplog.clear()
        config = DataConfig(workers=0, cache_dir=str(tmp_path / "cache"), cache_bytes=limit)
        load(location, 1, config, num_slots=2, local_slots=ranks)
        assert (f"Set data.cache_bytes={total}" in caplog.text) is warned


def test_cache_larger_than_its_disk_is_warned_of(dataset, pipe, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(total=1000))
    config = DataConfig(cache_dir=str(tmp_path / "not" / "yet"))
    warn_of_small_cache(config, pipe, load_index(dataset))
    assert "its disk has 0.00 GB. Set data.cache_dir" in caplog.text


def test_cache_drops_the_least_recently_used_beyond_its_limit(dataset, pipe, tmp_path, sums):
    cache = tmp_path / "cache"
    size = max(shard.num_bytes for shard in shards_of(dataset))
    assert sums(pipe, cache, cache_bytes=2 * size) == sums(dataset, tmp_path)
    assert sum(path.stat().st_size for path in cache.glob("*.tar")) <= 2 * size
    names = {path.name.split(".")[0] for path in cache.iterdir() if path.suffix != ".lock"}
    assert names == kept(cache)


def test_cache_keeps_what_was_opened_last(dataset, pipe, tmp_path):
    first, second, third = shards_of(dataset)
    cache = ShardCache(str(tmp_path), first.num_bytes + second.num_bytes)
    for age, info in enumerate((first, second)):
        cache.open(join_location(pipe, info.name), info).close()
        os.utime(cache.path(info), (1000 + age, 1000 + age))
    cache.open(join_location(pipe, first.name), first).close()
    cache.open(join_location(pipe, third.name), third).close()
    assert kept(tmp_path) == {first.sha256, third.sha256}


def test_shard_larger_than_the_limit_is_kept_alone(dataset, pipe, tmp_path):
    cache = ShardCache(str(tmp_path), 1)
    for info in shards_of(dataset):
        with cache.open(join_location(pipe, info.name), info) as file:
            assert len(file.read()) == info.num_bytes
        assert kept(tmp_path) == {info.sha256}


def test_evicted_shard_stays_readable_where_it_is_open(dataset, pipe, tmp_path):
    cache = ShardCache(str(tmp_path), 1)
    first, second, _ = shards_of(dataset)
    with cache.open(join_location(pipe, first.name), first) as file:
        cache.open(join_location(pipe, second.name), second).close()
        assert not cache.path(first).exists()
        table = load_members(cache.path(first), file, first, ("image", "label"))
        assert len(table) == first.num_samples


@pytest.mark.parametrize(("age", "stays"), [(10, True), (7200, False)])
def test_partial_files_count_and_only_abandoned_ones_are_deleted(
    dataset, pipe, tmp_path, age, stays
):
    info = shards_of(dataset)[0]
    partial = tmp_path / ".other-0123abcd.tar"
    partial.write_bytes(b"x" * 1000)
    os.utime(partial, (time.time() - age,) * 2)
    cache = ShardCache(str(tmp_path), info.num_bytes)
    cache.open(join_location(pipe, info.name), info).close()
    assert partial.exists() is stays


def test_cache_fetches_once_for_many_readers(dataset, pipe, tmp_path, monkeypatch):
    shard = shards_of(dataset)[0]
    cache = ShardCache(str(tmp_path / "cache"), 10**9)
    calls = []
    fetch = cache._fetch
    monkeypatch.setattr(cache, "_fetch", lambda *args: (calls.append(args), fetch(*args))[1])
    url = join_location(pipe, shard.name)
    threads = [threading.Thread(target=cache.open, args=(url, shard)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def open_often(location, disk, limit, count, seed):
    """Open random shards, as a worker of a loader does; write down what goes wrong."""
    cache = ShardCache(str(disk / "cache"), limit)
    shards = OpenShards(f"pipe:cat {location}/{{}}", load_index(location), cache)
    draw = random.Random(seed)
    errors = []
    for _ in range(count):
        try:
            file, table = shards.open("main", draw.randrange(8))
            offset, size = int(table.offset[-1, 0]), int(table.size[-1, 0])
            assert zlib.crc32(os.pread(file.fileno(), size, offset)) == table.crc[-1, 0]
        except Exception as err:  # noqa: BLE001  # every error is a finding
            errors.append(repr(err))
        with FileLock(disk / "cache" / "evict.lock"):
            sizes = [path.stat().st_size for path in (disk / "cache").glob("[!.]*.tar")]
        if sum(sizes) > limit:
            errors.append(f"{sum(sizes)} bytes in a cache of {limit}")
    (Path(location) / f"{seed}.txt").write_text("\n".join(errors))


def test_four_processes_with_a_cache_of_three_shards_never_fail(tmp_path, helpers, request):
    location = helpers.write_dataset(
        tmp_path / "shards", count=32, per_shard=4, size=96, extension="bmp"
    )
    shard = max(info.num_bytes for info in shards_of(location))
    # The limit, one shard per process, and a page for each of the 8 member tables.
    size = 7 * shard + 8 * 4096
    disk = request.getfixturevalue("small_disk")(size) if os.geteuid() == 0 else tmp_path
    # By hand 2000.
    count = int(os.environ.get("GANFORGE_TEST_OPENS", "25"))
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=open_often, args=(location, disk, 3 * shard, count, seed))
        for seed in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [(Path(location) / f"{seed}.txt").read_text() for seed in range(4)] == [""] * 4


def test_remote_shard_of_another_content_is_refused_and_not_kept(dataset, pipe, tmp_path, sums):
    path = Path(dataset) / "main-000001.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match="main-000001.tar: has sha256 .*tried 4 times.*upload it"):
        sums(pipe, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob(".*"))
    assert len(kept(tmp_path / "cache")) <= 2


def test_remote_shard_cut_short_is_refused(dataset, pipe, tmp_path, sums):
    path = Path(dataset) / "main-000001.tar"
    path.write_bytes(path.read_bytes()[:-512])
    with pytest.raises(ShardError, match=r"main-000001.tar: has \d+ bytes, the index says \d+"):
        sums(pipe, tmp_path / "cache")


def test_remote_shard_that_is_missing_names_url_and_remedy(dataset, pipe, tmp_path, sums):
    (Path(dataset) / "main-000001.tar").unlink()
    with pytest.raises(ShardError, match=r"main-000001.tar: .*Check the connection"):
        sums(pipe, tmp_path / "cache")


def test_cache_that_cannot_be_written_names_the_option(dataset, pipe, tmp_path, sums):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be kept in the cache .*Set data.cache_dir"):
        sums(pipe, tmp_path / "file" / "cache")


def test_cache_on_a_full_disk_names_the_option(dataset, pipe, small_disk):
    info = shards_of(dataset)[0]
    disk = small_disk("4k")
    cache = ShardCache(str(disk / "cache"), 10**9)
    with pytest.raises(DataError, match="No space left .*Set data.cache_dir to a writable"):
        cache.open(join_location(pipe, info.name), info)
    assert kept(disk / "cache") == set()


def test_verify_of_remote_shards_reads_every_byte(dataset, pipe):
    assert verify_shards(pipe).is_sound
    path = Path(dataset) / "main-000002.tar"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    (problem,) = verify_shards(pipe).problems
    assert "main-000002.tar: has sha256" in problem
    assert verify_shards(pipe, hashes=False).is_sound


@pytest.mark.parametrize(
    ("damage", "text"), [("absent", "cannot be read: OSError"), ("empty", "is empty")]
)
def test_verify_of_remote_shards_without_hashes_opens_each(dataset, pipe, damage, text):
    path = Path(dataset) / "main-000002.tar"
    path.unlink()
    if damage == "empty":
        path.touch()
    (problem,) = verify_shards(pipe, hashes=False).problems
    assert f"main-000002.tar: {text}" in problem
