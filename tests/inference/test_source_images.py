import numpy as np
import pytest
import torch
from inference.shown import Translator, pretrained
from PIL import Image
from torch.testing import assert_close

from ganforge.data.derivations.noise import Noise
from ganforge.errors import ConfigError, PluginNotFound, ShapeError
from ganforge.imaging.codec import Undecodable, encode_png
from ganforge.inference.source_images import SourceReader, source_reader
from ganforge.interfaces.derivation import Derivation
from ganforge.interfaces.spec import DerivedSource, ImageSpec


def reader(channels, kind="image", spec=None):
    return SourceReader(spec or ImageSpec(8, 8), channels, kind)


def source_images(images, channels):
    return reader(channels).read(images)


def test_source_images_keep_their_size_and_get_the_number_of_channels():
    sources = [
        Image.new("RGB", (31, 9)),
        Image.new("RGBA", (8, 6), (0, 0, 0, 0)),
        torch.zeros(3, 20, 20),
        torch.full((2, 1, 6, 8), 255, dtype=torch.uint8),
    ]
    found = source_images(sources, 1)
    assert [tuple(img.shape) for img in found] == [
        (1, 9, 31), (1, 6, 8), (1, 20, 20), (1, 6, 8), (1, 6, 8)
    ]  # fmt: skip
    assert [float(img.mean()) for img in found] == pytest.approx([-1.0, 1.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("image", [Image.new("L", (8, 6)), torch.zeros(3, 6, 8)])
def test_source_images_of_a_single_image_are_one(image):
    (img,) = source_images(image, 3)
    assert img.shape == (3, 6, 8)


def test_source_images_keep_the_pixels():
    img = torch.linspace(-1, 1, 3 * 6 * 8).view(1, 3, 6, 8)
    assert_close(source_images(img, 3)[0], img[0])


def test_source_images_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="no images to translate"):
        source_images([], 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(6, 8), r"Cannot translate \[6, 8\]; give PIL images"),
        (torch.zeros(2, 6, 8), r"Cannot translate \[2, 6, 8\]; give PIL images"),
        ("photo.png", "Cannot translate str; give PIL images"),
        (torch.full((1, 6, 8), 255.0), "values from 255 to 255; float images are in .* as uint8"),
    ],
)
def test_source_images_of_what_is_no_image_are_refused(image, message):
    with pytest.raises(ShapeError, match=message):
        source_images([image], 3)


IDS = np.array([[0, 1, 2], [2, 2, 9]], dtype=np.uint8)
ONE_HOT = torch.tensor(
    [[[1, 0, 0], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 1, 0]]], dtype=torch.float32
)


def palette(ids):
    image = Image.fromarray(ids).convert("P")
    image = Image.frombytes("P", image.size, ids.tobytes())
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200] + [7] * 21)
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(IDS),
        palette(IDS),
        torch.from_numpy(IDS)[None],
        torch.from_numpy(IDS.astype(np.int64))[None, None],
        ONE_HOT,
    ],
)
def test_read_label_map_is_one_hot_and_an_unknown_id_is_zero(image):
    (found,) = reader(3, "labels").read(image)
    assert torch.equal(found, ONE_HOT)


def test_read_file_of_a_label_map_keeps_its_ids(tmp_path):
    palette(IDS).save(tmp_path / "ids.png")
    assert torch.equal(reader(3, "labels").read_file(tmp_path / "ids.png"), ONE_HOT)


def test_read_label_map_of_colors_says_what_is_wrong():
    with pytest.raises(ShapeError, match="The image is an image of mode RGB, not a map of ids"):
        reader(3, "labels").read(Image.new("RGB", (4, 4)))
    with pytest.raises(ShapeError, match=r"Cannot translate \[3, 4, 4\]"):
        reader(5, "labels").read(torch.zeros(3, 4, 4))


def test_read_file_keeps_16_bits_and_names_no_file_twice(tmp_path):
    pixels = np.arange(12, dtype=np.uint16).reshape(2, 6, 1) + 40_000
    (tmp_path / "deep.png").write_bytes(encode_png(pixels))
    img = reader(1).read_file(tmp_path / "deep.png")
    assert_close(img[0], torch.from_numpy(pixels[..., 0] / 32767.5 - 1).float())
    with pytest.raises(Undecodable, match="cannot be read"):
        reader(1).read_file(tmp_path / "nothing.png")


