import pytest
import torch
from metrics.tiny import OtherExtractor, TinyExtractor, images, write_shards, write_streams

from ganforge.config.models import DataConfig, StrictModel
from ganforge.errors import DataError
from ganforge.metrics.cache import FeatureCache
from ganforge.metrics.features import Output
from ganforge.metrics.real import RealSet, real_features

DATA = DataConfig(workers=0)
TINY, OTHER = TinyExtractor(StrictModel()), OtherExtractor(StrictModel())


@pytest.fixture
def counted(monkeypatch):
    """Names of the extractors that ran, one for each batch."""
    runs, forward = [], TinyExtractor.forward
    monkeypatch.setattr(
        TinyExtractor, "forward", lambda self, img: runs.append(self.name) or forward(self, img)
    )
    return runs


def test_real_set_is_the_image_field_and_says_which_part(shards):
    real = RealSet(DATA, shards, None)
    assert (len(real), real.shape, real.split) == (20, (1, 8, 8), "main.image")
    first, last = real.batches([range(2), range(19, 20)])
    assert torch.equal(torch.cat([first, last]), images(20, seed=1)[[0, 1, 19]])


def test_real_set_of_a_translation_is_the_target_unless_a_field_is_named(pairs):
    assert RealSet(DATA, pairs, None).split == "main.target"
    assert RealSet(DATA, pairs, None, "source").split == "main.source"
    with pytest.raises(DataError, match="'image' is needed.*source, target"):
        RealSet(DATA, pairs, None, "image")


def test_real_set_of_unpaired_domains_names_the_stream(tmp_path):
    streams = {"a": {"source": images(3, 1)}, "b": {"target": images(4, 2)}}
    location = write_streams(tmp_path / "unpaired", streams)
    assert [RealSet(DATA, location, None, name).split for name in ("source", "target")] == [
        "a.source",
        "b.target",
    ]


def test_real_features_are_cached_for_each_extractor(shards, runtime, tmp_path, counted):
    real, cache = RealSet(DATA, shards, None), FeatureCache(tmp_path / "cache")
    first = real_features(real, [Output(TINY, "pooled")], cache, runtime, 10)
    assert counted == ["tiny", "tiny"]
    both = [Output(TINY, "pooled"), Output(OTHER, "pooled")]
    found = real_features(real, both, cache, runtime, 20)
    assert counted == ["tiny", "tiny", "other"]
    assert torch.equal(found[both[0]], first[both[0]])
    assert torch.equal(found[both[1]], 10 * first[both[0]])
    again = real_features(real, both, cache, runtime, 20)
    assert len(counted) == 3 and all(torch.equal(again[one], found[one]) for one in both)


def test_real_features_missing_outputs_are_extracted_in_one_pass_and_kept_apart(
    shards, runtime, tmp_path, counted
):
    real, cache = RealSet(DATA, shards, None), FeatureCache(tmp_path / "cache")
    outputs = [Output(TINY, "pooled"), Output(TINY, "logits")]
    found = real_features(real, outputs, cache, runtime, 20)
    assert counted == ["tiny"]
    assert [found[one].shape for one in outputs] == [(20, 4), (20, 3)]
    again = real_features(real, outputs, cache, runtime, 20)
    assert counted == ["tiny"] and all(torch.equal(again[one], found[one]) for one in outputs)


def test_real_features_of_fewer_images_are_others(shards, runtime, tmp_path, counted):
    cache, output = FeatureCache(tmp_path / "cache"), Output(TINY, "pooled")
    for count in (None, 5, 20):  # 20 are all there are
        real_features(RealSet(DATA, shards, count), [output], cache, runtime, 64)
    assert counted == ["tiny", "tiny"]


def test_real_features_of_equal_shards_elsewhere_are_read_from_the_cache(
    shards, runtime, tmp_path, counted
):
    cache, output = FeatureCache(tmp_path / "cache"), Output(TINY, "pooled")
    copy = write_shards(tmp_path / "copy", images(20, seed=1))
    for location in (shards, copy):
        real_features(RealSet(DATA, location, None), [output], cache, runtime, 64)
    assert counted == ["tiny"]
