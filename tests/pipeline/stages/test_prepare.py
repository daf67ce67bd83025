"""The `prepare` stage: what it makes, what it finds made, and what it refuses to reuse."""

import signal

import numpy as np
import pytest
import yaml
from PIL import Image

from ganforge.data.shards.index import load_index
from ganforge.errors import DataError, RunStopped
from ganforge.pipeline.run import run_pipeline
from ganforge.pipeline.session import _runtime
from ganforge.pipeline.stages import prepare as stage

TINY = ["train.trackers=[]", "stages=[prepare]"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    _runtime.cache_clear()  # a run that failed in another test leaves its own
    monkeypatch.chdir(tmp_path)
    for folder in ("images", "more", "x", "y"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            pixels = np.full((8, 8, 3), number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    return tmp_path


def write(here, architecture="dcgan", **data):
    """A pipeline file, which is then run."""
    data = {"source": {"name": "folder", "path": "images"}, "resolution": 8} | data
    pipeline = {"name": "own", "data": data, "model": {"architecture": architecture}}
    (here / "own.yaml").write_text(yaml.safe_dump(pipeline))
    run_pipeline("own.yaml", TINY)


def count(here, name):
    return load_index(str(here / "runs" / "own" / name)).num_samples()


def test_prepare_holds_out_validation_data_and_is_done_then(here, caplog):
    for _ in range(2):
        write(here, validation={"num_samples": 2})
    assert (count(here, "shards"), count(here, "validation")) == (4, 2)


def test_prepare_writes_validation_data_of_another_source(here):
    write(here, validation={"source": {"name": "folder", "path": "more"}})
    assert (count(here, "shards"), count(here, "validation")) == (6, 6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_prepare_stopped_between_two_data_sets_goes_on_with_the_second(here, monkeypatch, number):
    validation = {"source": {"name": "folder", "path": "more"}}
    with monkeypatch.context() as patch:
        patch.setattr(stage, "prepare_validation", lambda *given: signal.raise_signal(number))
        with pytest.raises(RunStopped, match="during prepare. Run the same command"):
            write(here, validation=validation)
    shards = here / "runs" / "own" / "shards"
    before = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    assert before and not (here / "runs" / "own" / "validation").exists()
    write(here, validation=validation)
    assert {path: path.stat().st_mtime_ns for path in shards.iterdir()} == before
    made = here / "runs" / "own"
    made.rename(here / "stopped")
    write(here, validation=validation)
    for name in ("shards", "validation"):
        for path in sorted((made / name).iterdir()):
            assert path.read_bytes() == (here / "stopped" / name / path.name).read_bytes()


def test_prepare_adds_validation_data_to_shards_that_are_there(here):
    write(here)
    write(here, validation={"source": {"name": "folder", "path": "more"}})
    assert count(here, "validation") == 6


def test_prepare_adds_validation_data_to_shards_of_others(here):
    write(here)
    shards = str(here / "runs" / "own" / "shards")
    more = {"source": {"name": "folder", "path": "more"}}
    write(here, source=None, shards=shards, validation=more)
    assert count(here, "validation") == 6


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        ({}, {"validation": {"num_samples": 1}}, "data.validation.num_samples was None and is 1"),
        ({}, {"fields": {"image": {"channels": 1}}}, "data.fields was {} and is {'image'"),
        ({}, {"crop": {"from": 9}}, r"data.resolution \(crop.from\) was \[8, 8\] and is \[9, 9\]"),
        (
            {"validation": {"source": {"name": "folder", "path": "more"}}},
            {"validation": {"source": {"name": "folder", "path": "x"}}},
            "validation shards .* prepared differently: data.source was .*more.* is .*'x'",
        ),
    ],
)
def test_prepare_refuses_shards_that_were_made_otherwise(here, first, second, fault):
    write(here, **first)
    with pytest.raises(DataError, match=fault):
        write(here, **second)


def test_prepare_cannot_hold_samples_out_of_shards_that_are_there(here):
    write(here)
    shards = str(here / "runs" / "own" / "shards")
    with pytest.raises(DataError, match="num_samples holds samples out .*validation.source"):
        write(here, source=None, shards=shards, validation={"num_samples": 1})


def test_prepare_of_a_pipeline_that_translates_needs_pairs(here):
    with pytest.raises(DataError, match="have no source, only image, but .*pairs: two folders"):
        write(here, architecture="cyclegan")
    assert not (here / "runs" / "own" / "shards").exists()


def test_prepare_with_a_derivation_needs_only_images(here, monkeypatch):
    write(here, architecture="cyclegan", source={"name": "unpaired", "source": "x", "target": "y"})
    assert load_index(str(here / "runs" / "own" / "shards")).streams.keys() == {"source", "target"}
