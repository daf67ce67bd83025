import hashlib
import types

import pytest
import torch
import torch_fidelity.sample_similarity_lpips as reference
import torchvision
from safetensors.torch import save_file
from torch.testing import assert_close

from ganforge.errors import ConfigError, MetricError
from ganforge.interfaces.metric import Metric
from ganforge.metrics.lpips import _TAPS, Lpips, LpipsConfig
from ganforge.registry.plugins import get_registry


def write_weights(folder, network, suffix=".pth"):
    """Made-up weights in the layout of both publishers."""
    torch.manual_seed(0)
    build = torchvision.models.alexnet if network == "alex" else torchvision.models.vgg16
    # Without the classifier, which is most of the file and is not used.
    features = build(weights=None).features.state_dict()
    backbone = {f"features.{name}": value for name, value in features.items()}
    heads = {
        f"lin{number}.model.1.weight": torch.rand(1, channels, 1, 1)
        for number, channels in enumerate(_TAPS[network].values())
    }
    save = torch.save if suffix == ".pth" else save_file
    paths = folder / f"{network}{suffix}", folder / f"{network}-heads{suffix}"
    for path, tensors in zip(paths, (backbone, heads), strict=True):
        save(tensors, path)
    return {"network": network, "backbone": str(paths[0]), "heads": str(paths[1])}


@pytest.fixture(scope="module")
def alex(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"), "alex")


def images(channels=3, side=48):
    generator = torch.Generator().manual_seed(1)
    one, other = torch.rand(2, 2, channels, side, side, generator=generator).mul(255).round()
    return one / 127.5 - 1, other / 127.5 - 1


def distance(options, one, other):
    return Lpips(LpipsConfig(**options)).compare(one, one, other)["lpips"]


def test_lpips_equals_torch_fidelitys(tmp_path, monkeypatch):
    options = write_weights(tmp_path, "vgg")
    weights = torch.load(options["backbone"])
    network = torchvision.models.vgg16(weights=None).features
    network.load_state_dict({n.removeprefix("features."): v for n, v in weights.items()})
    heads = torch.load(options["heads"])
    monkeypatch.setattr(reference, "load_state_dict_from_url", lambda *args, **named: heads)
    monkeypatch.setattr(
        reference,
        "torchvision_load_pretrained_vgg16",
        lambda: types.SimpleNamespace(features=network),
    )
    one, other = images()
    wanted = reference.SampleSimilarityLPIPS("lpips-vgg16")(
        *((img + 1) * 127.5 for img in (one, other))
    )
    assert_close(distance(options, one, other), wanted.double().flatten(), atol=1e-6, rtol=1e-5)


def test_lpips_of_equal_images_is_zero_and_of_others_is_not(alex):
    one, other = images()
    assert distance(alex, one, one).tolist() == [0, 0]
    assert (distance(alex, one, other) > 0.01).all()


def test_lpips_of_gray_images_is_that_of_their_colors(alex):
    one, other = images(channels=1)
    colors = (img.expand(-1, 3, -1, -1) for img in (one, other))
    assert_close(distance(alex, one, other), distance(alex, *colors))


def test_lpips_records_hashes_and_no_path(tmp_path):
    options = write_weights(tmp_path, "alex", ".safetensors")
    recorded = Lpips(LpipsConfig(**options)).recorded_options()
    assert recorded == {
        "network": "alex",
        **{
            f"{name}_sha256": hashlib.sha256(open(options[name], "rb").read()).hexdigest()
            for name in ("backbone", "heads")
        },
    }


def test_lpips_without_weights_is_refused():
    with pytest.raises(ConfigError, match="backbone"):
        get_registry().build(Metric, "lpips", {"heads": "alex.pth"}, "evaluate.metrics[0]")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "nowhere.pth"}, "cannot be read from nowhere.pth.*`backbone`"),
        ({"network": "vgg"}, "network: vgg.*does not hold torchvision's weights"),
        ({"heads": None}, "does not hold the heads.*version 0.1"),
    ],
)
def test_lpips_with_wrong_weights_is_refused(alex, change, message):
    options = alex | {k: v or alex["backbone"] for k, v in change.items()}
    with pytest.raises(MetricError, match=message):
        distance(options, *images())


@pytest.mark.parametrize(("channels", "side"), [(3, 30), (4, 48)])
def test_lpips_of_images_that_do_not_fit_is_refused(alex, channels, side):
    with pytest.raises(MetricError, match="gray or color images of 31x31 pixels or more"):
        distance(alex, *images(channels, side))
    distance(alex, *images(3, 31))
