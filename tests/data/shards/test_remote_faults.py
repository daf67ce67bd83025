"""Shards from an HTTP server that is slow, loses files, or drops connections."""

import http.server
import threading
from pathlib import Path

import pytest

from ganforge.config.models import DataConfig
from ganforge.data.shards.index import load_index
from ganforge.errors import DataError, ShardError


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder; faults by file name are played one per request, from the last one on."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.faults, self.requests = Path(folder), {}, []
        self.released = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        self.server.requests.append(name)
        faults = self.server.faults.get(name, [])
        fault = faults.pop() if faults else None
        path = self.server.folder / name
        if fault == "missing" or not path.exists():
            return self.send_error(404)
        if fault == "unavailable":
            return self.send_error(503)
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault == "corrupt":
            data = data[:600] + bytes([data[600] ^ 1]) + data[601:]
        self.wfile.write(data[: len(data) // 2] if fault in ("dropped", "slow") else data)
        if fault == "slow":
            self.wfile.flush()
            self.server.released.wait(20)


@pytest.fixture
def server(dataset, monkeypatch):
    """Serves the data set; retries come at once, and a silent server is given up soon."""
    monkeypatch.setattr("ganforge.io.network.PAUSES_SEC", (0, 0, 0))
    monkeypatch.setattr("ganforge.io.network.TIMEOUT_SEC", 0.2)
    with Server(dataset) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def numbers(server, load, helpers, tmp_path):
    """The numbers of the images of an epoch, read over HTTP."""

    def read(**options):
        config = DataConfig(workers=0, cache_dir=str(tmp_path / "cache"), **options)
        ((batch,),) = load(server.url, 1, config, micro_batch=20)
        return helpers.number_of(batch["image"])

    return read


FAULTS = ["missing", "unavailable", "corrupt", "dropped", "slow"]


@pytest.mark.parametrize("fault", FAULTS)
def test_shard_that_fails_three_times_is_fetched_at_the_fourth(server, numbers, caplog, fault):
    server.faults["main-000001.tar"] = [fault] * 3
    assert sorted(numbers()) == [*range(20)]
    assert server.requests.count("main-000001.tar") == 4
    assert caplog.text.count("main-000001.tar") == 3 and "Trying again in 0 s" in caplog.text


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("missing", "the server answers 404"),
        ("corrupt", "has sha256"),
        ("dropped", r"has \d+ bytes, the index says"),
        ("slow", "timed out"),
    ],
)
def test_shard_that_always_fails_is_named(server, numbers, fault, text):
    server.faults["main-000001.tar"] = [fault] * 99
    with pytest.raises(ShardError, match=f"main-000001.tar: .*{text}.*tried 4 times"):
        numbers()


def test_shard_that_always_fails_is_skipped_and_counted(server, numbers, caplog):
    server.faults["main-000001.tar"] = ["missing"] * 99
    found = numbers(on_bad_sample="skip")
    # The samples 8 to 15 lie in that shard; the first 4 of the next one are used in their place.
    assert sorted(found) == sorted([*range(8), *range(16, 20), *[16, 17, 18, 19] * 2])
    assert caplog.text.count("Skipped bad sample") == 8
    assert server.requests.count("main-000001.tar") == 4


def test_skipped_samples_of_a_shard_that_fails_are_capped(server, numbers):
    server.faults["main-000001.tar"] = ["missing"] * 99
    with pytest.raises(DataError, match="More than data.max_bad_samples=7 .*main-000001.tar"):
        numbers(on_bad_sample="skip", max_bad_samples=7)


def test_index_is_fetched_again_only_if_the_server_is_at_fault(server):
    server.faults["index.json"] = ["unavailable", "dropped", "slow"]
    load_index(server.url)
    assert server.requests == ["index.json"] * 4
    (server.folder / "index.json").rename(server.folder / "moved.json")
    with pytest.raises(DataError, match=f"No index.json can be read at {server.url} .*404"):
        load_index(server.url)
    assert len(server.requests) == 5
    (server.folder / "moved.json").rename(server.folder / "index.json")
    server.faults["index.json"] = ["unavailable"] * 99
    with pytest.raises(DataError, match="the server answers 503"):
        load_index(server.url)


def test_endless_shard_is_refused_before_it_fills_the_disk(dataset, tmp_path, load, monkeypatch):
    monkeypatch.setattr("ganforge.io.network.PAUSES_SEC", ())
    (tmp_path / "fetch").write_text(f"case $1 in *.json) cat {dataset}/$1;; *) yes;; esac")
    config = DataConfig(workers=0, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ShardError, match=r"is longer than the \d+ bytes of the index"):
        load(f"pipe:sh {tmp_path}/fetch {{}}", 1, config)
