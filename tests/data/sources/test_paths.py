import pytest
from pydantic import TypeAdapter, ValidationError

from ganforge.data.sources.folders import FolderSource, UnpairedSource
from ganforge.data.sources.hf import HfSource
from ganforge.data.sources.idx import IdxSource
from ganforge.data.sources.manifest import ManifestSource
from ganforge.data.sources.paths import UserPath
from ganforge.data.sources.zip import ZipSource

PATH = TypeAdapter(UserPath)


def test_path_with_a_tilde_is_in_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert PATH.validate_python("~/photos") == "/home/me/photos"
    assert PATH.validate_python("./~/photos") == "./~/photos"
    assert PATH.validate_python("photos #1: ~") == "photos #1: ~"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (FolderSource, ["path"]),
        (UnpairedSource, ["source", "target"]),
        (ManifestSource, ["path", "root"]),
        (HfSource, ["path", "data_dir"]),
        (IdxSource, ["images", "labels"]),
        (ZipSource, ["path"]),
    ],
)
def test_every_source_expands_its_paths(monkeypatch, kind, options):
    monkeypatch.setenv("HOME", "/home/me")
    config = kind.Config(**dict.fromkeys(options, "~/x"))
    assert [getattr(config, option) for option in options] == ["/home/me/x"] * len(options)


@pytest.mark.parametrize("number", [2024, 1.5])
def test_path_that_is_a_number_in_yaml_is_refused_with_the_quotes_to_write(number):
    with pytest.raises(ValidationError, match=f"{number} is a number in YAML; write .*in quotes"):
        PATH.validate_python(number)


def test_path_that_is_true_in_yaml_is_refused_with_the_quotes_to_write():
    with pytest.raises(ValidationError, match="True is true or false in YAML; .* in quotes"):
        PATH.validate_python(True)


def test_path_of_a_file_address_is_the_file():
    assert PATH.validate_python("file:///data/my%20photos") == "/data/my photos"
    assert PATH.validate_python("file://localhost/data") == "/data"


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("", "is empty; name a file or folder"),
        (" ", "is empty; name a file or folder"),
        ("https://host/a.zip", "is the address https://host/a.zip; download it first"),
    ],
)
def test_path_that_names_no_local_file_is_refused(path, fault):
    with pytest.raises(ValidationError, match=fault):
        PATH.validate_python(path)
