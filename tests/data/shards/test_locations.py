import pytest

from ganforge.data.shards.index import load_index
from ganforge.data.shards.locations import check_start, is_remote, join_location, read_bytes
from ganforge.errors import DataError, ShardError


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


def test_file_url_is_read_like_a_folder(dataset):
    assert load_index(f"file://{dataset}").digest == load_index(dataset).digest


def test_failed_pipe_is_an_os_error():
    with pytest.raises(OSError):
        read_bytes("pipe:false")


def test_check_start_accepts_a_pipe_that_it_leaves_early():
    check_start("pipe:head -c 1000000 /dev/zero")


@pytest.mark.parametrize(
    ("url", "text"), [("pipe:false", "cannot be read: OSError"), ("pipe:true", "is empty")]
)
def test_check_start_names_url_and_fault(url, text):
    with pytest.raises(ShardError, match=f"Shard {url}: {text}"):
        check_start(url)


def test_remote_location_with_missing_certificates_names_the_variable(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")

    def refuse(*args, **kwargs):
        raise FileNotFoundError(2, "No such file or directory")  # what the client says

    monkeypatch.setattr("webdataset.gopen", refuse)
    with pytest.raises(DataError, match="SSL_CERT_FILE names /nonexistent"):
        load_index("hf://datasets/o/n")
