import pytest

from ganforge.config import find
from ganforge.config.find import find_pipeline, packaged_pipelines


def test_missing_file_lists_near_and_packaged_names(write, error_of, monkeypatch, tmp_path):
    monkeypatch.setattr(find, "packaged_pipelines", lambda: {"quickstart": tmp_path})

    assert "Did you mean base.yaml?" in error_of("bsae.yaml")
    assert "Did you mean quickstart?" in error_of("quickstrt")
    assert "packaged name: quickstart." in error_of("nothing-like-it")


def test_folder_in_place_of_a_file_is_refused(write, error_of, tmp_path):
    write("a.yaml", "name: a")
    message = error_of(str(tmp_path))
    assert f"ganforge new {tmp_path}" in message
    assert "a.yaml" in message


@pytest.mark.parametrize("suffix", ["", ".yaml"])
def test_packaged_pipeline_is_found_by_name(monkeypatch, tmp_path, suffix):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "a.yaml"
    monkeypatch.setattr(find, "packaged_pipelines", lambda: {"quick/a": file})

    assert find_pipeline(f"quick/a{suffix}") == file


def test_packaged_pipelines_are_found_in_package_and_checkout(monkeypatch, tmp_path):
    for folder in ("pkg/pipelines/quick", "pipelines"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pkg/pipelines/quick/a.yaml").touch()
    (tmp_path / "pipelines/b.yml").touch()
    monkeypatch.setattr(find, "__file__", str(tmp_path / "pkg" / "config" / "load.py"))

    assert set(packaged_pipelines()) == {"quick/a"}
    (tmp_path / "pyproject.toml").touch()
    assert set(packaged_pipelines()) == {"quick/a", "b"}
