import pytest
from preparing import config, noise, run, save

from ganforge.config.models import DataConfig
from ganforge.data.shards.index import load_index
from ganforge.imaging.codec import encode_pixels
from ganforge.interfaces.spec import ImageSpec
from ganforge.planning import data_rate
from ganforge.planning.data_rate import photograph, rate_of_photographs, rate_of_shards


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(data_rate, "_SECONDS", 0.02)


def test_shards_tell_their_rate_and_size(tmp_path):
    for number in range(20):
        save(tmp_path / "photos" / f"{number}.png", noise(16, 16, 3))
    run(config(str(tmp_path / "photos")), tmp_path / "shards")
    location = str(tmp_path / "shards")
    index = load_index(location)
    rate = rate_of_shards(DataConfig(), location, index, ("image",))
    stored = sum(shard.num_bytes for shard in index.streams["main"])
    assert rate.is_measured
    assert rate.bytes_per_sample == stored / 20
    assert rate.samples_per_sec > 50


def test_made_up_photograph_compresses_like_a_real_one():
    size = len(encode_pixels(photograph(256, 256, 3))) / 256**2
    assert 1.4 < size < 2.2  # FFHQ at 256: 1.9


def test_images_of_a_sample_share_the_rate():
    one, four = (rate_of_photographs(DataConfig(), ImageSpec(64, 64), n) for n in (1, 4))
    assert four.bytes_per_sample == 4 * one.bytes_per_sample
    assert four.samples_per_sec < one.samples_per_sec
    assert not one.is_measured


def test_crops_are_decoded_at_the_size_that_is_stored():
    crops = DataConfig(resolution=32, crop={"from": 64})
    rate = rate_of_photographs(crops, ImageSpec(32, 32), 1)
    assert rate.bytes_per_sample == len(encode_pixels(photograph(64, 64, 3)))
