import gzip
import hashlib
import struct
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ganforge_fashion_mnist.extractor import WEIGHTS, Classifier, FashionMnistFeatures, as_input
from ganforge_fashion_mnist.idx import read_idx
from ganforge_fashion_mnist.source import FashionMnist
from ganforge_fashion_mnist.train_extractor import accuracy, main, split, vary
from safetensors.torch import load_file
from torch.testing import assert_close

from ganforge.api import ComponentOptions, ConfigError, DataError, FeatureExtractor, MetricError
from ganforge.registry.plugins import get_registry


def packed(data):
    return gzip.compress(data, mtime=0)  # the same test names in every process


def idx_bytes(values: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, values.ndim])
        + struct.pack(f">{values.ndim}I", *values.shape)
        + (values.tobytes())
    )


def test_source_first_and_last_samples_are_those_of_the_original_file():
    source = FashionMnist(ComponentOptions())
    samples = list(source.samples())
    assert len(samples) == source.num_samples() == 10_000
    assert [s.fields["label"] for s in samples[:5]] == [9, 2, 1, 1, 6]
    assert samples[-1].key == "09999"
    assert samples[0].fields["image"].size == (28, 28)
    assert samples[0].fields["image"].mode == "L"


def test_source_classes_are_even_and_named():
    source = FashionMnist(ComponentOptions())
    labels = [sample.fields["label"] for sample in source.samples()]
    assert np.bincount(labels).tolist() == [1000] * 10
    assert len(source.class_names()) == 10


def test_read_idx_reads_back_what_was_written(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(idx_bytes(values)))
    np.testing.assert_array_equal(read_idx(file), values)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b"garbage", "cannot be read"),
        (packed(b"garbage"), "not IDX of uint8"),
        (packed(idx_bytes(np.zeros((2, 3), np.uint8))[:-1]), "declares 2x3 values"),
        (packed(idx_bytes(np.zeros((2, 3), np.uint8)))[:-9], "cannot be read"),
    ],
)
def test_read_idx_damaged_file_says_which_and_what_to_do(tmp_path, content, fault):
    file = tmp_path / "a.gz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=f"a.gz.*{fault}.*Reinstall ganforge"):
        read_idx(file)


@pytest.fixture(scope="module")
def extractor():
    return FashionMnistFeatures(ComponentOptions())


def test_extractor_is_found_by_name_and_names_its_outputs():
    found = get_registry().find(FeatureExtractor, "fashion_mnist")
    assert found is FashionMnistFeatures
    assert found.outputs == ("pooled", "logits")


def test_extractor_is_right_on_held_out_images_as_often_as_documented(extractor):
    found = accuracy(extractor.classifier)
    documented = (Path(__file__).parents[2] / "docs" / "extractors.md").read_text()
    assert f"{found:.1%}".replace("%", " %") in documented
    assert found > 0.88


def test_extractor_outputs_have_their_sizes_and_no_gradient(extractor):
    img = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    found = extractor(img)
    assert found["pooled"].shape == (3, 128)
    assert found["logits"].shape == (3, 10)
    assert not any(value.requires_grad for value in found.values())


def test_extractor_gray_as_rgb_is_the_same_gray():
    gray = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    assert torch.equal(as_input(gray), as_input(gray.expand(-1, 3, -1, -1)))


def test_extractor_pads_28_pixels_and_takes_rgb(extractor):
    img = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)
    expected = extractor(img)
    padded = torch.nn.functional.pad(img, (2, 2, 2, 2))
    assert_close(extractor(padded), expected)
    assert_close(extractor(img.repeat(1, 3, 1, 1)), expected)


@pytest.mark.parametrize(
    "img",
    [
        torch.zeros(1, 1, 32, 32),
        torch.zeros(1, 4, 32, 32, dtype=torch.uint8),
        torch.zeros(1, 1, 64, 64, dtype=torch.uint8),
        torch.zeros(1, 1, 28, 32, dtype=torch.uint8),
        torch.zeros(1, 28, 28, dtype=torch.uint8),
    ],
)
def test_extractor_other_images_say_what_it_measures(extractor, img):
    with pytest.raises(MetricError, match=r"'fashion_mnist' got .*28, 28.*Set data.resolution"):
        extractor(img)


def test_extractor_weights_are_small_and_hashed(extractor):
    path = files("ganforge_fashion_mnist") / "data" / WEIGHTS
    content = path.read_bytes()
    assert len(content) < 1_500_000
    assert extractor.sha256 == hashlib.sha256(content).hexdigest()


def test_training_images_vary_by_shift_and_mirror_only():
    (img, _), (held_out, _) = split()
    assert (len(img), len(held_out)) == (9000, 1000)
    shown = vary(img[:50], torch.Generator().manual_seed(0))
    assert shown.shape == (50, 1, 32, 32)
    # A shift of at most two pixels loses nothing of a 28x28 image inside a border of two.
    assert_close(shown.sum((1, 2, 3)), img[:50].sum((1, 2, 3)), rtol=1e-4, atol=1e-2)
    assert not torch.equal(shown, img[:50])


def test_training_for_a_moment_learns_and_its_file_loads(tmp_path, monkeypatch):
    (img, label), (held_img, held_label) = split()
    few, held_out = (img[:200], label[:200]), (held_img[:50], held_label[:50])
    monkeypatch.setattr("ganforge_fashion_mnist.train_extractor.split", lambda: (few, held_out))
    out = tmp_path / "weights.safetensors"
    result = CliRunner().invoke(main, [str(out), "--epochs", "2", "--no-compile"])
    assert result.exit_code == 0, result.output
    assert "of 1000 held-out images" in result.output
    again = Classifier()
    again.load_state_dict(load_file(out))
    assert out.stat().st_size < 1_500_000


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 1), (32, 3)])
def test_extractor_maps_are_what_the_features_come_from(extractor, side, channels):
    img = torch.randint(256, (2, channels, side, side), dtype=torch.uint8)
    smooth = (img.float() / 127.5 - 1).requires_grad_(True)
    maps = extractor.maps(smooth)
    assert [tuple(x.shape[1:]) for x in maps] == extractor.map_shapes(extractor.config, side, side)
    assert_close(maps[-1].mean((2, 3)), extractor(img)["pooled"], rtol=1e-4, atol=1e-5)
    maps[0].sum().backward()
    assert smooth.grad.abs().sum() > 0


def test_extractor_maps_of_another_size_are_refused(extractor):
    with pytest.raises(ConfigError, match="28x28 and 32x32 images, not 32x28.*data.resolution"):
        extractor.map_shapes(extractor.config, 32, 28)
