"""A pickle whose payload leaves a mark, given as every kind of file that ganforge reads."""

import contextlib
import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
import yaml
from data.conftest import write_dataset
from published import *  # noqa: F403  # an export

from ganforge.config.load import load_pipeline
from ganforge.data.inspect import inspect
from ganforge.data.shards.member_table import sidecar_path
from ganforge.data.shards.verify import verify_shards
from ganforge.errors import GanforgeError, explain
from ganforge.inference.pretrained import PretrainedGan
from ganforge.io.hashing import file_sha256
from ganforge.metrics.extractors import _load as load_inception
from ganforge.training.state import checkpoint as checkpoints
from ganforge.training.state.run_lock import lock_run_dir


class Payload:
    """Unpickling it writes a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.fixture
def mark(tmp_path):
    """The file that no test may find."""
    path = tmp_path / "mark"
    yield path
    assert not path.exists(), "the payload ran"


@pytest.fixture(params=["pickle", "numpy", "torch"])
def payload(request, mark):
    """The bytes of a file that holds the payload."""
    buffer = io.BytesIO()
    if request.param == "pickle":
        return pickle.dumps(Payload(mark))
    if request.param == "numpy":
        np.save(buffer, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    else:
        torch.save({"generator.x": Payload(mark)}, buffer)
    return buffer.getvalue()


def refuse(function, *arguments):
    """The call reports or refuses the file, and does not unpickle it."""
    with contextlib.suppress(GanforgeError):
        function(*arguments)


def test_payload_does_run_when_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "other"))).close()
    assert (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["1.png", "1.npy", "1.tif", "1", "dataset.json"])
def test_payload_in_a_folder_or_archive_is_not_run(tmp_path, payload, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(payload)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, payload)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "in" / name, name)
    for place in ("in", "a.zip", "a.tar"):
        refuse(inspect, str(tmp_path / place))


@pytest.mark.parametrize("suffix", ["zip", "tar", "csv", "jsonl", "mp4", "yaml", "idx3"])
def test_payload_as_a_whole_source_is_not_run(tmp_path, payload, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(payload)
    refuse(load_pipeline if suffix == "yaml" else inspect, str(path))


def test_payload_as_an_embedding_is_not_run(tmp_path, payload):
    (tmp_path / "1.npy").write_bytes(payload)
    (tmp_path / "m.csv").write_text("image,text\n1.npy,1.npy\n")
    refuse(inspect, str(tmp_path / "m.csv"))


def test_payload_in_shards_is_not_run(tmp_path, payload):
    folder = write_dataset(tmp_path / "shards", count=2)
    shard = tmp_path / "shards" / "main-000000.tar"
    for path in (sidecar_path(shard), shard, tmp_path / "shards" / "index.json"):
        path.write_bytes(payload)
        refuse(inspect, folder)
        refuse(verify_shards, folder)


def test_payload_in_an_export_is_not_run(exported, payload):
    for name in ("model.safetensors", "config.json"):
        (exported / name).write_bytes(payload)
        refuse(PretrainedGan.from_pretrained, exported)


def test_payload_in_a_checkpoint_is_not_run(tmp_path, payload):
    for name in ("networks.safetensors", "state.json", checkpoints.MANIFEST):
        (tmp_path / name).write_bytes(payload)
        if name != checkpoints.MANIFEST:
            manifest = {p.name: file_sha256(p) for p in tmp_path.glob("*.[sj]*")}
            (tmp_path / checkpoints.MANIFEST).write_text(json.dumps(manifest))
        refuse(checkpoints.verify, tmp_path)
        with contextlib.suppress(Exception):
            checkpoints.load(tmp_path)


def test_payload_as_weights_of_an_extractor_is_not_run(payload):
    refuse(load_inception, payload, "weights")


@pytest.mark.parametrize("tag", ["object/apply:builtins.open", "object/new:builtins.open"])
def test_yaml_tag_that_calls_a_function_is_not_run(tmp_path, mark, tag):
    path = tmp_path / "p.yaml"
    path.write_text(f"name: !!python/{tag} ['{mark}', w]\nmodel: {{architecture: dcgan}}\n")
    with pytest.raises(GanforgeError):
        load_pipeline(str(path))
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(path.read_text())


def test_name_that_is_too_long_is_one_message(tmp_path):
    for length in (300, 5000):
        with (
            pytest.raises((GanforgeError, OSError)) as caught,
            lock_run_dir(tmp_path / ("n" * length)),
        ):
            pass
        assert "too long" in explain(caught.value)


def test_links_in_a_circle_are_one_message(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError) as caught:
        (tmp_path / "a" / "config.yaml").read_text()
    assert "links lead in a circle" in explain(caught.value)
