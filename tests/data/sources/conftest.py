"""Folders and archives as they come from other people's machines."""

import io
import os
import tarfile
import zipfile

import pytest


@pytest.fixture
def unlistable(monkeypatch):
    """Makes a folder that may not be listed, whoever runs the tests."""

    def make(folder):
        folder.mkdir(parents=True, exist_ok=True)
        scandir = os.scandir

        def refuse(path="."):
            if path == folder or path == str(folder):
                raise PermissionError(13, "Permission denied", str(folder))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return make


@pytest.fixture
def make_zip(tmp_path):
    """Writes a zip of files by name."""

    def write(files, name="a.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, data in files.items():
                archive.writestr(member, data)
        return str(tmp_path / name)

    return write


@pytest.fixture
def make_tar(tmp_path):
    """Writes a tar of files by name, or of pairs where a name occurs twice."""

    def write(files, name="a.tar", mode="w"):
        with tarfile.open(tmp_path / name, mode) as tar:
            for member, data in files.items() if isinstance(files, dict) else files:
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return str(tmp_path / name)

    return write
