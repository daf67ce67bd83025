"""Sources made from plain images for a published model."""

import types

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.api import ComponentOptions, Derivation, hookimpl
from ganforge.config.models import DataConfig, ModelConfig, PipelineConfig
from ganforge.data.loader import RealImages
from ganforge.data.prepare.source_to_shards import prepare
from ganforge.data.shards.index import load_index
from ganforge.data.shards.readable_fields import ReadableFields
from ganforge.errors import ConfigError, PluginContractError, PluginNotFound, ShapeError
from ganforge.imaging.images import from_uint8
from ganforge.inference.derive import derivation_of, derive_sources
from ganforge.interfaces.spec import DerivedSource, ImageSpec
from ganforge.registry.plugins import Plugin, get_registry
from ganforge.training.fields import model_spec


class Stamp(Derivation[ComponentOptions]):
    """Writes seed, frame and opacity into three channels."""

    name = "stamp"

    def channels(self, channels):
        return 3

    def derive(self, img, seed, frame=0):
        raise AssertionError("translate takes from_input")

    def from_input(self, img, alpha, seed, frame=0):
        opacity = 0.5 if alpha is None else alpha[..., 0].mean()
        values = np.array([seed % 100 / 100, frame / 100, opacity], dtype=np.float32)
        return np.broadcast_to(values, (*img.shape[:2], 3))


@pytest.fixture
def stamp():
    """Registers `stamp` for one test."""
    module, registry = types.ModuleType("stamp"), get_registry()
    module.ganforge_derivations = hookimpl(lambda: [Stamp])
    registry.register(module, Plugin("stamp", "stamp", "stamp", "1"))
    yield
    registry.unregister("stamp")


def spec_of(name, channels=3, source_channels=3, **options):
    derived = DerivedSource(name, options)
    return ImageSpec(64, 64, channels, source_channels=source_channels, derived=derived)


def photos(count=2, channels=3, height=20, width=30):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


def stamped(sources):
    """Seed, frame and opacity of each source."""
    values = (sources[..., 0, 0] + 1) / 2
    return [[round(100 * v) for v in row] for row in values.flatten(0, -2).tolist()]


def test_gray_sources_are_the_luma_of_the_images():
    img = photos()
    source = derive_sources(spec_of("gray", source_channels=1), img, [0, 1])
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert_close(source, (img * luma).sum(1, keepdim=True), atol=1e-6, rtol=0)


def test_options_are_those_of_training():
    img = photos()
    black = derive_sources(spec_of("edges", source_channels=1), img, [0, 1])
    white = derive_sources(spec_of("edges", source_channels=1, lines="white"), img, [0, 1])
    assert_close(black, -white)


def test_sources_of_a_damaged_image_are_the_image():
    img = photos()
    assert_close(derive_sources(spec_of("noise"), img, [0, 1]), img)


def test_sources_may_be_larger_than_the_images():
    source = derive_sources(spec_of("low_resolution", factor=3.0), photos(), [0, 1])
    assert source.shape == (2, 3, 60, 90)


def test_sources_of_images_with_a_hole_have_a_mask_channel():
    img = photos(channels=4)
    img[:, 3] = 1
    img[:, 3, 5:9, 6:8] = -1
    source = derive_sources(spec_of("mask", source_channels=4), img, [0, 1])
    hole = source[:, 3] == -1
    assert hole[:, 5:9, 6:8].all() and hole.sum() == 2 * 4 * 2
    assert_close(source[:, :3][:, :, ~hole[0]], img[:, :3][:, :, ~hole[0]])


def test_sources_of_images_that_the_derivation_refuses_are_refused():
    with pytest.raises(ConfigError, match="no transparency"):
        derive_sources(spec_of("mask", source_channels=4), photos(), [0, 1])


def test_transparency_is_composited_over_white():
    img = torch.full((1, 4, 4, 4), -1.0)
    source = derive_sources(spec_of("gray", source_channels=1), img, [0])
    assert_close(source, torch.ones(1, 1, 4, 4))


def test_each_image_has_its_seed_and_opacity(stamp):
    img = photos(3, channels=4)
    img[:, 3] = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1)
    sources = derive_sources(spec_of("stamp"), img, [7, 8, 9])
    assert stamped(sources) == [[7, 0, 0], [8, 0, 50], [9, 0, 100]]


