import json
import os
import shutil
import signal
from pathlib import Path

from ganforge.hub import push


def test_publish_pushes_the_export_of_a_run(ganforge, monkeypatch):
    received = {}

    def push_folder(folder, repo_id, **options):
        received.update(folder=str(folder), repo_id=repo_id, **options)
        return push.PushResult("https://hub/org/name", "c" * 40)

    monkeypatch.setattr("ganforge.hub.push.push_folder", push_folder)
    Path("run/export").mkdir(parents=True)

    output = ganforge("publish", "run", "org/name", "--private").stdout

    assert output == "Published at https://hub/org/name (cccccccccccc).\n"
    assert (received["folder"], received["repo_id"], received["private"]) == (
        "run/export",
        "org/name",
        True,
    )
    printed = json.loads(ganforge("publish", "run", "org/name", "--json").stdout)
    assert printed == {"url": "https://hub/org/name", "commit": "c" * 40}


def test_publish_of_what_is_no_export_is_refused(ganforge, tmp_path):
    (tmp_path / "other").mkdir()

    assert "config.json" in ganforge("publish", "other", "org/name", code=2).stderr


def test_pull_that_is_stopped_leaves_no_half_file_and_can_be_repeated(
    ganforge, dcgan, tmp_path, monkeypatch
):
    def stopped(source, target):
        Path(target).write_bytes(Path(source).read_bytes()[:10])
        if "safetensors" in str(source):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", stopped)
        assert ganforge("pull", dcgan, "--out", "copy", code=143).stderr == "Stopped by SIGTERM.\n"
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names < {path.name for path in dcgan.iterdir()} - {"model.safetensors"}
    ganforge("pull", dcgan, "--out", "copy")
    for path in dcgan.iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()


def test_pull_of_a_folder_copies_it(ganforge, dcgan, tmp_path):
    printed = json.loads(ganforge("pull", dcgan, "--out", "copy", "--json").stdout)

    assert printed == {"path": "copy"}
    assert (tmp_path / "copy" / "model.safetensors").is_file()
    assert ganforge("pull", dcgan).stdout.strip() == str(dcgan)
