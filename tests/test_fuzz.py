"""Files that other people wrote, changed in every way: only a `GanforgeError` comes out."""

import json
import shutil

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from properties import changed, damaged, examples, json_files
from published import *  # noqa: F403  # a model to read back

from ganforge.config.dump import dump_config
from ganforge.config.load import load_pipeline
from ganforge.data.inspect import inspect
from ganforge.data.keypoints import read_poses
from ganforge.data.shards.index import load_index
from ganforge.errors import GanforgeError
from ganforge.hub.format import read_info
from ganforge.inference.loading import build_architecture
from ganforge.registry.components import resolve
from ganforge.registry.plugins import get_registry

PIPELINE = {
    "name": "fuzz",
    "stages": ["prepare", "train", "evaluate", "publish"],
    "data": {
        "source": {"name": "folder", "path": "photos", "labels": True},
        "resolution": [16, 16],
        "channels": 3,
        "crop": {"size": 16, "from": 18},
        "fields": {"boxes": {"kind": "vector", "coordinates": "xyxy"}},
        "validation": {"num_samples": 2},
    },
    "model": {"architecture": "dcgan", "z_dim": 8, "base_channels": 4},
    "loss": {"name": "nonsaturating", "regularizers": [{"name": "r1", "gamma": 1.0, "every": 4}]},
    "train": {"total_kimg": 1, "batch_size": 8, "sample_grid": [2, 2], "trackers": []},
    "evaluate": {"metrics": ["fid"], "num_images": 16},
    "publish": {"repo_id": "org/name", "private": True},
}
PIPELINES = changed(PIPELINE).map(lambda made: yaml.safe_dump(made).encode())
MANIFEST = [
    {
        "image": "1.png",
        "label": "cat",
        "caption": ["a", "b"],
        "box": [1, 2, 3, 4],
        "attributes": [1],
    },
    {"image": "2.png", "label": "dog", "caption": ["c"], "box": [4, 3, 2, 1], "attributes": [0]},
]
TABLE = 'image,label,caption,attributes\n1.png,cat,"a, b",1 0\n2.png,dog,c,[0;1]\n'


# A further kind of JSON file takes a line here, and one in `samples`.
READERS = {
    "config.json": lambda folder: build_architecture(read_info(folder, "m"), "m"),
}


@pytest.fixture
def samples(exported):
    """A sound file for each reader, as values."""
    return {
        "config.json": json.loads((exported / "config.json").read_text()),
    }


def run(function):
    """Whether it went well; a `GanforgeError` must have a text."""
    try:
        function()
    except GanforgeError as err:
        assert len(str(err)) > 20
        return False
    return True


@examples(15)
@given(data=PIPELINES | damaged(yaml.safe_dump(PIPELINE)))
def test_fuzzed_pipeline_file_is_read_or_refused(tmp_path, data):
    path = tmp_path / "p.yaml"
    path.write_bytes(data)

    def read():
        config = load_pipeline(str(path), (), get_registry().options_model)
        resolve(config)
        dump_config(config)

    run(read)


@examples(10)
@given(
    key=st.sampled_from(("name", "data.source.path", "train.total_kimg", "x", "stages")),
    text=st.text(max_size=20),
)
def test_fuzzed_override_is_applied_or_refused(tmp_path, key, text):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(PIPELINE))
    run(lambda: load_pipeline(str(path), [f"{key}={text}"], get_registry().options_model))


@examples(40)
@given(data=st.data())
def test_fuzzed_index_is_read_or_refused(tmp_path_factory, shards, data):
    folder = tmp_path_factory.mktemp("fuzz") / "shards"
    shutil.copytree(shards, folder)
    content = json.loads((folder / "index.json").read_text())
    made = data.draw(json_files(content))
    (folder / "index.json").write_bytes(made)
    run(lambda: sign(folder))
    if run(lambda: load_index(str(folder))):
        run(lambda: inspect(str(folder)))
    shutil.rmtree(folder)


def sign(folder):
    """Give a changed index the digest of its content, so that it is looked at closely."""
    from ganforge.data.shards.index import DatasetIndex

    try:
        index = DatasetIndex.model_validate_json((folder / "index.json").read_bytes())
        digest = index.content_digest()
    except Exception:  # noqa: BLE001  # it is refused as it is
        return
    signed = index.model_copy(update={"digest": digest})
    (folder / "index.json").write_text(signed.to_json())


@examples(40)
@given(name=st.sampled_from(sorted(READERS)), data=st.data())
def test_fuzzed_json_file_is_read_or_refused(tmp_path_factory, samples, name, data):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / name).write_bytes(data.draw(json_files(samples[name])))
    run(lambda: READERS[name](folder))
    shutil.rmtree(folder)


@examples(40)
@given(name=st.sampled_from(("m.jsonl", "m.csv")), data=st.data())
def test_fuzzed_manifest_is_read_or_refused(tmp_path, name, data):
    rows = changed(MANIFEST).map(lambda made: "\n".join(map(json.dumps, made)).encode())
    table = damaged(TABLE)
    (tmp_path / name).write_bytes(data.draw(table if name == "m.csv" else rows | damaged(JSONL)))
    run(lambda: inspect(str(tmp_path / name)))


PERSON = {"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}
KEYPOINTS = (
    {"version": 1.3, "people": [PERSON, PERSON]},
    [{"image_id": n, "category_id": 1, "keypoints": [1, 2, 1] * 17} for n in range(3)],
    {
        "images": [{"id": n, "height": 9, "width": 9} for n in range(2)],
        "annotations": [{"image_id": 1, "keypoints": [1, 2, 1] * 17}],
    },
)


@examples(20)
@given(data=st.data())
def test_fuzzed_keypoints_are_read_or_refused(tmp_path, data):
    content = data.draw(st.sampled_from(KEYPOINTS))
    path = tmp_path / "clip.json"
    path.write_bytes(data.draw(json_files(content)))

    def read():
        poses = read_poses(path)
        assert np.isfinite(poses.points).all() and poses.points.any()

    run(read)


JSONL = "\n".join(map(json.dumps, MANIFEST))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A prepared data set with labels."""
    from preparing import config, save
    from preparing import run as prepare

    folder = tmp_path_factory.mktemp("shards")
    for number in range(6):
        save(
            folder / "in" / "ab"[number % 2] / f"{number}.png", np.full((8, 8, 3), number, np.uint8)
        )
    prepare(config(str(folder / "in")), folder / "out")
    return folder / "out"


@pytest.mark.parametrize("nest", ["[", '{"a":'])
def test_absurdly_nested_file_is_refused(tmp_path, nest):
    readers = {
        "p.yaml": load_pipeline,
        "index.json": lambda path: load_index(str(tmp_path)),
        "config.json": lambda path: read_info(tmp_path, "m"),
        "m.jsonl": inspect,
    }
    for name, read in readers.items():
        (tmp_path / name).write_text(nest * 5_000)
        with pytest.raises(GanforgeError):
            read(str(tmp_path / name))
