import functools
import http.server
import itertools
import shutil
import threading
from pathlib import Path

import pytest

from ganforge.config.models import DataConfig
from ganforge.data.loader import SlotLoader
from ganforge.data.shards.index import load_index
from ganforge.data.shards.locations import (
    ShardCache,
    default_cache_dir,
    is_remote,
    join_location,
    read_bytes,
)
from ganforge.data.shards.verify import verify_shards
from ganforge.errors import DataError, ShardError
from ganforge.io.hashing import file_sha256


def batches(location, cache, steps=3, **options):
    loader = SlotLoader(
        DataConfig(workers=0, cache_dir=str(cache), **options),
        location,
        fields=["image", "label"],
        seed=0,
        num_slots=1,
        local_slots=range(1),
        micro_batch=20,
    )
    found = [step[0]["image"].sum().item() for step in itertools.islice(iter(loader), steps)]
    loader.close()
    return found


@pytest.fixture
def pipe(dataset):
    """The data set as a location that is read through a command."""
    return f"pipe:cat {dataset}/{{}}"


@pytest.mark.parametrize(
    ("location", "joined", "remote"),
    [
        ("a/b", "a/b/x.tar", False),
        ("a/b/", "a/b/x.tar", False),
        ("/", "/x.tar", False),
        ("file:///a", "/a/x.tar", False),
        ("file:a", "a/x.tar", False),
        ("https://h/a/", "https://h/a/x.tar", True),
        ("hf://datasets/o/n", "hf://datasets/o/n/x.tar", True),
        ("pipe:get s3://b/{} -", "pipe:get s3://b/x.tar -", True),
    ],
)
def test_location_of_each_kind_is_joined(location, joined, remote):
    assert join_location(location, "x.tar") == joined
    assert is_remote(location) is remote


def test_file_url_is_read_like_a_folder(dataset, tmp_path):
    assert load_index(f"file://{dataset}").digest == load_index(dataset).digest
    assert batches(f"file://{dataset}", tmp_path) == batches(dataset, tmp_path)


def test_remote_shards_give_the_batches_of_local_ones(dataset, pipe, tmp_path):
    cache = tmp_path / "cache"
    assert batches(pipe, cache) == batches(dataset, tmp_path)
    hashes = {shard.sha256 for shard in load_index(dataset).streams["main"]}
    assert {path.stem for path in cache.glob("*.tar")} == hashes
    for path in cache.glob("*.tar"):
        assert file_sha256(path) == path.stem


def test_cached_shards_are_not_fetched_again(dataset, pipe, tmp_path):
    first = batches(pipe, tmp_path / "cache")
    for path in Path(dataset).glob("*.tar"):
        path.unlink()
    assert batches(pipe, tmp_path / "cache") == first


def test_shards_over_http_are_read_through_webdataset(dataset, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("webdataset reads http through curl, which is not installed")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=dataset)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert batches(url, tmp_path / "cache") == batches(dataset, tmp_path)
        with pytest.raises(DataError, match=f"No index.json can be read at {url}/gone"):
            load_index(f"{url}/gone")
        server.shutdown()


def test_cache_drops_the_least_recently_used_beyond_its_limit(dataset, pipe, tmp_path):
    cache = tmp_path / "cache"
    size = max(shard.num_bytes for shard in load_index(dataset).streams["main"])
    assert batches(pipe, cache, cache_bytes=2 * size) == batches(dataset, tmp_path)
    assert sum(path.stat().st_size for path in cache.glob("*.tar")) <= 2 * size
    names = {path.name.split(".")[0] for path in cache.iterdir()}
    assert names == {path.stem for path in cache.glob("*.tar")}


def test_remote_shard_of_another_content_is_refused_and_not_kept(dataset, pipe, tmp_path):
    path = Path(dataset) / "main-000001.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match="main-000001.tar: has sha256 .*tried 3 times.*upload it"):
        batches(pipe, tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("*.part"))) == 0
    assert len(list((tmp_path / "cache").glob("*.tar"))) <= 2


def test_remote_shard_cut_short_is_refused(dataset, pipe, tmp_path):
    path = Path(dataset) / "main-000001.tar"
    path.write_bytes(path.read_bytes()[:-512])
    with pytest.raises(ShardError, match=r"main-000001.tar: has \d+ bytes, the index says \d+"):
        batches(pipe, tmp_path / "cache")


def test_remote_shard_that_is_missing_names_url_and_remedy(dataset, pipe, tmp_path):
    (Path(dataset) / "main-000001.tar").unlink()
    with pytest.raises(ShardError, match=r"main-000001.tar: .*Check the connection"):
        batches(pipe, tmp_path / "cache")


def test_cache_that_cannot_be_written_names_the_option(dataset, pipe, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ShardError, match="cannot be kept in the cache .*Set data.cache_dir"):
        batches(pipe, tmp_path / "file" / "cache")


def test_failed_pipe_is_an_os_error():
    with pytest.raises(OSError):
        read_bytes("pipe:false")


def test_default_cache_follows_the_desktop_standard(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_dir() == Path("/somewhere/ganforge/shards")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache/ganforge/shards"


def test_cache_fetches_once_for_many_readers(dataset, pipe, tmp_path, monkeypatch):
    shard = load_index(dataset).streams["main"][0]
    cache = ShardCache(tmp_path / "cache", 10**9)
    calls = []
    fetch = cache._fetch
    monkeypatch.setattr(cache, "_fetch", lambda *args: (calls.append(args), fetch(*args)))
    url = join_location(pipe, shard.name)
    threads = [
        threading.Thread(target=cache.path, args=(url, shard.sha256, shard.num_bytes))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


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
