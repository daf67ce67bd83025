"""Sources are made from images after crop and mirror, the same for the same seed."""

import pickle

import numpy as np
import pytest
import torch

from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.order import Draw, StreamOrder
from ganforge.data.shards.clip import pack_clip
from ganforge.data.shards.index import DatasetIndex, FieldSchema, load_index
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.errors import ConfigError, DataError, PluginContractError, PluginNotFound
from ganforge.imaging.codec import encode_png
from ganforge.interfaces.spec import ImageSpec

pytestmark = pytest.mark.usefixtures("seed_shown")
IMAGE = FieldSchema(kind="image", height=8, width=8, channels=3)
DERIVE = DataConfig(workers=0, derive="seed_shown", flip=True)


def test_derived_source_follows_the_image_and_the_seed_of_its_position(dataset, load):
    (batch,) = load(dataset, config=DERIVE, fields=["source", "target"], micro_batch=20)[0]
    assert set(batch) == {"source", "target"}
    assert batch["source"].shape == (20, 2, 8, 8) and batch["source"].dtype == torch.uint8
    mean = batch["target"].float().mean(dim=1).round()
    torch.testing.assert_close(batch["source"][:, 0].float(), mean, rtol=0, atol=1)
    order = StreamOrder([8, 8, 4], 1, 16384, seed=0)
    seeds = order.draw(Draw.DERIVATION, 0, 0, 20) % 50
    assert batch["source"][:, 1, 0, 0].tolist() == seeds.tolist()


@pytest.mark.parametrize("workers", [1, 2])
def test_derived_source_in_workers_is_the_same(dataset, workers, load):
    config = DERIVE.model_copy(update={"workers": workers})
    for parts in zip(
        load(dataset, 3, DERIVE, fields=["image", "source"]),
        load(dataset, 3, config, fields=["image", "source"]),
        strict=True,
    ):
        for name in ("image", "source"):
            assert torch.equal(parts[0][0][name], parts[1][0][name])


def test_derived_source_can_be_read_without_its_image(dataset, load):
    (batch,) = load(dataset, config=DERIVE, fields=["source"])[0]
    assert set(batch) == {"source"}


def test_derived_source_of_16_bit_images_has_16_bits(tmp_path, helpers, load):
    pixels = np.full((8, 8, 3), 4095, dtype=np.uint16)
    schema = IMAGE.model_copy(update={"bit_depth": 16, "max_value": 4095})
    location = helpers.write_custom(
        tmp_path / "s", [{"image.png": encode_png(pixels)}], {"image": schema}
    )
    source = load(location, config=DERIVE, fields=["source"])[0][0]["source"]
    assert source.dtype == torch.int32
    assert (source[:, 0] == 65535).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_derived_source_of_a_clip_gets_one_seed_and_the_frame_numbers(
    tmp_path, helpers, stride, load
):
    clip = pack_clip([helpers.file_bytes(np.full((8, 8, 3), n, np.uint8)) for n in range(20)])
    schema = IMAGE.model_copy(update={"is_clip": True, "num_frames": 20})
    location = helpers.write_custom(tmp_path / "s", [{"frames.clip": clip}], {"frames": schema})
    clip_config = DataConfig(clip={"num_frames": 3, "stride": stride}).clip
    config = DERIVE.model_copy(update={"clip": clip_config})
    batch = load(location, config=config, fields=["source", "frames"], micro_batch=16)[0][0]
    assert batch["source"].shape == (16, 3, 2, 8, 8)
    numbers = batch["frames"][:, :, 0, 0, 0].int()
    seeds = batch["source"][:, :, 1, 0, 0].int() - numbers
    assert (seeds == seeds[:, :1]).all()
    assert len(set(seeds[:, 0].tolist())) > 4 and len(set(numbers[:, 0].tolist())) > 4


def test_real_images_derive_by_the_number_of_the_sample(dataset):
    real = RealImages(DERIVE, dataset, field="target")
    fields = ["source", "target", "image"]
    several, alone = real.samples([3, 11], fields), real.samples([11], fields)
    for name in fields:
        assert torch.equal(several[name][1:], alone[name])
    assert torch.equal(alone["target"], alone["image"])
    assert several["source"][0, 1, 0, 0] != several["source"][1, 1, 0, 0]


def readable(fields, derive="seed_shown"):
    index = DatasetIndex.build(ImageSpec(8, 8, 3), {}, dict.fromkeys(fields, IMAGE))
    return ReadableFields(DataConfig(derive=derive), index, "HERE")


@pytest.mark.parametrize(
    ("fields", "there"),
    [
        (["image"], ["image", "source", "target"]),
        (["target"], ["source", "target"]),
        (["frames", "depth"], ["depth", "frames", "source"]),
    ],
)
def test_fields_with_a_derivation_have_source_and_target(fields, there):
    found = readable(fields)
    assert sorted(found.schemas) == there
    assert found.schemas["source"].channels == 2
    assert found.stored("source") == fields[0]
    assert pickle.loads(pickle.dumps(found)).derivation.name == "seed_shown"


def test_derivation_of_data_with_a_source_is_refused():
    with pytest.raises(DataError, match="HERE holds a source already. Remove data.derive"):
        readable(["source", "target"])


def test_derivation_of_data_without_images_is_refused():
    with pytest.raises(DataError, match="needs images, but .* HERE has depth. It reads target"):
        readable(["depth"])


def test_derivation_that_nobody_provides_is_refused():
    with pytest.raises(PluginNotFound, match="sed_shown"):
        readable(["image"], "sed_shown")


def test_derivation_with_an_unknown_option_is_refused():
    with pytest.raises(ConfigError, match="data.derive.level"):
        readable(["image"], {"name": "seed_shown", "level": 3})


def test_derivation_of_another_shape_is_refused(dataset, monkeypatch, seed_shown, load):
    monkeypatch.setattr(seed_shown, "derive", lambda self, img, seed, frame: img[:4])
    with pytest.raises(PluginContractError, match=r"'seed_shown' makes sources of shape \[4, 8, 3"):
        load(dataset, config=DERIVE, fields=["source"])


def test_derivation_beyond_black_and_white_is_clamped(dataset, monkeypatch, seed_shown, load):
    wild = np.stack([np.full((8, 8), 1.5), np.full((8, 8), -0.2)], axis=2)
    monkeypatch.setattr(seed_shown, "derive", lambda self, img, seed, frame: wild)
    source = load(dataset, config=DERIVE, fields=["source"])[0][0]["source"]
    assert (source[:, 0] == 255).all() and (source[:, 1] == 0).all()


def test_fields_without_a_derivation_are_those_of_the_shards(dataset):
    found = ReadableFields(DataConfig(), load_index(dataset), "HERE")
    assert found.derivation is None and sorted(found.schemas) == ["image", "label"]
    with pytest.raises(DataError, match="'source' is needed, but the data set at HERE has no such"):
        found.check(["image", "source"])
