"""Data that a translator cannot be trained on: a clear error, and nothing half-written."""

import numpy as np
import pytest
import yaml
from PIL import Image

from ganforge.errors import ConfigError, DataError, GanforgeError
from ganforge.pipeline.run import run_pipeline

TINY = {"generator_width": 4, "discriminator_width": 4, "discriminator_layers": 1}


def write_images(folder, names, size=(16, 16), mode="RGB", highest=256):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    shape = size if mode == "L" else (*size, 3)
    for name in names:
        pixels = random.integers(0, highest, shape).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")


@pytest.fixture
def fails(tmp_path, monkeypatch):
    """Run a pipeline that must fail; returns the message after a look at what was left behind.

    Only the folders `complete` may hold shards.
    """
    monkeypatch.chdir(tmp_path)

    def run(data, architecture="pix2pix", kind=DataError, complete=(), **model):
        options = {"architecture": architecture, **TINY, **model}
        pipeline = {
            "name": "bad",
            "stages": ["prepare", "train"],
            "data": {"resolution": 16, "workers": 0, **data},
            "model": options,
            "train": {"batch_size": 2, "total_kimg": 0.004, "compile": False, "trackers": []},
        }
        (tmp_path / "bad.yaml").write_text(yaml.safe_dump(pipeline))
        with pytest.raises(kind) as caught:
            run_pipeline("bad.yaml")
        left = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
        assert {path.parent for path in left if path.suffix == ".tar"} == set(complete), left
        assert not [path for path in left if path.suffix in (".safetensors", ".partial")], left
        assert "log.jsonl" not in {path.name for path in left}
        return str(caught.value)

    return run


def pairs(**more):
    return {"source": {"name": "pairs", "source": "a", "target": "b"}, **more}


def test_unmatched_pair_names_are_listed(fails, tmp_path):
    write_images(tmp_path / "a", ["1", "2", "only_a"])
    write_images(tmp_path / "b", ["1", "2", "only_b"])
    message = fails(pairs())
    assert "only_a" in message and "only_b" in message and "unmatched" in message


def test_pairs_of_different_sizes_are_refused_without_a_resolution(fails, tmp_path):
    write_images(tmp_path / "a", ["1", "2"], (16, 16))
    write_images(tmp_path / "b", ["1", "2"], (24, 16))
    message = fails(pairs(resolution=None))
    assert "16 x 16" in message and "24 x 16" in message and "data.resolution" in message


def test_a_side_by_side_image_that_cannot_be_halved_is_named(fails, tmp_path):
    write_images(tmp_path / "ab", ["1", "2", "odd"], (16, 32))
    write_images(tmp_path / "ab", ["odd"], (16, 31))
    message = fails({"source": {"name": "side_by_side", "path": "ab"}, "on_bad_sample": "error"})
    assert "odd" in message and "31" in message


@pytest.mark.parametrize("architecture", ["cyclegan", "cut", "unit"])
def test_an_empty_domain_is_named(fails, tmp_path, architecture):
    write_images(tmp_path / "a", ["1", "2"])
    (tmp_path / "b").mkdir()
    source = {"name": "unpaired", "source": "a", "target": "b"}
    scales = {"discriminator_scales": 1} if architecture == "unit" else {}
    assert "target='b' holds no images" in fails({"source": source}, architecture, **scales)


def test_a_label_map_in_colors_is_refused(fails, tmp_path):
    write_images(tmp_path / "a", ["1", "2"])
    write_images(tmp_path / "b", ["1", "2"])
    message = fails(pairs(fields={"source": {"kind": "labels"}}))
    assert "not a map of ids" in message


def test_label_ids_that_validation_adds_are_out_of_range(fails, tmp_path):
    for folder, highest in (("a", 4), ("va", 9)):
        write_images(tmp_path / folder, ["1", "2"], mode="L", highest=highest)
    for folder in ("b", "vb"):
        write_images(tmp_path / folder, ["1", "2"])
    held_out = {"source": {"name": "pairs", "source": "va", "target": "vb"}}
    fields = {"source": {"kind": "labels"}}
    shards = tmp_path / "runs" / "bad" / "shards"
    message = fails(pairs(fields=fields, validation=held_out), complete=[shards])
    assert (shards / "index.json").exists()
    assert "num_labels" in message and "8" in message


@pytest.mark.parametrize("architecture", ["pix2pix", "pix2pix_hd", "cyclegan", "cut", "unit"])
def test_images_smaller_than_the_network_needs_are_refused(fails, tmp_path, architecture):
    write_images(tmp_path / "a", ["1", "2"])
    write_images(tmp_path / "b", ["1", "2"])
    message = fails(pairs(), architecture, ConfigError, discriminator_layers=4)
    assert "data.resolution: 16x16 is too small" in message and "pixels or more a side" in message


@pytest.mark.parametrize(
    "derive", [{"name": "low_resolution", "factor": 64}, {"name": "blocks", "size": 64}]
)
def test_a_derivation_whose_result_would_be_empty_is_refused(fails, tmp_path, derive):
    write_images(tmp_path / "a", ["1", "2"])
    data = {"source": {"name": "folder", "path": "a"}, "derive": derive}
    message = fails(data, kind=GanforgeError)
    assert derive["name"] in message and "data.derive" in message
