import pytest

from ganforge.data.sources.shard_urls import expand_shards, shard_names
from ganforge.errors import DataError


@pytest.fixture(autouse=True)
def shards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("x-10.tar", "x-9.tar", "y.tar.gz", "notes.txt", "._x-9.tar"):
        (tmp_path / "in" / name).touch()


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ("in/x-9.tar", ["in/x-9.tar"]),
        ("in/x-{9..10}.tar", ["in/x-9.tar", "in/x-10.tar"]),
        ("in/*.tar", ["in/x-9.tar", "in/x-10.tar"]),
        ("in/x-?.tar", ["in/x-9.tar"]),
        ("**/*.tar.gz", ["in/y.tar.gz"]),
        ("in", ["in/x-9.tar", "in/x-10.tar", "in/y.tar.gz"]),
        (["in/x-{9..9}.tar", "in/*.gz"], ["in/x-9.tar", "in/y.tar.gz"]),
        ("https://host/x-{0..1}.tar?a=*", ["https://host/x-0.tar?a=*", "https://host/x-1.tar?a=*"]),
        ("pipe:cat a.tar | gzip -d", ["pipe:cat a.tar | gzip -d"]),
        ("pipe:cat {a,b}.tar", ["pipe:cat a.tar", "pipe:cat b.tar"]),
        ("gone.tar", ["gone.tar"]),
    ],
)
def test_urls_stand_for_these_shards(urls, expected):
    assert expand_shards(urls) == expected


def test_tilde_in_urls_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "in"))
    assert expand_shards("~/x-9.tar") == [str(tmp_path / "in" / "x-9.tar")]


@pytest.mark.parametrize("name", ["a{1}.tar", "a[1].tar", "a*.tar", "a #1.tar", "a::b.tar", "7"])
def test_file_with_an_odd_name_stands_for_itself(tmp_path, name):
    (tmp_path / name).touch()
    assert expand_shards(name) == [name]


@pytest.mark.parametrize(
    ("urls", "text"),
    [
        ("gone/*.tar", r"no tar fits 'gone/\*.tar' \(looked in .*\). Correct the path or pattern"),
        ("a{1..2.tar", "cannot be expanded .*Correct the braces"),
        (["in/x-9.tar", "in/x-{9..10}.tar"], "names in/x-9.tar 2 times. Name it once"),
        ([], "names no tar"),
    ],
)
def test_urls_that_stand_for_nothing_say_so(urls, text):
    with pytest.raises(DataError, match=text):
        expand_shards(urls)


def test_shard_names_are_short_where_they_differ():
    assert shard_names(["a/1.tar", "b/2.tar"]) == {"a/1.tar": "1.tar", "b/2.tar": "2.tar"}
    same = ["a/1.tar", "b/1.tar", "c.tar"]
    assert shard_names(same) == {"a/1.tar": "a/1.tar", "b/1.tar": "b/1.tar", "c.tar": "c.tar"}
