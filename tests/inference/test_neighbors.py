import json

import pytest
import torch
from metrics.tiny import TinyExtractor, images, write_shards
from PIL import Image
from torch.testing import assert_close

from ganforge.errors import ConfigError, MetricError, PluginNotFound
from ganforge.hub.format import ModelInfo
from ganforge.imaging.images import from_uint8
from ganforge.inference import neighbors
from ganforge.inference.neighbors import nearest
from ganforge.inference.pretrained import PretrainedGan
from ganforge.interfaces.spec import ImageSpec

REAL = images(9, seed=1)


class FromMemory:
    """Gives image `seed` of those it holds, as a model that has learned by heart would."""

    name, directions, generate_options = "memory", (), {}

    def __init__(self, img):
        self.img = img

    def check_request(self, truncation, options):
        pass

    def generate(self, nets, request):
        return from_uint8(self.img[list(request.seeds)])


def model_of(img):
    _, channels, height, width = img.shape
    info = ModelInfo(
        ganforge_version="1",
        architecture="memory",
        options={},
        plugin={"distribution": "tiny", "version": "1"},
        image_spec=ImageSpec(height, width, channels).to_dict(),
        roles=(),
        nimg=0,
        weights_sha256="0" * 64,
    )
    return PretrainedGan(FromMemory(img), {}, info, "cpu")


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards", REAL)


@pytest.fixture(autouse=True)
def registry(monkeypatch, tmp_path):
    class Registry:
        def build(self, base, name, options, where):
            if name != "tiny":
                raise PluginNotFound(f"no '{name}'. Valid: tiny.")
            return TinyExtractor(TinyExtractor.Config(**options))

    monkeypatch.setattr(neighbors, "get_registry", Registry)
    monkeypatch.setattr(neighbors, "default_cache_dir", lambda: tmp_path / "cache")


def test_nearest_of_rows_is_the_first_of_the_closest_over_all_parts():
    rows = torch.tensor([[0.0, 0.0], [5.0, 5.0]])
    others = torch.tensor([[3.0, 4.0], [5.0, 5.0], [0.0, 1.0], [1.0, 0.0], [5.0, 5.0]])
    for size in (1, 2, 5):
        distance, index = nearest(rows, others.split(size))
        assert_close(distance, torch.tensor([1.0, 0.0]))
        assert index.tolist() == [2, 1]


def test_nearest_finds_images_learned_by_heart(shards):
    found = model_of(REAL).nearest(shards, seeds=[4, 0, 8], extractor="tiny")
    for row, seed in zip(found.record["samples"], (4, 0, 8), strict=True):
        assert row == {
            "seed": seed,
            "pixels": {"index": seed, "distance": 0.0},
            "features": {"index": seed, "distance": 0.0},
        }
    assert found.columns == 3
    assert found.names.columns == ("sample", "by pixels", "by features")
    assert found.names.cells[:3] == ("seed 4", "0", "0")
    rows = [found.cells[i : i + 3] for i in range(0, 9, 3)]
    assert all(row[0].tobytes() == row[1].tobytes() == row[2].tobytes() for row in rows)


def test_nearest_pixel_distance_is_the_rms_of_bytes(shards):
    brighter = (REAL.int() + 3).clamp(max=255).to(torch.uint8)
    row = model_of(brighter).nearest(shards, seeds=2, extractor=None).record["samples"][0]
    assert (row["pixels"]["index"], "features" in row) == (2, False)
    assert row["pixels"]["distance"] == pytest.approx(3.0)


def test_nearest_spaces_can_disagree(shards):
    # A mirror image has the features of the original, and other pixels.
    row = model_of(REAL.flip(3)).nearest(shards, seeds=2, extractor="tiny").record["samples"][0]
    assert row["features"]["index"] == 2
    assert row["features"]["distance"] == pytest.approx(0, abs=1e-5)
    assert row["pixels"]["distance"] > 1


def test_nearest_num_real_limits_the_search(shards):
    found = model_of(REAL).nearest(shards, seeds=8, extractor="tiny", num_real=5)
    assert found.record["num_real"] == 5
    assert found.record["samples"][0]["pixels"]["index"] < 5


def test_nearest_of_transparent_images_compares_what_is_seen(tmp_path):
    clear = torch.cat([images(3, 1, 3), torch.zeros(3, 1, 8, 8, dtype=torch.uint8)], 1)
    shards = write_shards(tmp_path / "rgba", clear)
    white = torch.cat([torch.full((3, 3, 8, 8), 255), torch.full((3, 1, 8, 8), 255)], 1)
    row = model_of(white.to(torch.uint8)).nearest(shards, seeds=1, extractor=None)
    assert row.record["samples"][0]["pixels"] == {"index": 0, "distance": 0.0}


def test_nearest_save_writes_picture_and_numbers(shards, tmp_path):
    found = model_of(REAL).nearest(shards, extractor="tiny")
    path = found.save(tmp_path / "out" / "nearest.png", scale=2)
    assert Image.open(path).mode == "L"
    record = json.loads(path.with_suffix(".json").read_text())
    assert len(record["samples"]) == 8
    assert record["extractor"] == "tiny"
    assert record["feature_distance"] == "Euclidean distance of pooled features"
    with pytest.raises(ConfigError, match="Let the name end in .png"):
        found.save(tmp_path / "nearest.jpg")
    assert sorted(p.name for p in path.parent.iterdir()) == ["nearest.json", "nearest.png"]


def test_nearest_of_another_size_is_refused_before_anything_is_generated(shards):
    model = model_of(images(3, 1, side=16))
    model.architecture.generate = None
    with pytest.raises(MetricError, match=r"are 1 x 8 x 8 .* model makes 1 x 16 x 16 .*Prepare"):
        model.nearest(shards, seeds=1)
    with pytest.raises(PluginNotFound, match="no 'huge'"):
        model_of(REAL).nearest(shards, seeds=1, extractor="huge")