def test_read_of_unusual_channels_takes_tensors_of_just_these():
    (img,) = reader(7).read(torch.zeros(7, 4, 4))
    assert img.shape == (7, 4, 4)


def test_derive_of_plain_sources_changes_nothing():
    img = torch.rand(3, 4, 4)
    assert reader(3).derive([img], [0])[0] is img
    assert reader(3).derive_frames([img], 0, 5)[0] is img


@pytest.fixture
def noisy(monkeypatch):
    """A reader that adds noise, though users' images have it already."""
    monkeypatch.setattr(Noise, "from_input", Derivation.from_input)
    spec = ImageSpec(8, 8, 3, source_channels=3, derived=DerivedSource("noise", {}))
    return reader(3, "derived", spec)


def test_derive_makes_each_source_from_its_seed(noisy):
    img = [torch.zeros(3, 4, 4)] * 2
    first, second = noisy.derive(img, [0, 1])
    (again,) = noisy.derive(img[:1], [1])
    assert torch.equal(second, again) and not torch.equal(first, second)


def test_derive_frames_numbers_them_through_the_clip(noisy):
    img = torch.zeros(3, 4, 4)
    whole = noisy.derive_frames([img] * 5, 3, 0)
    parts = [*noisy.derive_frames([img] * 2, 3, 0), *noisy.derive_frames([img] * 3, 3, 2)]
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))
    assert not torch.equal(whole[0], whole[1])


def test_source_reader_follows_the_direction_and_the_model():
    def found(direction="source_to_target", derive=True, **fields):
        architecture = pretrained(Translator, **fields).architecture
        made = source_reader(architecture, direction, derive)
        return made.channels, made.kind

    derived = {"source_channels": 1, "derived": DerivedSource("edges", {})}
    assert found(source_channels=1) == (1, "image")
    assert found() == (3, "image")
    assert found(source_channels=9, source_kind="labels") == (9, "labels")
    assert found(**derived) == (1, "derived")
    assert found(**derived, derive=False) == (1, "image")
    assert found("target_to_source", **derived) == (3, "image")


def test_source_reader_without_the_derivation_names_it():
    architecture = pretrained(Translator, derived=DerivedSource("halftone", {})).architecture
    with pytest.raises(PluginNotFound, match="'halftone'.*derive=False"):
        source_reader(architecture, "source_to_target", True)
    assert source_reader(architecture, "source_to_target", False).kind == "image"


def test_source_images_of_maps_without_labels_are_the_ids():
    ids = torch.tensor([[[7, 65535]]])
    (found,) = reader(0, "labels").read(ids)
    assert torch.equal(found, ids)
    (found,) = reader(0, "labels").read(Image.fromarray(np.array([[3, 200]], dtype=np.uint8)))
    assert found.tolist() == [[[3, 200]]]


def test_source_files_of_floats_are_scaled_as_in_training(tmp_path):
    np.save(tmp_path / "depth.npy", np.array([[0.0, 2.0], [4.0, 9.0]], dtype=np.float32))
    ranges = {"value_range": (4.0, 0.0), "source_value_range": (0.0, 4.0)}
    both = ("source_to_target", "target_to_source")
    model = pretrained(Translator, source_channels=1, **ranges)
    model.architecture.__class__ = type("Both", (Translator,), {"directions": both})
    found = [
        source_reader(model.architecture, direction, derive=True).read_file(tmp_path / "depth.npy")
        for direction in both
    ]
    assert_close(found[0][0], torch.tensor([[-1.0, 0.0], [1.0, 1.0]]), atol=1e-4, rtol=0)
    assert_close(found[1][0], torch.tensor([[1.0, 0.0], [-1.0, -1.0]]), atol=1e-4, rtol=0)


def test_file_size_of_a_label_map_needs_a_whole_map_of_ids(tmp_path):
    (tmp_path / "ids.png").write_bytes(encode_png(np.zeros((5, 7, 1), np.uint8)))
    Image.new("RGB", (7, 5)).save(tmp_path / "colors.png")
    maps, images = reader(3, "labels"), reader(3)
    assert maps.file_size(tmp_path / "ids.png") == images.file_size(tmp_path / "ids.png") == (5, 7)
    assert images.file_size(tmp_path / "colors.png") == (5, 7)
    with pytest.raises(Undecodable, match="not a map of ids"):
        maps.file_size(tmp_path / "colors.png")