def test_frames_of_clips_are_numbered_from_the_first(stamp):
    clips = photos(4).unflatten(0, (2, 2))
    sources = derive_sources(spec_of("stamp"), clips, [7, 8], first_frame=5)
    assert sources.shape == (2, 2, 3, 20, 30)
    assert stamped(sources) == [[7, 5, 50], [7, 6, 50], [8, 5, 50], [8, 6, 50]]


def test_chunks_of_a_clip_have_the_sources_of_the_whole(stamp):
    spec, clip = spec_of("stamp"), photos(4)[None]
    whole = derive_sources(spec, clip, [3])
    parts = [derive_sources(spec, clip[:, at : at + 2], [3], at) for at in (0, 2)]
    assert torch.equal(torch.cat(parts, 1), whole)


@pytest.mark.parametrize("seed", [-1, 2**64 + 1, 10**30])
def test_any_integer_is_a_seed(seed):
    source = derive_sources(spec_of("noise"), photos(1), [seed])
    assert source.shape == (1, 3, 20, 30)


@pytest.mark.parametrize(("given", "channels"), [(1, 3), (3, 1), (4, 1)])
def test_images_are_converted_to_the_channels_of_the_model(given, channels):
    spec = spec_of("blocks", channels, channels)
    assert derive_sources(spec, photos(1, given), [0]).shape == (1, channels, 20, 30)


@pytest.mark.parametrize(("given", "channels"), [(5, 3), (3, 5), (2, 1)])
def test_images_with_channels_that_cannot_be_converted_are_refused(given, channels):
    with pytest.raises(ShapeError, match=f"have {given} channels.*Give images with {channels}"):
        derive_sources(spec_of("blocks", channels, channels), photos(1, given), [0])


def test_derivation_that_is_not_installed_is_named():
    with pytest.raises(
        PluginNotFound, match=r"derivation 'halftone' makes.*Install the package.*derive=False"
    ):
        derivation_of(spec_of("halftone"))


def test_derivation_without_the_options_of_training_is_refused():
    with pytest.raises(ConfigError, match=r"spec\.derived.*size.*blocks"):
        derivation_of(spec_of("blocks", size=0))


def test_derivation_of_another_version_that_makes_other_channels_is_refused():
    with pytest.raises(PluginContractError, match=r"'gray'.*\[20, 30, 1\].*\[height, width, 3\]"):
        derive_sources(spec_of("gray", source_channels=3), photos(1), [0])


@pytest.fixture(scope="module")
def photo_shards(tmp_path_factory):
    """Shards of eight squares on gradients, 24 x 24 RGB."""
    folder, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("data") / "shards"
    y, x = np.mgrid[:24, :24]
    for number in range(8):
        square = 150 * ((x > 6 + number) & (y > 6))
        ramp = np.stack([3 * x, 3 * y, 0 * x], axis=2) + square[..., None]
        texture = np.random.default_rng(number).integers(20, size=ramp.shape)
        Image.fromarray((ramp + texture).clip(0, 255).astype(np.uint8)).save(
            folder / f"{number}.png"
        )
    source = {"name": "folder", "path": str(folder)}
    prepare(DataConfig(source=source), out, workers=0, progress=False)
    return str(out)


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "gray"},
        {"name": "edges", "sigma": 0.5, "lines": "white"},
        {"name": "edges", "thresholds": (0.05, 0.1)},
    ],
    ids=lambda choice: "-".join(map(str, choice.values())),
)
def test_translate_makes_the_sources_of_training(photo_shards, choice):
    config = PipelineConfig(
        name="a", model=ModelConfig(architecture="cyclegan"), stages=(), data={"derive": choice}
    )
    index = load_index(photo_shards)
    data = ReadableFields(config.data, index, photo_shards)
    spec = model_spec(config, data, ("source", "target"))
    trained, photo = (
        torch.stack([img for img in RealImages(config.data, photo_shards, field=field)])
        for field in ("source", "target")
    )
    made = derive_sources(spec, from_uint8(photo), range(8))
    # Training rounds a source to 8 bits.
    assert_close(made, from_uint8(trained), atol=1.01 / 255, rtol=0)
    assert made.std() > 0.1
